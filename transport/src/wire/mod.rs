//! Between the words of `protocol` and Cap'n Proto messages.
//!
//! Purpose: one conversion each way for every type that travels. Writing is total. Reading is strict:
//! fixed sizes, list lengths, enum values and union members are checked, and what is wrong is named.
//!
//! To add a message: its struct in `schemas/*.capnp`, an impl of [`Root`] here; for a call a number in
//! the schema's method list and an arm in each function of `client_call` or `peer_call`; for a flow an
//! impl of [`Root`] is enough. Then a generator in `tests/arbitrary.rs`, which makes the round trips,
//! and a snapshot of its bytes.

mod client_call;
mod client_parts;
mod fault;
mod flows;
mod method;
mod peer_call;
mod read;
mod relay;
#[cfg(test)]
mod tests;
mod words;

use capnp::message::{Builder, HeapAllocator};
use capnp::traits::Owned;

use crate::frame::open_message;

pub use fault::WireFault;
pub(crate) use flows::encode_entries;
#[cfg(test)]
pub(crate) use method::Method;
pub use method::Request;

/// A value that is the root of a message. Nobody outside this crate can name this trait.
pub trait Root: Sized {
    /// The struct in the schemas.
    type Schema: Owned + 'static;

    /// About how many words the message takes. Too few costs a second segment, nothing else.
    fn words(&self) -> usize;

    /// Writes the value.
    fn write(&self, builder: <Self::Schema as Owned>::Builder<'_>);

    /// Reads a value.
    ///
    /// # Errors
    /// See [`WireFault`].
    fn read(reader: <Self::Schema as Owned>::Reader<'_>) -> Result<Self, WireFault>;
}

/// The message whose root is `value`.
pub(crate) fn encode<T: Root>(value: &T) -> Builder<HeapAllocator> {
    let mut message = empty_message(value.words());
    value.write(message.init_root::<<T::Schema as Owned>::Builder<'_>>());
    message
}

/// A message with room for so many words beside its root.
fn empty_message(words: usize) -> Builder<HeapAllocator> {
    let words = u32::try_from(words + ROOT_WORDS).unwrap_or(u32::MAX);
    Builder::new(HeapAllocator::new().first_segment_words(words))
}

/// The value at the root of a frame's message.
///
/// # Errors
/// See [`WireFault`].
pub(crate) fn decode<T: Root>(frame: &[u8]) -> Result<T, WireFault> {
    let message = open_message(frame)?;
    T::read(message.get_root::<<T::Schema as Owned>::Reader<'_>>()?)
}

/// Room for the root pointer and the fixed part of any root and what it always points to.
const ROOT_WORDS: usize = 32;

/// Words of a Data or Text of so many bytes, with its pointer.
fn data_words(bytes: usize) -> usize {
    bytes / 8 + 2
}
