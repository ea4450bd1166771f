//! One bidirectional stream: how it opens, how frames go over it.
//!
//! A stream's first four bytes say what it is: a tag, a zero, and the number of the method or of the
//! flow's kind (16 bits, little-endian). What follows are frames. A call's answer starts with one
//! byte: reply or fault.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use capnp::message::{Allocator, Builder};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::close::{CloseReason, StreamCode};
use crate::connection::Connection;
use crate::frame::{FrameBuffer, FrameFault, append_message};
use crate::limits::{FRAME_BYTES_PER_SECOND, LARGE_FRAME_BYTES, SEND_BATCH_BYTES};
use crate::memory::{Share, UsedUp};
use crate::waited::Waited;
use crate::wire::WireFault;

/// Packets' worth of data fetched from the connection at a time.
const CHUNKS_PER_READ: usize = 32;

/// A stream came to an end that its user did not intend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamFault {
    /// The connection under it is gone.
    #[error("connection lost: {0}")]
    ConnectionLost(CloseReason),
    /// The peer gave up sending.
    #[error("the peer reset the stream: {0}")]
    Reset(StreamCode),
    /// The peer no longer wants what we send.
    #[error("the peer stopped the stream: {0}")]
    Stopped(StreamCode),
    /// This side has already finished the stream.
    #[error("the stream is already finished on this side")]
    Finished,
    /// The peer broke the framing.
    #[error(transparent)]
    Frame(#[from] FrameFault),
    /// The message in a frame says something that makes no sense.
    #[error(transparent)]
    Message(#[from] WireFault),
    /// The first bytes name no kind of stream that this side knows.
    #[error("unknown stream opening {0:02x?}")]
    UnknownOpening([u8; 4]),
    /// The peer has too many streams open that each hold a large frame, or too many flows, or all peers
    /// together have sent more halves of frames than this side holds.
    #[error("too many large frames or flows at once; try again")]
    Crowded,
    /// It took too long.
    #[error("no progress within {limit_ms} ms")]
    TimedOut {
        /// The limit that ran out.
        limit_ms: u64,
    },
}

impl StreamFault {
    /// The peer took longer than it may.
    pub(crate) fn too_slow(limit: Duration) -> Self {
        Self::TimedOut {
            limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// What to tell the peer when the stream is given up because of this fault.
    pub(crate) fn code(&self) -> StreamCode {
        match self {
            Self::Frame(_) | Self::Message(_) => StreamCode::BROKEN,
            Self::UnknownOpening(_) => StreamCode::REFUSED,
            Self::Crowded => StreamCode::CROWDED,
            Self::TimedOut { .. } => StreamCode::TIMED_OUT,
            Self::ConnectionLost(_) | Self::Reset(_) | Self::Stopped(_) | Self::Finished => {
                StreamCode::CANCELLED
            }
        }
    }
}

/// The receiving half.
#[derive(Debug)]
pub(crate) struct FrameReader {
    stream: quinn::RecvStream,
    connection: Connection,
    buffer: FrameBuffer,
    ended: bool,
    /// Held while a large frame of a peer's call is half received.
    large: Option<OwnedSemaphorePermit>,
    /// What the peer has to keep to on a stream that it opened.
    rules: Option<Rules>,
    /// Held for as long as a flow that the peer opened lasts.
    _flow: Option<OwnedSemaphorePermit>,
}

/// What a peer has to keep to on a stream that it opened.
#[derive(Debug)]
struct Rules {
    large_frames: LargeFrames,
    share: Share,
    /// How long the frame that is half received has been waited for.
    waited: Waited,
}

/// Whether large frames need one of the connection's few places for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LargeFrames {
    Free,
    Rationed,
}

impl FrameReader {
    /// Of a stream that this side opened.
    pub(crate) fn of_ours(stream: quinn::RecvStream, connection: Connection) -> Self {
        Self {
            stream,
            connection,
            buffer: FrameBuffer::default(),
            ended: false,
            large: None,
            rules: None,
            _flow: None,
        }
    }

    /// Of a stream that the peer opened.
    pub(crate) fn of_theirs(stream: quinn::RecvStream, connection: Connection) -> Self {
        let rules = Rules {
            large_frames: LargeFrames::Rationed,
            share: connection.memory_share(),
            waited: Waited::default(),
        };
        Self {
            rules: Some(rules),
            ..Self::of_ours(stream, connection)
        }
    }

    /// Makes it a flow's, which holds `place` among the few flows of a connection instead of
    /// competing for the places of large frames.
    pub(crate) fn into_flow(mut self, place: OwnedSemaphorePermit) -> Self {
        if let Some(rules) = &mut self.rules {
            rules.large_frames = LargeFrames::Free;
        }
        Self {
            _flow: Some(place),
            ..self
        }
    }

    /// The connection that carries the stream.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The next frame, or `None` once the peer has finished. Cancelling loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, StreamFault> {
        loop {
            if let Some(frame) = self.ready()? {
                return Ok(Some(frame));
            }
            self.ration_large_frame()?;
            if !self.fill_in_time().await? {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(FrameFault::Truncated.into())
                };
            }
        }
    }

    /// A frame that has already arrived.
    pub(crate) fn ready(&mut self) -> Result<Option<Bytes>, StreamFault> {
        let frame = self.buffer.next_frame(self.connection.frame_limit())?;
        if frame.is_some() {
            self.large = None;
            if let Some(rules) = &mut self.rules {
                rules.share.shrink(self.buffer.len());
                rules.waited = Waited::default();
            }
        }
        Ok(frame)
    }

    /// Many streams must not fill the memory together, each with a frame that is almost complete.
    /// They do not wait for each other: what they have not read would use up the connection's
    /// window, and all would stand still.
    fn ration_large_frame(&mut self) -> Result<(), StreamFault> {
        let length = self.buffer.next_length(self.connection.frame_limit())?;
        let Some(length) = length.filter(|length| *length > LARGE_FRAME_BYTES) else {
            return Ok(());
        };
        let rules = self.rules.as_ref();
        let rationed = rules.is_some_and(|rules| rules.large_frames == LargeFrames::Rationed);
        if self.large.is_none() && rationed {
            let place = self.connection.large_frame_place();
            self.large = Some(place.ok_or(StreamFault::Crowded)?);
        }
        self.buffer.make_room(length);
        Ok(())
    }

    /// Exactly `N` bytes.
    pub(crate) async fn bytes<const N: usize>(&mut self) -> Result<[u8; N], StreamFault> {
        loop {
            if let Some(bytes) = self.buffer.take(N) {
                return Ok(bytes.as_ref().try_into().expect("take gave N bytes"));
            }
            if !self.fill().await? {
                return Err(FrameFault::Truncated.into());
            }
        }
    }

    /// The one frame after which the stream ends.
    pub(crate) async fn only_frame(&mut self) -> Result<Bytes, StreamFault> {
        let frame = self.next().await?.ok_or(FrameFault::Truncated)?;
        if !self.buffer.is_empty() || self.fill().await? {
            return Err(FrameFault::Trailing.into());
        }
        Ok(frame)
    }

    /// Tells the peer that nothing more will be read.
    pub(crate) fn stop(&mut self, code: StreamCode) {
        // A stream that has already ended needs no stopping.
        let _ = self.stream.stop(code.into());
    }

    /// Reads on. A peer that has begun a frame has to go on with it: between two frames it may be
    /// silent for as long as the connection lives, inside of one it may not.
    async fn fill_in_time(&mut self) -> Result<bool, StreamFault> {
        let limit = self.frame_time();
        let Some(limit) = limit.filter(|_| !self.buffer.is_empty()) else {
            return self.fill().await;
        };
        let Self {
            stream,
            buffer,
            ended,
            rules,
            connection,
            ..
        } = self;
        let rules = rules.as_mut().expect("a limit is a rule");
        let filled = fill((stream, connection), buffer, ended, &mut rules.share);
        let filled = rules.waited.spend(limit, filled).await;
        filled.unwrap_or_else(|| Err(StreamFault::too_slow(limit)))
    }

    /// How long the peer may take for what has come of the frame so far.
    fn frame_time(&self) -> Option<Duration> {
        self.rules.as_ref()?;
        let received = u32::try_from(self.buffer.len()).unwrap_or(u32::MAX);
        let earned = Duration::from_secs(received.into()) / FRAME_BYTES_PER_SECOND;
        Some(self.connection.stream_limits().frame + earned)
    }

    async fn fill(&mut self) -> Result<bool, StreamFault> {
        let from = (&mut self.stream, &self.connection);
        let share = self.rules.as_mut().map(|rules| &mut rules.share);
        fill(from, &mut self.buffer, &mut self.ended, share).await
    }
}

/// Takes what has arrived, or waits for more; false at the end of the stream.
async fn fill(
    (stream, connection): (&mut quinn::RecvStream, &Connection),
    buffer: &mut FrameBuffer,
    ended: &mut bool,
    share: impl Into<Option<&mut Share>>,
) -> Result<bool, StreamFault> {
    if *ended {
        return Ok(false);
    }
    let mut chunks: [Bytes; CHUNKS_PER_READ] = Default::default();
    let read = stream.read_chunks(&mut chunks).await;
    let Some(count) = read.map_err(read_fault)? else {
        *ended = true;
        return Ok(false);
    };
    connection
        .check_address()
        .map_err(StreamFault::ConnectionLost)?;
    let more: usize = chunks[..count].iter().map(Bytes::len).sum();
    if let Some(share) = share.into() {
        share.grow(buffer.len() + more)?;
    }
    for chunk in &chunks[..count] {
        buffer.extend(chunk);
    }
    Ok(true)
}

/// The sending half. Frames queue in memory until they are flushed in one write.
#[derive(Debug)]
pub(crate) struct FrameWriter {
    stream: quinn::SendStream,
    queued: BytesMut,
    writing: Bytes,
    /// How long the peer may take nothing of what is sent to it.
    stall: Option<Duration>,
}

impl FrameWriter {
    /// Of a stream that this side opened.
    pub(crate) fn of_ours(stream: quinn::SendStream) -> Self {
        Self {
            stream,
            queued: BytesMut::new(),
            writing: Bytes::new(),
            stall: None,
        }
    }

    /// Of a stream that the peer opened. If it takes nothing for as long as `stall`, the stream is
    /// reset: it would keep what waits for it in memory for good.
    pub(crate) fn of_theirs(stream: quinn::SendStream, stall: Duration) -> Self {
        Self {
            stall: Some(stall),
            ..Self::of_ours(stream)
        }
    }

    /// Queues bytes as they are.
    pub(crate) fn queue_bytes(&mut self, bytes: &[u8]) {
        self.queued.put_slice(bytes);
    }

    /// Queues one message as a frame.
    pub(crate) fn queue<A: Allocator>(&mut self, message: &Builder<A>) -> Result<(), FrameFault> {
        append_message(&mut self.queued, message)
    }

    /// True if so much is queued that the next frame has to wait for a write.
    pub(crate) fn is_full(&self) -> bool {
        self.queued.len() >= SEND_BATCH_BYTES
    }

    /// Hands everything queued to the connection, in as few writes as its windows allow.
    /// Cancelling loses nothing: the rest is written by the next flush.
    pub(crate) async fn flush(&mut self) -> Result<(), StreamFault> {
        loop {
            while !self.writing.is_empty() {
                self.write_some().await?;
            }
            if self.queued.is_empty() {
                return Ok(());
            }
            self.writing = self.queued.split().freeze();
        }
    }

    async fn write_some(&mut self) -> Result<(), StreamFault> {
        let chunks = std::slice::from_mut(&mut self.writing);
        let writing = async {
            let written = self.stream.write_chunks(chunks).await;
            written.map(|_| ()).map_err(write_fault)
        };
        let Some(stall) = self.stall else {
            return writing.await;
        };
        timeout(stall, writing).await.unwrap_or_else(|_| {
            self.reset(StreamCode::TIMED_OUT);
            Err(StreamFault::too_slow(stall))
        })
    }

    /// Says that nothing more will come. What was flushed is still delivered.
    pub(crate) fn finish(&mut self) {
        // Finishing twice, or after a reset, changes nothing.
        let _ = self.stream.finish();
    }

    /// Gives up: what is not yet delivered is dropped.
    pub(crate) fn reset(&mut self, code: StreamCode) {
        // A stream that has already ended needs no reset.
        let _ = self.stream.reset(code.into());
    }

    /// Waits until the peer has acknowledged everything or stopped the stream.
    pub(crate) async fn settled(&mut self) -> Result<(), StreamFault> {
        let Some(stall) = self.stall else {
            return self.stopped().await;
        };
        timeout(stall, self.stopped()).await.unwrap_or_else(|_| {
            self.reset(StreamCode::TIMED_OUT);
            Err(StreamFault::too_slow(stall))
        })
    }

    async fn stopped(&self) -> Result<(), StreamFault> {
        match self.stream.stopped().await {
            Ok(None) => Ok(()),
            Ok(Some(code)) => Err(StreamFault::Stopped(code.into())),
            Err(quinn::StoppedError::ConnectionLost(error)) => {
                Err(StreamFault::ConnectionLost(error.into()))
            }
            Err(quinn::StoppedError::ZeroRttRejected) => unreachable!("0-RTT is never used"),
        }
    }
}

impl From<UsedUp> for StreamFault {
    fn from(_: UsedUp) -> Self {
        Self::Crowded
    }
}

fn read_fault(error: quinn::ReadError) -> StreamFault {
    match error {
        quinn::ReadError::Reset(code) => StreamFault::Reset(code.into()),
        quinn::ReadError::ConnectionLost(error) => StreamFault::ConnectionLost(error.into()),
        quinn::ReadError::ClosedStream => StreamFault::Finished,
        quinn::ReadError::IllegalOrderedRead => unreachable!("every read is ordered"),
        quinn::ReadError::ZeroRttRejected => unreachable!("0-RTT is never used"),
    }
}

fn write_fault(error: quinn::WriteError) -> StreamFault {
    match error {
        quinn::WriteError::Stopped(code) => StreamFault::Stopped(code.into()),
        quinn::WriteError::ConnectionLost(error) => StreamFault::ConnectionLost(error.into()),
        quinn::WriteError::ClosedStream => StreamFault::Finished,
        quinn::WriteError::ZeroRttRejected => unreachable!("0-RTT is never used"),
    }
}
