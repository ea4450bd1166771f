//! What every set of calls has: a method's number tells the types of request and reply.

use capnp::message::{Builder, HeapAllocator};

use super::WireFault;
use crate::connection::Link;

/// A set of calls: what a client asks its homeserver, or one homeserver another. Implemented for
/// `protocol`'s `ClientRequest` and `PeerRequest` only.
pub trait Request: Method {}

/// The wire side of [`Request`].
pub trait Method: Sized + Send + Sync {
    /// What comes back, variant by variant.
    type Response: Send + Sync;

    /// On which connections such calls are made.
    const LINK: Link;

    /// The method's number.
    fn number(&self) -> u16;

    /// The request's message.
    fn encode(&self) -> Builder<HeapAllocator>;

    /// Reads the request of a method.
    ///
    /// # Errors
    /// See [`WireFault`].
    fn decode(number: u16, frame: &[u8]) -> Result<Self, WireFault>;

    /// The reply's message, if `reply` is what this method replies.
    fn encode_reply(number: u16, reply: &Self::Response) -> Option<Builder<HeapAllocator>>;

    /// Reads the reply of a method.
    ///
    /// # Errors
    /// See [`WireFault`].
    fn decode_reply(number: u16, frame: &[u8]) -> Result<Self::Response, WireFault>;
}
