//! Streams that the peer opened, on their way to being calls or flows.

use bytes::Bytes;
use tokio::time::timeout;

use crate::close::StreamCode;
use crate::limits::{CALL_LIMIT, OPENING_LIMIT};
use crate::opening::Opening;
use crate::stream::{FrameReader, FrameWriter, StreamFault};

/// A stream that has not yet said what it is. Dropping it refuses it.
#[derive(Debug)]
pub struct PendingStream {
    writer: FrameWriter,
    reader: FrameReader,
}

/// A stream that has said what it is.
#[derive(Debug)]
pub(crate) enum RawStream {
    Call {
        method: u16,
        request: Bytes,
        writer: FrameWriter,
    },
    Flow {
        kind: u16,
        writer: FrameWriter,
        reader: FrameReader,
    },
}

impl PendingStream {
    pub(crate) fn new(writer: FrameWriter, reader: FrameReader) -> Self {
        Self { writer, reader }
    }

    /// Reads the opening and, of a call, the whole request.
    pub(crate) async fn read(mut self) -> Result<RawStream, StreamFault> {
        match self.read_parts().await {
            Ok((Opening::Call { method }, Some(request))) => Ok(RawStream::Call {
                method,
                request,
                writer: self.writer,
            }),
            Ok((Opening::Call { .. }, None)) => unreachable!("a call is read with its request"),
            Ok((Opening::Flow { kind }, _)) => Ok(RawStream::Flow {
                kind,
                writer: self.writer,
                reader: self.reader,
            }),
            Err(fault) => {
                self.reader.stop(fault.code());
                self.writer.reset(fault.code());
                Err(fault)
            }
        }
    }

    async fn read_parts(&mut self) -> Result<(Opening, Option<Bytes>), StreamFault> {
        let opening = limited(OPENING_LIMIT, self.reader.bytes()).await?;
        let opening = Opening::parse(opening)?;
        let request = match opening {
            Opening::Call { .. } => Some(limited(CALL_LIMIT, self.reader.only_frame()).await?),
            Opening::Flow { .. } => None,
        };
        Ok((opening, request))
    }

    /// Tells the peer that such a stream is not served here.
    pub fn refuse(mut self) {
        self.reader.stop(StreamCode::REFUSED);
        self.writer.reset(StreamCode::REFUSED);
    }
}

/// Bounds a step by time.
pub(crate) async fn limited<T>(
    limit: std::time::Duration,
    step: impl Future<Output = Result<T, StreamFault>>,
) -> Result<T, StreamFault> {
    timeout(limit, step).await.unwrap_or_else(|_| {
        Err(StreamFault::TimedOut {
            limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
        })
    })
}
