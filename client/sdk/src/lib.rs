//! The client as a library: one profile, its rooms, its events.
//!
//! Purpose: hands. A [`Client`] owns a profile's vault on a thread of its own and, once connected, a
//! worker that logs in at the homeserver, takes news in, hands messages over and pursues what is wanted
//! in rooms. Every call first commits to the vault; the network follows, and resumes after any crash.
//!
//! The map: `client` is the facade, one file per subject; `worker` is what runs while connected;
//! `vault_thread` is the way to the vault; `home` finds the homeserver and logs in; `error` says whose
//! fault a failure is.
//!
//! Never prompts, never prints.

mod client;
mod clock;
mod error;
mod home;
mod vault_thread;
mod worker;

pub use client::{
    Client, Events, From, Network, Person, RegisterOptions, SendOptions, Status, WhoAmI,
};
pub use entente_client_core::event::{
    ConnectionState, Event, EventRecord, MembershipChange, Problem, ProblemKind,
};
pub use entente_client_core::goal::GoalId;
pub use entente_client_core::invite::{Invite, InviteId};
pub use entente_client_core::message::{
    HandleTrust, LogPosition, Message, MessageState, Milestone, Sender,
};
pub use entente_client_core::room::{Member, RoomState, RoomSummary};
pub use entente_groups::{Epoch, InviteRight, MessageId, Role, RoomId, Suite};
pub use entente_identity::{AccountDid, DeviceId, Handle, RecoveryWords, ServerDid, UnixMillis};
pub use entente_protocol::call::{PeerReach, PeerStatus, ServerStatus};
pub use entente_protocol::content::{Content, ContentId, Meaning};
pub use entente_protocol::entry::{Seq, Term};
pub use entente_protocol::equivocation::{Equivocation, EquivocationFault};
pub use entente_protocol::fault::{Blame, Fault, FaultCode};
pub use entente_vault::{NewRoom, Passphrase, Unlock, UnlockKind};
pub use error::{Error, ErrorClass, Result};
