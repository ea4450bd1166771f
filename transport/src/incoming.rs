//! Streams that the peer opened, on their way to being calls or flows.

use bytes::Bytes;
use entente_protocol::call::{ClientRequest, PeerRequest};
use entente_protocol::flow::{SubmitFrame, SubmitReply, SyncEvent, SyncRequest};
use entente_protocol::relay::{Batch, RelayReply};
use entente_schemas::flows_capnp::FlowKind;
use tokio::time::timeout;

use crate::call::{IncomingCall, Responder};
use crate::close::StreamCode;
use crate::connection::Link;
use crate::flow::{FlowReceiver, FlowSender};
use crate::opening::Opening;
use crate::stream::{FrameReader, FrameWriter, StreamFault};
use crate::wire::{Request, WireFault};

/// A stream that the peer opened and that has not yet said what it is. Dropping it refuses it.
#[derive(Debug)]
pub struct PendingStream {
    writer: FrameWriter,
    reader: FrameReader,
}

/// What the peer wants.
#[derive(Debug)]
pub enum Incoming {
    /// A device calls.
    ClientCall(Box<IncomingCall<ClientRequest>>),
    /// Another homeserver calls.
    PeerCall(Box<IncomingCall<PeerRequest>>),
    /// A device begins to submit messages.
    Submit(FlowSender<SubmitReply>, FlowReceiver<SubmitFrame>),
    /// A device begins to sync.
    Sync(FlowSender<SyncEvent>, FlowReceiver<SyncRequest>),
    /// Another homeserver begins to relay items.
    Relay(FlowSender<RelayReply>, FlowReceiver<Batch>),
}

/// A stream that has said what it is, in bytes.
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

    /// Waits for the stream to say what it is and, for a call, for the whole request. A request
    /// that makes no sense is answered with a fault right here; the error is for the log.
    ///
    /// # Errors
    /// The stream broke, was too slow, or asks for something that is not served on this link.
    pub async fn open(self) -> Result<Incoming, StreamFault> {
        let link = self.reader.connection().link();
        match (link, self.read().await?) {
            (
                Link::Client,
                RawStream::Call {
                    method,
                    request,
                    writer,
                },
            ) => parse_call(method, &request, writer)
                .await
                .map(|call| Incoming::ClientCall(Box::new(call))),
            (
                Link::Federation,
                RawStream::Call {
                    method,
                    request,
                    writer,
                },
            ) => parse_call(method, &request, writer)
                .await
                .map(|call| Incoming::PeerCall(Box::new(call))),
            (
                link,
                RawStream::Flow {
                    kind,
                    writer,
                    reader,
                },
            ) => parse_flow(link, kind, writer, reader),
        }
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
            Err(fault) => Err(self.give_up_for(fault)),
        }
    }

    async fn read_parts(&mut self) -> Result<(Opening, Option<Bytes>), StreamFault> {
        let limits = *self.reader.connection().stream_limits();
        let opening = limited(limits.opening, self.reader.bytes()).await?;
        let opening = Opening::parse(opening)?;
        let request = match opening {
            Opening::Call { .. } => Some(limited(limits.call, self.reader.only_frame()).await?),
            Opening::Flow { .. } => None,
        };
        Ok((opening, request))
    }

    /// Tells the peer that such a stream is not served here.
    pub fn refuse(mut self) {
        self.give_up(StreamCode::REFUSED);
    }

    fn give_up_for(mut self, fault: StreamFault) -> StreamFault {
        self.give_up(fault.code());
        fault
    }

    fn give_up(&mut self, code: StreamCode) {
        self.reader.stop(code);
        self.writer.reset(code);
    }
}

async fn parse_call<R: Request>(
    method: u16,
    request: &[u8],
    writer: FrameWriter,
) -> Result<IncomingCall<R>, StreamFault> {
    let responder = Responder::new(method, writer);
    match R::decode(method, request) {
        Ok(request) => Ok(IncomingCall { request, responder }),
        Err(fault) => {
            responder.answer(Err(fault.to_refusal())).await?;
            Err(fault.into())
        }
    }
}

fn parse_flow(
    link: Link,
    kind: u16,
    writer: FrameWriter,
    reader: FrameReader,
) -> Result<Incoming, StreamFault> {
    let stream = PendingStream { writer, reader };
    let Some(place) = stream.reader.connection().flow_place() else {
        return Err(stream.give_up_for(StreamFault::Crowded));
    };
    let (writer, reader) = (stream.writer, stream.reader.into_flow(place));
    match (link, FlowKind::try_from(kind)) {
        (Link::Client, Ok(FlowKind::Submit)) => Ok(Incoming::Submit(
            FlowSender::new(writer),
            FlowReceiver::new(reader),
        )),
        (Link::Client, Ok(FlowKind::Sync)) => Ok(Incoming::Sync(
            FlowSender::new(writer),
            FlowReceiver::new(reader),
        )),
        (Link::Federation, Ok(FlowKind::Relay)) => Ok(Incoming::Relay(
            FlowSender::new(writer),
            FlowReceiver::new(reader),
        )),
        (Link::Client | Link::Federation, Ok(_) | Err(_)) => {
            PendingStream { writer, reader }.refuse();
            let unknown = WireFault::Unknown {
                field: "flow kind",
                value: kind,
            };
            Err(unknown.into())
        }
    }
}

/// Bounds a step by time.
pub(crate) async fn limited<T>(
    limit: std::time::Duration,
    step: impl Future<Output = Result<T, StreamFault>>,
) -> Result<T, StreamFault> {
    let done = timeout(limit, step).await;
    done.unwrap_or_else(|_| Err(StreamFault::too_slow(limit)))
}
