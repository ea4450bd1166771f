//! Calls: a stream each, one message there, one message or fault back.

use std::marker::PhantomData;

use bytes::Bytes;
use capnp::message::{Builder, HeapAllocator};
use entente_protocol::fault::{Fault, FaultCode};

use crate::close::StreamCode;
use crate::connection::{Connection, Link};
use crate::frame::FrameFault;
use crate::incoming::limited;
use crate::limits::CALL_LIMIT;
use crate::opening::Opening;
use crate::stream::{FrameReader, FrameWriter, StreamFault};
use crate::wire::{self, Request, WireFault};

const REPLY: u8 = 0;
const FAULT: u8 = 1;

/// A call brought no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The peer understood the call and refused it.
    #[error(transparent)]
    Refused(Fault),
    /// The connection or stream broke, or it took too long. Whether the call took effect is not
    /// known.
    #[error(transparent)]
    Stream(#[from] StreamFault),
    /// The peer answered with something that makes no sense: its fault.
    #[error("the answer makes no sense: {0}")]
    Answer(WireFault),
    /// Such calls are not made on this connection: a bug of the caller.
    #[error("a call of another link than {0:?}")]
    WrongLink(Link),
}

impl From<CallError> for Fault {
    fn from(error: CallError) -> Self {
        let code = match error {
            CallError::Refused(fault) => return fault,
            CallError::Stream(StreamFault::TimedOut { .. }) => FaultCode::Timeout,
            CallError::Stream(StreamFault::Frame(FrameFault::TooLong { .. })) => {
                FaultCode::TooLarge
            }
            CallError::Stream(StreamFault::Reset(StreamCode::CROWDED)) => FaultCode::Busy,
            CallError::Stream(_) => FaultCode::PeerUnreachable,
            CallError::Answer(_) => FaultCode::PeerMisbehaved,
            CallError::WrongLink(_) => FaultCode::Internal,
        };
        Self::new(code, error.to_string())
    }
}

impl Connection {
    /// Makes a call and waits for its answer, 30 seconds at most.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call<R: Request>(&self, request: &R) -> Result<R::Response, CallError> {
        if self.link() != R::LINK {
            return Err(CallError::WrongLink(self.link()));
        }
        let method = request.number();
        match limited(CALL_LIMIT, exchange(self, method, request.encode())).await? {
            RawAnswer::Reply(frame) => R::decode_reply(method, &frame).map_err(CallError::Answer),
            RawAnswer::Fault(frame) => {
                let fault = wire::decode(&frame).map_err(CallError::Answer)?;
                Err(CallError::Refused(fault))
            }
        }
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RawAnswer {
    /// The method's reply.
    Reply(Bytes),
    /// The peer understood the call and says why it did not do it.
    Fault(Bytes),
}

/// One call in bytes.
pub(crate) async fn exchange(
    connection: &Connection,
    method: u16,
    request: Builder<HeapAllocator>,
) -> Result<RawAnswer, StreamFault> {
    let (mut writer, mut reader) = connection.open().await?;
    writer.queue_bytes(&Opening::Call { method }.bytes());
    if let Err(fault) = writer.queue(&request) {
        writer.reset(StreamCode::CANCELLED);
        return Err(fault.into());
    }
    drop(request);
    writer.flush().await?;
    writer.finish();
    let answer = read_answer(&mut reader).await;
    if let Err(fault) = &answer {
        reader.stop(fault.code());
    }
    answer
}

async fn read_answer(reader: &mut FrameReader) -> Result<RawAnswer, StreamFault> {
    let [tag] = reader.bytes().await?;
    let frame = reader.only_frame().await?;
    match tag {
        REPLY => Ok(RawAnswer::Reply(frame)),
        FAULT => Ok(RawAnswer::Fault(frame)),
        other => Err(FrameFault::Malformed {
            reason: format!("answer tag {other}"),
        }
        .into()),
    }
}

/// A peer's call, to be answered.
#[derive(Debug)]
pub struct IncomingCall<R: Request> {
    /// What is asked.
    pub request: R,
    /// Where the answer goes.
    pub responder: Responder<R>,
}

/// Where the answer to one call goes. Dropping it unused tells the peer that there is none.
#[derive(Debug)]
pub struct Responder<R> {
    method: u16,
    writer: FrameWriter,
    request: PhantomData<fn() -> R>,
}

impl<R: Request> Responder<R> {
    pub(crate) fn new(method: u16, writer: FrameWriter) -> Self {
        Self {
            method,
            writer,
            request: PhantomData,
        }
    }

    /// Answers the call.
    ///
    /// # Errors
    /// The peer is gone or does not take the answer in time.
    ///
    /// # Panics
    /// The response is another method's: a bug of the server.
    pub async fn answer(self, answer: Result<R::Response, Fault>) -> Result<(), StreamFault> {
        match answer {
            Ok(response) => {
                let message = R::encode_reply(self.method, &response)
                    .expect("the operation of a method returns that method's response");
                self.send(REPLY, message).await
            }
            Err(fault) => self.send(FAULT, wire::encode(&fault)).await,
        }
    }

    async fn send(mut self, tag: u8, message: Builder<HeapAllocator>) -> Result<(), StreamFault> {
        self.writer.queue_bytes(&[tag]);
        if let Err(fault) = self.writer.queue(&message) {
            self.writer.reset(StreamCode::CANCELLED);
            return Err(fault.into());
        }
        drop(message);
        let outcome = limited(CALL_LIMIT, self.writer.flush()).await;
        match &outcome {
            Ok(()) => self.writer.finish(),
            Err(fault) => self.writer.reset(fault.code()),
        }
        outcome
    }
}
