//! Why connections and streams end, in words of our own.

use std::fmt;

/// Why this side or the peer closed a connection; the number travels in CONNECTION_CLOSE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(u64);

impl CloseCode {
    /// All was said.
    pub const DONE: Self = Self(0);
    /// This side is shutting down; try again soon or elsewhere.
    pub const SHUTDOWN: Self = Self(1);
    /// A federation link came without a certificate.
    pub const NO_CERTIFICATE: Self = Self(2);
    /// The address of a federation link changed.
    pub const ADDRESS_CHANGED: Self = Self(3);
    /// The peer did not authenticate, or not in time.
    pub const UNAUTHENTICATED: Self = Self(4);
    /// The peer broke the protocol.
    pub const PROTOCOL: Self = Self(5);
    /// Too much at once; try again later.
    pub const BUSY: Self = Self(6);
    /// A newer connection takes this one's place.
    pub const SUPERSEDED: Self = Self(7);
    /// The policy of this side denies the peer.
    pub const DENIED: Self = Self(8);

    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

impl From<CloseCode> for quinn::VarInt {
    fn from(code: CloseCode) -> Self {
        Self::from_u64(code.0).expect("codes are small or came as a VarInt")
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::DONE => "done",
            Self::SHUTDOWN => "shutdown",
            Self::NO_CERTIFICATE => "no certificate",
            Self::ADDRESS_CHANGED => "address changed",
            Self::UNAUTHENTICATED => "unauthenticated",
            Self::PROTOCOL => "protocol broken",
            Self::BUSY => "busy",
            Self::SUPERSEDED => "superseded",
            Self::DENIED => "denied",
            Self(number) => return write!(f, "code {number}"),
        };
        f.write_str(name)
    }
}

/// Why one side gave up one stream; the number travels in RESET_STREAM or STOP_SENDING.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamCode(u64);

impl StreamCode {
    /// The sender or reader no longer needs it (also what a dropped half says).
    pub const CANCELLED: Self = Self(0);
    /// It took too long.
    pub const TIMED_OUT: Self = Self(1);
    /// The framing or the message was broken.
    pub const BROKEN: Self = Self(2);
    /// This side does not serve such streams on such a connection.
    pub const REFUSED: Self = Self(3);
    /// Too many large frames or flows at once on this connection; try again.
    pub const CROWDED: Self = Self(4);

    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

impl From<StreamCode> for quinn::VarInt {
    fn from(code: StreamCode) -> Self {
        Self::from_u64(code.0).expect("codes are small or came as a VarInt")
    }
}

impl From<quinn::VarInt> for StreamCode {
    fn from(number: quinn::VarInt) -> Self {
        Self(number.into_inner())
    }
}

impl fmt::Display for StreamCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::CANCELLED => "cancelled",
            Self::TIMED_OUT => "timed out",
            Self::BROKEN => "broken framing",
            Self::REFUSED => "refused",
            Self::CROWDED => "crowded",
            Self(number) => return write!(f, "code {number}"),
        };
        f.write_str(name)
    }
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// This side closed it.
    #[error("closed by this side")]
    Here,
    /// The peer closed it.
    #[error("closed by the peer: {code} {reason:?}")]
    Peer {
        /// The peer's code.
        code: CloseCode,
        /// The peer's words, for logs only.
        reason: String,
    },
    /// Nothing was heard for too long.
    #[error("timed out")]
    TimedOut,
    /// The peer no longer knows the connection, most likely because it was restarted.
    #[error("reset by the peer, which lost its state")]
    Lost,
    /// The cryptographic handshake failed; the alert is TLS's.
    #[error("TLS alert {alert} ({name}): {detail}")]
    Handshake {
        /// Number of the TLS alert.
        alert: u8,
        /// Name of the alert (RFC 8446 §6).
        name: &'static str,
        /// What the implementation that raised it says.
        detail: String,
    },
    /// QUIC itself was violated, or is of another version.
    #[error("QUIC: {0}")]
    Transport(String),
}

impl From<quinn::ConnectionError> for CloseReason {
    fn from(error: quinn::ConnectionError) -> Self {
        use quinn::ConnectionError as E;
        match error {
            E::LocallyClosed => Self::Here,
            E::TimedOut => Self::TimedOut,
            E::Reset => Self::Lost,
            E::ApplicationClosed(close) => Self::Peer {
                code: CloseCode(close.error_code.into_inner()),
                reason: String::from_utf8_lossy(&close.reason).into_owned(),
            },
            E::ConnectionClosed(close) => transport_reason(close.error_code, || {
                String::from_utf8_lossy(&close.reason).into()
            }),
            E::TransportError(error) => transport_reason(error.code, || error.reason.clone()),
            E::VersionMismatch | E::CidsExhausted => Self::Transport(error.to_string()),
        }
    }
}

fn transport_reason(code: quinn::TransportErrorCode, words: impl Fn() -> String) -> CloseReason {
    match tls_alert(code) {
        Some(alert) => CloseReason::Handshake {
            alert,
            name: alert_name(alert),
            detail: words(),
        },
        None => CloseReason::Transport(format!("{code}: {}", words())),
    }
}

/// RFC 9001 §4.8: a TLS alert is the transport error 0x100 + its number.
fn tls_alert(code: quinn::TransportErrorCode) -> Option<u8> {
    u64::from(code)
        .checked_sub(0x100)
        .and_then(|alert| u8::try_from(alert).ok())
}

/// RFC 8446 §6, those that a handshake of ours can meet.
fn alert_name(alert: u8) -> &'static str {
    match alert {
        40 => "handshake_failure: no common key exchange, signature or cipher",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        80 => "internal_error",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => "other",
    }
}
