//! Calls: a stream each, one message there, one message or fault back.

use bytes::Bytes;
use capnp::message::{Allocator, Builder};

use crate::connection::Connection;
use crate::frame::FrameFault;
use crate::incoming::limited;
use crate::limits::CALL_LIMIT;
use crate::opening::Opening;
use crate::stream::{FrameReader, FrameWriter, StreamFault};

const REPLY: u8 = 0;
const FAULT: u8 = 1;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RawAnswer {
    /// The method's reply.
    Reply(Bytes),
    /// The peer understood the call and says why it did not do it.
    Fault(Bytes),
}

/// Makes one call.
///
/// # Errors
/// The connection or stream broke, or the answer took longer than [`CALL_LIMIT`]. Whether the call
/// took effect is then not known.
pub(crate) async fn call<A: Allocator>(
    connection: &Connection,
    method: u16,
    request: &Builder<A>,
) -> Result<RawAnswer, StreamFault> {
    let exchange = async {
        let (mut writer, mut reader) = connection.open().await?;
        writer.queue_bytes(&Opening::Call { method }.bytes());
        writer.queue(request)?;
        writer.flush().await?;
        writer.finish();
        let answer = read_answer(&mut reader).await;
        if let Err(fault) = &answer {
            reader.stop(fault.code());
        }
        answer
    };
    limited(CALL_LIMIT, exchange).await
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

/// Sends the reply of a call.
pub(crate) async fn reply<A: Allocator>(
    writer: FrameWriter,
    message: &Builder<A>,
) -> Result<(), StreamFault> {
    answer(writer, REPLY, message).await
}

/// Sends the fault that answers a call.
pub(crate) async fn fault<A: Allocator>(
    writer: FrameWriter,
    message: &Builder<A>,
) -> Result<(), StreamFault> {
    answer(writer, FAULT, message).await
}

async fn answer<A: Allocator>(
    mut writer: FrameWriter,
    tag: u8,
    message: &Builder<A>,
) -> Result<(), StreamFault> {
    writer.queue_bytes(&[tag]);
    writer.queue(message)?;
    writer.flush().await?;
    writer.finish();
    Ok(())
}
