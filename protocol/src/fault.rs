//! Every way to say no: a stable code, whose fault it was, and whether trying again helps.

use std::fmt;

/// A refusal, as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail} ({code})")]
pub struct Fault {
    /// What kind of refusal.
    pub code: FaultCode,
    /// What was wrong and what to do about it, for a person; never a secret or a message's content.
    pub detail: String,
    /// When to try again, in milliseconds from now, if that helps.
    pub retry_after_ms: Option<u32>,
}

/// Whose fault a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The caller asked for something it must not or cannot have.
    Caller,
    /// Another server did not answer or refused.
    Peer,
    /// Nobody's: the server is busy or not ready.
    Busy,
    /// A bug on our side.
    Bug,
}

impl Fault {
    /// A refusal with a sentence for the person who meets it.
    #[must_use]
    pub fn new(code: FaultCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            retry_after_ms: None,
        }
    }

    /// The same refusal, saying when to try again.
    #[must_use]
    pub fn retry_after(self, delay_ms: u32) -> Self {
        Self {
            retry_after_ms: Some(delay_ms),
            ..self
        }
    }
}

macro_rules! fault_codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $text:literal, $blame:ident, $retry:literal;)+) => {
        /// What kind of refusal. Codes are stable; new ones are only added.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum FaultCode {
            $($(#[doc = $doc])+ $name = $code,)+
        }

        impl FaultCode {
            /// All codes, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code of a number, if it is one.
            #[must_use]
            pub fn from_number(number: u16) -> Option<Self> {
                match number {
                    $($code => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// The stable name, as scripts see it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// Whose fault it is.
            #[must_use]
            pub fn blame(self) -> Blame {
                match self {
                    $(Self::$name => Blame::$blame,)+
                }
            }

            /// Whether the same request may succeed later.
            #[must_use]
            pub fn retry_helps(self) -> bool {
                match self {
                    $(Self::$name => $retry,)+
                }
            }

            /// What the code means, in a sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }
    };
}

fault_codes! {
    /// The request is malformed or breaks a limit.
    BadRequest = 1, "bad-request", Caller, false;
    /// The connection has not logged in, or not greeted.
    NotAuthenticated = 2, "not-authenticated", Caller, false;
    /// The login or greeting does not hold.
    AuthenticationFailed = 3, "authentication-failed", Caller, false;
    /// The method or feature is not known here.
    Unsupported = 4, "unsupported", Caller, false;
    /// Too many requests; the answer says when to try again.
    RateLimited = 5, "rate-limited", Caller, true;
    /// Larger than the limit allows.
    TooLarge = 6, "too-large", Caller, false;
    /// Registration is closed, or the token is wrong.
    RegistrationRefused = 10, "registration-refused", Caller, false;
    /// The handle belongs to another account.
    HandleTaken = 11, "handle-taken", Caller, false;
    /// No such room here, or the asker has no part in it.
    NoSuchRoom = 20, "no-such-room", Caller, false;
    /// The asker is not, or no longer, a member of the room.
    NotMember = 21, "not-member", Caller, false;
    /// Made for an epoch that is over or has not begun; sync, then make it again.
    WrongEpoch = 22, "wrong-epoch", Caller, true;
    /// A commit that breaks a rule of the room.
    CommitRefused = 23, "commit-refused", Caller, false;
    /// An invitation that does not count: expired, not for the asker, or its inviter may not invite.
    TicketRefused = 24, "ticket-refused", Caller, false;
    /// The room exists already.
    RoomExists = 25, "room-exists", Caller, false;
    /// Nobody of that name takes invitations or offers KeyPackages here.
    NoSuchAccount = 26, "no-such-account", Caller, false;
    /// The account has no KeyPackage to offer now; its device has to come online.
    NoKeyPackage = 27, "no-key-package", Caller, true;
    /// This server is not the room's hub.
    NotHub = 29, "not-hub", Caller, false;
    /// What is asked for is not kept any more; of a group, ask for a fresh GroupInfo.
    Gone = 30, "gone", Caller, true;
    /// The room's hub showed two histories; nothing goes on until an administrator moves the room.
    RoomFrozen = 31, "room-frozen", Peer, false;
    /// The other organization's server cannot be reached.
    PeerUnreachable = 40, "peer-unreachable", Peer, true;
    /// The other organization's server refuses to talk to this one.
    PeerRefused = 41, "peer-refused", Peer, false;
    /// The other side answered with something that makes no sense.
    PeerMisbehaved = 42, "peer-misbehaved", Peer, false;
    /// The server cannot take this now; nothing was stored.
    Busy = 50, "busy", Busy, true;
    /// The call took too long; whether it took effect is not known, repeating it is safe.
    Timeout = 51, "timeout", Busy, true;
    /// A bug on the server's side; its log says more.
    Internal = 60, "internal", Bug, true;
}

impl fmt::Display for FaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FaultCode {
    /// Whether it says something about one node of a server, and not about the server: another of its
    /// addresses may fare better.
    #[must_use]
    pub fn is_of_one_node(self) -> bool {
        self == Self::PeerUnreachable || matches!(self.blame(), Blame::Busy | Blame::Bug)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_node_answers_in_its_need_is_not_what_all_answer() {
        for code in FaultCode::ALL {
            let of_one = [
                FaultCode::PeerUnreachable,
                FaultCode::Busy,
                FaultCode::Timeout,
                FaultCode::Internal,
            ];
            assert_eq!(code.is_of_one_node(), of_one.contains(code), "{code}");
        }
    }

    #[test]
    fn codes_are_unique_and_read_back() {
        for (index, code) in FaultCode::ALL.iter().enumerate() {
            assert_eq!(FaultCode::from_number(*code as u16), Some(*code));
            assert!(!code.meaning().is_empty());
            for other in &FaultCode::ALL[..index] {
                assert_ne!(code.as_str(), other.as_str());
            }
        }
        assert_eq!(FaultCode::from_number(0), None);
    }
}
