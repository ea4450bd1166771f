//! Round trips of arbitrary values, golden bytes, hostile messages.

mod arbitrary;
mod golden;
mod hostile;
mod round_trip;
mod samples;

use bytes::BytesMut;
use capnp::message::{Builder, HeapAllocator};

use crate::frame::{LENGTH_BYTES, append_message};

/// The bytes of a message, as a frame holds them.
fn frame(message: &Builder<HeapAllocator>) -> Vec<u8> {
    let mut out = BytesMut::new();
    append_message(&mut out, message).expect("below the limit");
    out[LENGTH_BYTES..].to_vec()
}
