//! Frames: a length of four bytes, little-endian, and one Cap'n Proto message.
//!
//! Purpose: cut a byte stream into messages and back, with memory bounded by what has really
//! arrived. Invariants: a length beyond the limit is refused before a byte of the frame is
//! kept; a frame shorter than the smallest message is refused; buffers grow with the bytes received,
//! never with the length announced.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use capnp::message::{Allocator, Builder, Reader, ReaderOptions};
use capnp::serialize::{NoAllocSliceSegments, read_message_from_flat_slice_no_alloc};

use crate::limits::{FRAME_MAX_BYTES, LARGE_FRAME_BYTES, NESTING_MAX, TRAVERSAL_MAX_WORDS};

/// Bytes of a frame's length.
pub(crate) const LENGTH_BYTES: usize = 4;

/// A segment table for one segment, and that segment's root pointer.
const FRAME_MIN_BYTES: usize = 16;

/// The sender broke the framing or the message inside; nothing after it on the stream makes sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// The announced length is beyond the limit.
    #[error("a frame of {length} bytes exceeds the limit of {limit}")]
    TooLong {
        /// What the length field says.
        length: u32,
        /// What is allowed; less before the peer is trusted.
        limit: usize,
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

    /// Makes room for a large frame in one step, once enough of it has come that its length is
    /// believed: growing by doubling would take twice its size.
    pub(crate) fn make_room(&mut self, body: usize) {
        let missing = (LENGTH_BYTES + body).saturating_sub(self.bytes.len());
        if body > LARGE_FRAME_BYTES && self.bytes.len() >= LARGE_FRAME_BYTES {
            self.bytes.reserve(missing);
        }
    }

    /// True if no byte waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes `count` bytes off the front, if that many have arrived.
    pub(crate) fn take(&mut self, count: usize) -> Option<Bytes> {
        (self.bytes.len() >= count).then(|| self.bytes.split_to(count).freeze())
    }

    /// The length of the frame that comes next, as far as it can be told.
    ///
    /// # Errors
    /// A length out of bounds.
    pub(crate) fn next_length(&self, limit: usize) -> Result<Option<usize>, FrameFault> {
        let head = self.bytes.first_chunk::<LENGTH_BYTES>();
        head.map(|head| check_length(u32::from_le_bytes(*head), limit))
            .transpose()
    }

    /// Takes the next frame, if it has wholly arrived.
    ///
    /// # Errors
    /// A length out of bounds.
    pub(crate) fn next_frame(&mut self, limit: usize) -> Result<Option<Bytes>, FrameFault> {
        let Some(body) = self.next_length(limit)? else {
            return Ok(None);
        };
        if self.bytes.len() < LENGTH_BYTES + body {
            return Ok(None);
        }
        self.bytes.advance(LENGTH_BYTES);
        let frame = self.take(body);
        if body > LARGE_FRAME_BYTES && self.bytes.is_empty() {
            // An idle stream does not keep the memory that one large frame needed.
            self.bytes = BytesMut::new();
        }
        Ok(frame)
    }
}

fn check_length(length: u32, limit: usize) -> Result<usize, FrameFault> {
    let body = length as usize;
    if body > limit {
        return Err(FrameFault::TooLong { length, limit });
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
    check_length(u32::try_from(body).unwrap_or(u32::MAX), FRAME_MAX_BYTES)?;
    out.reserve(LENGTH_BYTES + body);
    out.put_u32_le(u32::try_from(body).expect("the limit of a frame fits in 32 bits"));
    Ok(capnp::serialize::write_message(out.writer(), message)?)
}

/// Opens the message of one frame, within the limits of traversal and nesting.
///
/// # Errors
/// A segment table that does not describe exactly these bytes.
pub(crate) fn open_message(frame: &[u8]) -> Result<Reader<NoAllocSliceSegments<'_>>, FrameFault> {
    let mut rest = frame;
    let message = read_message_from_flat_slice_no_alloc(&mut rest, reader_options())?;
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

impl From<capnp::Error> for FrameFault {
    fn from(error: capnp::Error) -> Self {
        Self::Malformed {
            reason: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::FRAME_MAX_BYTES as MAX;

    fn framed(bodies: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        for body in bodies {
            out.extend(u32::try_from(body.len()).expect("short").to_le_bytes());
            out.extend(body);
        }
        out
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_they_are_cut(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 16..300), 0..8),
            cuts in prop::collection::vec(1..200_usize, 1..20),
        ) {
            let bytes = framed(&bodies);
            let (mut buffer, mut got, mut rest) = (FrameBuffer::default(), Vec::new(), &bytes[..]);
            for cut in cuts.iter().cycle() {
                while let Some(frame) = buffer.next_frame(MAX).expect("well-formed") {
                    got.push(frame.to_vec());
                }
                if rest.is_empty() {
                    break;
                }
                let (chunk, behind) = rest.split_at(rest.len().min(*cut));
                buffer.extend(chunk);
                rest = behind;
            }
            prop_assert!(buffer.is_empty());
            prop_assert_eq!(got, bodies);
        }
    }

    #[test]
    fn an_announced_length_costs_nothing() {
        let mut buffer = FrameBuffer::default();
        buffer.extend(&u32::try_from(MAX).expect("4 MiB").to_le_bytes());
        buffer.extend(&[0; 100]);
        assert_eq!(buffer.next_frame(MAX), Ok(None));
        buffer.make_room(MAX);
        assert!(buffer.bytes.capacity() < 4096);
    }

    #[test]
    fn a_large_frame_takes_its_own_size_and_gives_it_back() {
        let mut buffer = FrameBuffer::default();
        buffer.extend(&u32::try_from(MAX).expect("4 MiB").to_le_bytes());
        for _ in 0..MAX / 1024 {
            buffer.make_room(MAX);
            buffer.extend(&[7; 1024]);
        }
        assert!(buffer.bytes.capacity() < MAX + (64 << 10));
        let frame = buffer.next_frame(MAX).expect("a length").expect("a frame");
        assert_eq!(frame.len(), MAX);
        assert_eq!(buffer.bytes.capacity(), 0);
    }

    #[test]
    fn lengths_out_of_bounds_are_refused_at_once() {
        for (length, limit) in [(u32::MAX, MAX), (4097, 4096), (15, MAX), (0, MAX)] {
            let mut buffer = FrameBuffer::default();
            buffer.extend(&length.to_le_bytes());
            assert!(buffer.next_frame(limit).is_err(), "{length}");
        }
    }
}
