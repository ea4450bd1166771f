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
/// side hold: 4 × 4 MiB + 4 × 4 MiB + 56 × 256 KiB = 46 MiB. All peers together:
/// [`StreamLimits::half_received_bytes`].
pub const LARGE_FRAMES_MAX: usize = 4;

/// Bytes of a half received frame that count for nothing: [`STREAMS_MAX`] times as much on each
/// connection.
pub const HALF_RECEIVED_FREE_BYTES: usize = 4 << 10;

/// Flows that a peer may have open on one connection.
pub const FLOWS_MAX: usize = 4;

/// Words that one message may make its reader visit: twice the words of the longest frame, so that
/// a message may point to the same bytes twice but not a thousand times.
pub const TRAVERSAL_MAX_WORDS: usize = 1 << 20;

/// Deepest nesting of structs and lists in one message.
pub const NESTING_MAX: i32 = 32;

/// Streams, calls and flows together, that a peer may have open on one connection.
pub const STREAMS_MAX: u32 = 64;

/// Time from the opening of a call to the last byte of its answer, as the caller waits for it.
pub const CALL_LIMIT: Duration = Duration::from_millis(CALL_TIMEOUT_MS);

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

/// Silence after which a connection is dead whose dialler has another address of that server to go to.
pub const SWIFT_IDLE_LIMIT: Duration = Duration::from_millis(2_500);

/// Distance of the signs of life on such a connection.
pub const SWIFT_KEEP_ALIVE: Duration = Duration::from_secs(1);

/// Time that a dial may take while there is another address of that server to go to.
pub const SWIFT_DIAL_LIMIT: Duration = Duration::from_secs(1);

/// Bytes that a peer may send on one stream ahead of its reader.
pub const STREAM_WINDOW_BYTES: u32 = 2 << 20;

/// Longest frame from a peer that this side does not trust yet: enough to register, log in or greet.
pub const STRANGER_FRAME_MAX_BYTES: usize = 32 << 10;

/// Streams that such a peer may have open.
pub const STRANGER_STREAMS_MAX: u32 = 2;

/// Bytes that such a peer may send ahead of their readers.
pub const STRANGER_WINDOW_BYTES: u32 = 96 << 10;

/// Bytes that are kept for a peer that is not trusted yet until it acknowledges them.
pub const STRANGER_SEND_WINDOW_BYTES: u64 = 64 << 10;

/// Bytes that a client may send on all its streams ahead of their readers.
pub const CLIENT_WINDOW_BYTES: u32 = 1 << 20;

/// Bytes that a peer server may send on all its streams ahead of their readers.
pub const FEDERATION_WINDOW_BYTES: u32 = 8 << 20;

/// Bytes that are kept for a connection that this side dialled until they are acknowledged.
pub const SEND_WINDOW_BYTES: u64 = 8 << 20;

/// Bytes that are kept for a trusted peer that dialled until it acknowledges them.
pub const ACCEPTED_SEND_WINDOW_BYTES: u64 = 2 << 20;

/// Bytes a second that a frame in a flow of the peer's has to come with, once its
/// [`StreamLimits::frame`] is over.
pub const FRAME_BYTES_PER_SECOND: u32 = 8 << 10;

/// Bytes of queued frames at which a sender stops taking more and writes.
pub const SEND_BATCH_BYTES: usize = 256 << 10;

/// What one endpoint takes from those who dial it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointLimits {
    /// From newcomers.
    pub admission: AdmissionLimits,
    /// On the streams that they open.
    pub streams: StreamLimits,
}

/// What one endpoint accepts from strangers. An address is an IPv4 address or an IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Connections open at a time; beyond it newcomers are refused.
    pub connections: usize,
    /// Connections at a time whose peers are not trusted yet; beyond it newcomers wait, then are
    /// refused.
    pub strangers: usize,
    /// The same for each address.
    pub strangers_per_address: usize,
    /// How often an address may begin a handshake; beyond it newcomers are refused.
    pub handshakes_per_address: HandshakeRate,
    /// Time in which they have to earn trust.
    pub trust_within: Duration,
    /// Handshakes under way at a time; beyond it newcomers wait, then are refused.
    pub half_open: usize,
    /// Handshakes under way from which on a newcomer has to prove its address first (QUIC Retry).
    pub retry_above: usize,
}

/// How often an address may begin a handshake: steadily, and at once after a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeRate {
    /// The time in which one is given back.
    pub interval: Duration,
    /// How many at once, at least 1.
    pub burst: u32,
}

/// What one endpoint takes on the streams that its peers open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Time that a stream may take to say what it is.
    pub opening: Duration,
    /// Time that the request of a call may take to come.
    pub call: Duration,
    /// Time that a frame of a flow may take to come, beside what [`FRAME_BYTES_PER_SECOND`] gives it.
    pub frame: Duration,
    /// Time after which a peer that takes nothing of what is sent to it is given up.
    pub stall: Duration,
    /// Bytes of half received frames in all: once for clients, once for peer servers. Beyond it the
    /// stream that brings more is refused as crowded.
    pub half_received_bytes: usize,
}

impl HandshakeRate {
    /// No limit.
    pub const NONE: Self = Self {
        interval: Duration::ZERO,
        burst: 1,
    };

    /// The time in which all are given back.
    pub(crate) fn whole(self) -> Duration {
        self.interval.saturating_mul(self.burst.max(1))
    }
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            strangers: 256,
            strangers_per_address: 64,
            handshakes_per_address: HandshakeRate {
                interval: Duration::from_millis(5),
                burst: 20_000,
            },
            trust_within: Duration::from_secs(10),
            half_open: 512,
            retry_above: 64,
        }
    }
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            opening: Duration::from_secs(5),
            call: CALL_LIMIT,
            frame: Duration::from_secs(30),
            stall: Duration::from_secs(60),
            half_received_bytes: 128 << 20,
        }
    }
}

impl From<AdmissionLimits> for EndpointLimits {
    fn from(admission: AdmissionLimits) -> Self {
        Self {
            admission,
            streams: StreamLimits::default(),
        }
    }
}
