//! Frames: a length of four bytes, little-endian, and one Cap'n Proto message.
//!
//! Purpose: cut a byte stream into messages and back, with memory bounded by what has really
//! arrived. Invariants: a length beyond [`FRAME_MAX_BYTES`] is refused before a byte of the frame is
//! kept; a frame shorter than the smallest message is refused; buffers grow with the bytes received,
//! never with the length announced.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use capnp::message::{Allocator, Builder, Reader, ReaderOptions};
use capnp::serialize::{NoAllocSliceSegments, read_message_from_flat_slice_no_alloc};

use crate::limits::{FRAME_MAX_BYTES, NESTING_MAX, TRAVERSAL_MAX_WORDS};

/// Bytes of a frame's length.
pub(crate) const LENGTH_BYTES: usize = 4;

/// A segment table for one segment, and that segment's root pointer.
const FRAME_MIN_BYTES: usize = 16;

/// The sender broke the framing or the message inside; nothing after it on the stream makes sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// The announced length is beyond the limit.
    #[error("a frame of {length} bytes exceeds the limit of {FRAME_MAX_BYTES}")]
    TooLong {
        /// What the length field says.
        length: u32,
    },
    /// The announced length cannot hold any message.
    #[error("a frame of {length} bytes holds no message")]
    TooShort {
        /// What the length field says.
        length: u32,
    },
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame")]
    Truncated,
    /// More bytes follow where the stream had to end.
    #[error("bytes follow the last frame")]
    Trailing,
    /// The message in the frame is not well-formed.
    #[error("malformed message: {reason}")]
    Malformed {
        /// What the reader met; it quotes no content.
        reason: String,
    },
}

/// Collects received bytes and gives them out frame by frame.
#[derive(Debug, Default)]
pub(crate) struct FrameBuffer {
    bytes: BytesMut,
}

impl FrameBuffer {
    /// Adds bytes in the order of the stream.
    pub(crate) fn extend(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
    }

    /// True if no byte waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes `count` bytes off the front, if that many have arrived.
    pub(crate) fn take(&mut self, count: usize) -> Option<Bytes> {
        (self.bytes.len() >= count).then(|| self.bytes.split_to(count).freeze())
    }

    /// Takes the next whole frame.
    ///
    /// # Errors
    /// A length out of bounds.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Bytes>, FrameFault> {
        let Some(head) = self.bytes.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*head);
        let body = check_length(length)?;
        if self.bytes.len() < LENGTH_BYTES + body {
            return Ok(None);
        }
        self.bytes.advance(LENGTH_BYTES);
        Ok(self.take(body))
    }
}

fn check_length(length: u32) -> Result<usize, FrameFault> {
    let body = length as usize;
    if body > FRAME_MAX_BYTES {
        return Err(FrameFault::TooLong { length });
    }
    if body < FRAME_MIN_BYTES {
        return Err(FrameFault::TooShort { length });
    }
    Ok(body)
}

/// Appends one message as a frame.
///
/// # Errors
/// The message is longer than a frame may be; `out` is unchanged.
pub(crate) fn append_message<A: Allocator>(
    out: &mut BytesMut,
    message: &Builder<A>,
) -> Result<(), FrameFault> {
    let body = capnp::serialize::compute_serialized_size_in_words(message) * 8;
    check_length(u32::try_from(body).unwrap_or(u32::MAX))?;
    out.reserve(LENGTH_BYTES + body);
    out.put_u32_le(u32::try_from(body).expect("the limit of a frame fits in 32 bits"));
    capnp::serialize::write_message(out.writer(), message).map_err(|error| malformed(&error))
}

/// Opens the message of one frame, within the limits of traversal and nesting.
///
/// # Errors
/// A segment table that does not describe exactly these bytes.
pub(crate) fn open_message(frame: &[u8]) -> Result<Reader<NoAllocSliceSegments<'_>>, FrameFault> {
    let mut rest = frame;
    let message = read_message_from_flat_slice_no_alloc(&mut rest, reader_options())
        .map_err(|error| malformed(&error))?;
    if !rest.is_empty() {
        return Err(FrameFault::Trailing);
    }
    Ok(message)
}

fn reader_options() -> ReaderOptions {
    ReaderOptions {
        traversal_limit_in_words: Some(TRAVERSAL_MAX_WORDS),
        nesting_limit: NESTING_MAX,
    }
}

fn malformed(error: &capnp::Error) -> FrameFault {
    FrameFault::Malformed {
        reason: error.to_string(),
    }
}
