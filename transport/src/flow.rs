//! Flows: long-lived streams of typed frames in both directions.
//!
//! A sender queues frames and writes many of them at once; when the peer does not read, sending
//! waits. A receiver that meets a frame it cannot read gives the flow up.

use std::marker::PhantomData;

use entente_groups::RoomId;
use entente_identity::ServerDid;
use entente_protocol::flow::{SubmitFrame, SubmitReply, SyncEvent, SyncRequest};
use entente_protocol::relay::{Batch, RelayReply};
use entente_schemas::flows_capnp::FlowKind;

use crate::connection::Connection;
use crate::opening::Opening;
use crate::stream::{FrameReader, FrameWriter, StreamFault};
use crate::wire::{self, Root};

/// The sending half of a flow. Dropping it ends the flow in this direction.
#[derive(Debug)]
pub struct FlowSender<T> {
    writer: FrameWriter,
    frame: PhantomData<fn(T)>,
}

/// The receiving half of a flow. Dropping it tells the peer to stop sending.
#[derive(Debug)]
pub struct FlowReceiver<T> {
    reader: FrameReader,
    frame: PhantomData<fn() -> T>,
}

impl Connection {
    /// Begins to submit messages to the own homeserver.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn open_submit(
        &self,
    ) -> Result<(FlowSender<SubmitFrame>, FlowReceiver<SubmitReply>), StreamFault> {
        self.open_flow(FlowKind::Submit).await
    }

    /// Begins to sync from the own homeserver.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn open_sync(
        &self,
    ) -> Result<(FlowSender<SyncRequest>, FlowReceiver<SyncEvent>), StreamFault> {
        self.open_flow(FlowKind::Sync).await
    }

    /// Begins to relay items to another homeserver.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn open_relay(
        &self,
    ) -> Result<(FlowSender<Batch>, FlowReceiver<RelayReply>), StreamFault> {
        self.open_flow(FlowKind::Relay).await
    }

    async fn open_flow<A: Root, B: Root>(
        &self,
        kind: FlowKind,
    ) -> Result<(FlowSender<A>, FlowReceiver<B>), StreamFault> {
        let (mut writer, reader) = self.open().await?;
        let opening = Opening::Flow { kind: kind as u16 };
        writer.queue_bytes(&opening.bytes());
        writer.flush().await?;
        Ok((FlowSender::new(writer), FlowReceiver::new(reader)))
    }
}

impl<T: Root> FlowSender<T> {
    pub(crate) fn new(writer: FrameWriter) -> Self {
        Self {
            writer,
            frame: PhantomData,
        }
    }

    /// Queues a frame without sending it, unless so much is queued that it has to go out first.
    /// Cancelling loses nothing but the frame itself.
    ///
    /// # Errors
    /// The flow broke, or the frame is too long.
    pub async fn queue(&mut self, frame: &T) -> Result<(), StreamFault> {
        if self.writer.is_full() {
            self.writer.flush().await?;
        }
        Ok(self.writer.queue(&wire::encode(frame))?)
    }

    /// Sends what is queued. Cancelling loses nothing: the next flush goes on.
    ///
    /// # Errors
    /// The flow broke.
    pub async fn flush(&mut self) -> Result<(), StreamFault> {
        self.writer.flush().await
    }

    /// Queues a frame and sends it.
    ///
    /// # Errors
    /// The flow broke, or the frame is too long.
    pub async fn send(&mut self, frame: &T) -> Result<(), StreamFault> {
        self.queue(frame).await?;
        self.flush().await
    }

    /// Ends the flow in this direction and waits until the peer has received everything.
    ///
    /// # Errors
    /// The flow broke before.
    pub async fn finish(mut self) -> Result<(), StreamFault> {
        self.writer.flush().await?;
        self.writer.finish();
        self.writer.settled().await
    }
}

impl FlowSender<SyncEvent> {
    /// Queues a [`SyncEvent::Entries`] whose entries are still in the encoding in which they are
    /// stored: what a server sends to many devices is not taken apart for each.
    ///
    /// # Errors
    /// The flow broke, or the frame is too long.
    pub async fn queue_entries<E: AsRef<[u8]> + Sync>(
        &mut self,
        room: RoomId,
        hub: &ServerDid,
        entries: &[E],
    ) -> Result<(), StreamFault> {
        if self.writer.is_full() {
            self.writer.flush().await?;
        }
        let event = wire::encode_entries(room, hub, entries);
        Ok(self.writer.queue(&event)?)
    }
}

impl<T: Root> FlowReceiver<T> {
    pub(crate) fn new(reader: FrameReader) -> Self {
        Self {
            reader,
            frame: PhantomData,
        }
    }

    /// The next frame, or `None` once the peer has ended the flow. Cancelling loses nothing.
    ///
    /// # Errors
    /// The flow broke, or the peer sent something that makes no sense, whereupon the flow is given
    /// up.
    pub async fn next(&mut self) -> Result<Option<T>, StreamFault> {
        let frame = self.reader.next().await;
        self.parse(frame)
    }

    /// A frame that has already arrived, for taking many at once.
    ///
    /// # Errors
    /// As of [`Self::next`].
    pub fn ready(&mut self) -> Result<Option<T>, StreamFault> {
        let frame = self.reader.ready();
        self.parse(frame)
    }

    fn parse(
        &mut self,
        frame: Result<Option<bytes::Bytes>, StreamFault>,
    ) -> Result<Option<T>, StreamFault> {
        let parsed = frame.and_then(|frame| {
            let value = frame.as_deref().map(wire::decode).transpose();
            value.map_err(StreamFault::from)
        });
        if let Err(fault) = &parsed {
            self.reader.stop(fault.code());
        }
        parsed
    }
}
