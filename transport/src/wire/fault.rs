//! What can be wrong with a message.

use entente_identity::CodecFault;
use entente_protocol::fault::{Fault, FaultCode};

use crate::frame::FrameFault;

/// A message that makes no sense: the sender's fault. It names the field and quotes no content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireFault {
    /// The bytes are no message, or its pointers lead nowhere or too far.
    #[error(transparent)]
    Frame(#[from] FrameFault),
    /// A field of fixed size has another.
    #[error("{field} has {got} bytes instead of {expected}")]
    Size {
        /// Which field.
        field: &'static str,
        /// Its size.
        expected: usize,
        /// The size that came.
        got: usize,
    },
    /// A text or list is longer than allowed.
    #[error("{field} is {got} long, {limit} are allowed")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// Its limit, in bytes of text or elements.
        limit: usize,
        /// What came.
        got: usize,
    },
    /// A value, member or method that is not known here.
    #[error("{field} {value} is not known here")]
    Unknown {
        /// Which field.
        field: &'static str,
        /// The number that came.
        value: u16,
    },
    /// A field does not hold what it should.
    #[error("{field}: {reason}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl WireFault {
    /// A field that does not hold what it should.
    pub(crate) fn invalid(field: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Invalid {
            field,
            reason: reason.to_string(),
        }
    }

    /// What to answer to whoever sent such a request.
    #[must_use]
    pub fn to_refusal(&self) -> Fault {
        let code = match self {
            Self::Unknown { .. } => FaultCode::Unsupported,
            Self::Frame(FrameFault::TooLong { .. }) | Self::TooLong { .. } => FaultCode::TooLarge,
            Self::Frame(_) | Self::Size { .. } | Self::Invalid { .. } => FaultCode::BadRequest,
        };
        Fault::new(code, self.to_string())
    }
}

impl From<capnp::Error> for WireFault {
    fn from(error: capnp::Error) -> Self {
        Self::Frame(FrameFault::from(error))
    }
}

impl From<CodecFault> for WireFault {
    fn from(fault: CodecFault) -> Self {
        Self::Invalid {
            field: fault.what,
            reason: fault.reason,
        }
    }
}
