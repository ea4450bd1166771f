//! Frames: well-formed ones of the schemas, to be changed afterwards.

use anyhow::{Context, Result};
use capnp::message::{Builder, HeapAllocator, ReaderOptions};
use capnp::serialize;
use entente_groups::RoomId;
use entente_identity::ServerDid;
use entente_protocol::fault::{Fault, FaultCode};
use entente_schemas::calls_capnp::{group_info_request, hub_call, login, status_request};
use entente_schemas::federation_capnp::{batch, hello};
use entente_schemas::words_capnp::fault;

/// Numbers of methods and flows, as in the schemas.
pub mod number {
    use entente_schemas::calls_capnp::ClientMethod;
    use entente_schemas::federation_capnp::PeerMethod;
    use entente_schemas::flows_capnp::FlowKind;

    /// A device's login.
    pub const LOGIN: u16 = ClientMethod::Login as u16;
    /// A device asks for a room's GroupInfo.
    pub const GROUP_INFO: u16 = ClientMethod::GroupInfo as u16;
    /// A device asks how the server is.
    pub const STATUS: u16 = ClientMethod::Status as u16;
    /// The highest method of a device.
    pub const LAST_CLIENT: u16 = ClientMethod::Status as u16;
    /// A server's greeting.
    pub const HELLO: u16 = PeerMethod::Hello as u16;
    /// The highest method of a server.
    pub const LAST_PEER: u16 = PeerMethod::Heads as u16;
    /// A device's messages.
    pub const SUBMIT: u16 = FlowKind::Submit as u16;
    /// A device's news.
    pub const SYNC: u16 = FlowKind::Sync as u16;
    /// A server's batches.
    pub const RELAY: u16 = FlowKind::Relay as u16;
}

/// A length and a message's bytes.
#[must_use]
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes()[..], message].concat()
}

/// The first bytes of a flow.
#[must_use]
pub fn flow(kind: u16) -> [u8; 4] {
    let [low, high] = kind.to_le_bytes();
    [2, 0, low, high]
}

/// A login, with any statement.
#[must_use]
pub fn login_frame(proof: &[u8]) -> Vec<u8> {
    let mut message = Builder::new_default();
    message.init_root::<login::Builder<'_>>().set_proof(proof);
    bytes(&message)
}

/// A greeting, with any statement.
#[must_use]
pub fn hello_frame(statement: &[u8]) -> Vec<u8> {
    let mut message = Builder::new_default();
    let mut hello = message.init_root::<hello::Builder<'_>>();
    hello.set_statement(statement);
    bytes(&message)
}

/// A question for the server's state.
#[must_use]
pub fn status_frame() -> Vec<u8> {
    let mut message = Builder::new_default();
    message.init_root::<status_request::Builder<'_>>();
    bytes(&message)
}

/// A member's question for a room's GroupInfo.
///
/// # Panics
/// Never: the schema has these fields.
#[must_use]
pub fn group_info_frame(hub: &ServerDid, room: &RoomId) -> Vec<u8> {
    let mut message = Builder::new_default();
    let mut call = message.init_root::<hub_call::Builder<'_, group_info_request::Owned>>();
    call.set_hub(hub.to_string());
    let mut request = call.init_request();
    request.set_room(&room.0);
    request.init_access().set_member(());
    bytes(&message)
}

/// A batch, with any signed head and any items.
#[must_use]
pub fn batch_frame(head: &[u8], items: &[Vec<u8>]) -> Vec<u8> {
    let mut message = Builder::new_default();
    let mut batch = message.init_root::<batch::Builder<'_>>();
    batch.set_head(head);
    let mut list = batch.init_items(u32::try_from(items.len()).unwrap_or(u32::MAX));
    for (item, index) in items.iter().zip(0..) {
        list.set(index, item);
    }
    bytes(&message)
}

fn bytes(message: &Builder<HeapAllocator>) -> Vec<u8> {
    framed(&serialize::write_message_to_words(message))
}

/// Reads a fault from its frame.
///
/// # Errors
/// It is malformed, or of a code that nobody knows.
pub fn read_fault(frame: &[u8]) -> Result<Fault> {
    let message = frame.get(4..).context("a frame without a length")?;
    let message = serialize::read_message(message, ReaderOptions::new())?;
    let fault = message.get_root::<fault::Reader<'_>>()?;
    let code = FaultCode::from_number(fault.get_code()).context("an unknown code")?;
    let detail = fault.get_detail()?.to_string()?;
    let retry_after_ms = match fault.get_retry().which()? {
        fault::retry::Which::Unsaid(()) => None,
        fault::retry::Which::AfterMs(delay) => Some(delay),
    };
    Ok(Fault {
        code,
        detail,
        retry_after_ms,
    })
}
