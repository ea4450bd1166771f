//! Every bound of the wire in one place.
//!
//! A limit is checked before the memory it guards is spent: the frame length before the buffer
//! grows, the number of handshakes before a certificate is parsed, the list length before its
//! elements are read.

use std::time::Duration;

use entente_protocol::limits::{CALL_TIMEOUT_MS, MAX_FRAME_BYTES};

/// Longest frame in bytes, its four length bytes not counted.
pub const FRAME_MAX_BYTES: usize = MAX_FRAME_BYTES;

/// Frames longer than this are large, see [`LARGE_FRAMES_MAX`].
pub const LARGE_FRAME_BYTES: usize = 256 << 10;

/// Large frames in a peer's calls that may be half received on one connection at a time; further
/// ones are refused. With [`FLOWS_MAX`] and [`STREAMS_MAX`] it bounds what one peer can make this
/// side hold: 8 × 4 MiB + 4 × 4 MiB + 52 × 256 KiB = 61 MiB.
pub const LARGE_FRAMES_MAX: usize = 8;

/// Flows that a peer may have open on one connection.
pub const FLOWS_MAX: usize = 4;

/// Words that one message may make its reader visit: twice the words of the longest frame, so that
/// a message may point to the same bytes twice but not a thousand times.
pub const TRAVERSAL_MAX_WORDS: usize = 1 << 20;

/// Deepest nesting of structs and lists in one message.
pub const NESTING_MAX: i32 = 32;

/// Streams, calls and flows together, that a peer may have open on one connection.
pub const STREAMS_MAX: u32 = 64;

/// Time from the opening of a call to the last byte of its answer.
pub const CALL_LIMIT: Duration = Duration::from_millis(CALL_TIMEOUT_MS);

/// Time that a stream may take to say what it is.
pub const OPENING_LIMIT: Duration = Duration::from_secs(5);

/// Time that a handshake may take, on either side.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

/// Silence after which a client connection is dead.
pub const CLIENT_IDLE_LIMIT: Duration = Duration::from_secs(30);

/// Distance of a client's signs of life.
pub const CLIENT_KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Silence after which a federation link is dead: four lost signs of life.
pub const FEDERATION_IDLE_LIMIT: Duration = Duration::from_secs(8);

/// Distance of a federation link's signs of life.
pub const FEDERATION_KEEP_ALIVE: Duration = Duration::from_secs(2);

/// Bytes that a peer may send on one stream ahead of its reader.
pub const STREAM_WINDOW_BYTES: u32 = 2 << 20;

/// Longest frame from a peer that this side does not trust yet: enough to register, log in or greet.
pub const STRANGER_FRAME_MAX_BYTES: usize = 32 << 10;

/// Streams that such a peer may have open.
pub const STRANGER_STREAMS_MAX: u32 = 2;

/// Bytes that such a peer may send ahead of their readers.
pub const STRANGER_WINDOW_BYTES: u32 = 96 << 10;

/// Bytes that a client may send on all its streams ahead of their readers.
pub const CLIENT_WINDOW_BYTES: u32 = 2 << 20;

/// Bytes that a peer server may send on all its streams ahead of their readers.
pub const FEDERATION_WINDOW_BYTES: u32 = 8 << 20;

/// Bytes that are kept for one connection until they are acknowledged.
pub const SEND_WINDOW_BYTES: u64 = 8 << 20;

/// Bytes of queued frames at which a sender stops taking more and writes.
pub const SEND_BATCH_BYTES: usize = 256 << 10;

/// What one endpoint accepts from strangers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Connections open at a time; beyond it newcomers are refused.
    pub connections: usize,
    /// Connections at a time whose peers are not trusted yet; beyond it newcomers wait, then are
    /// refused.
    pub strangers: usize,
    /// Time in which they have to earn trust.
    pub trust_within: Duration,
    /// Handshakes under way at a time; beyond it newcomers wait, then are refused.
    pub half_open: usize,
    /// Handshakes under way from which on a newcomer has to prove its address first (QUIC Retry).
    pub retry_above: usize,
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            strangers: 256,
            trust_within: Duration::from_secs(10),
            half_open: 512,
            retry_above: 64,
        }
    }
}
