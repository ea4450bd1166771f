//! Entente's profile of MLS (RFC 9420) over openmls: the only crate that sees it.
//!
//! Purpose: the words in which hub, followers and clients speak about rooms as groups, and the rules
//! by which all of them judge the same bytes. A hub follows a room by [`PublicRoom`], a device takes
//! part in it by [`Member`]; both are values, loaded from rows and stored as rows.
//!
//! Invariants
//! - One verdict: hub and members judge leaves, tickets and commits by the same functions, from the
//!   bytes, the state before, and the time at which a commit was ordered.
//! - A step that fails has changed nothing; a step that succeeds leaves its rows in a [`StateDelta`]
//!   to be stored in the transaction to which it belongs.
//! - Handshakes are in the open, application messages encrypted; anything else is refused.
//! - No clock, no I/O, no locks. openmls draws its own randomness, and looks at the system clock for
//!   nothing that is judged: MLS lifetimes are unbounded.
//!
//! Absent: transport, storage, and who may be asked to join (the `protocol` and `core` crates).

mod chunk;
mod config;
mod create;
mod crypto;
mod departures;
mod group_info;
mod ids;
mod key_package;
mod leaf;
mod member_view;
mod message;
mod policy;
mod provider;
mod public_view;
mod roster;
mod rules;
mod seal;
mod state;
mod suite;
mod ticket;

pub use create::{CreateRecord, room_id};
pub use group_info::GroupInfoFault;
pub use ids::{Epoch, IdFault, KeyPackageRef, LeafIndex, MessageId, RoomId};
pub use key_package::{
    JudgedKeyPackage, KeyPackageFault, KeyPackageUse, MAX_KEY_PACKAGE_LIFETIME_MS,
    judge_key_package,
};
pub use leaf::{LeafFault, LeafIdentity, MAX_LEAF_BYTES, VerifiedLeaf};
pub use member_view::{
    EpochSnapshot, Founding, JoinOffer, KeyPackageOrder, KeyPackages, LateFault, Member,
    MemberFault, MergedCommit, NewKeyPackage, ProcessFault, Processed, ReadMessage, WelcomeOffer,
};
pub use message::{
    Aad, ApplicationMessage, GroupMessage, HandshakeMessage, HandshakeSender,
    MAX_APPLICATION_BYTES, MAX_GROUP_INFO_BYTES, MAX_HANDSHAKE_BYTES, MAX_KEY_PACKAGE_BYTES,
    MAX_PROPOSAL_BYTES, MAX_TREE_BYTES, MAX_WELCOME_BYTES, MessageFault,
};
pub use policy::{InviteRight, MAX_ADMINS, PolicyFault, Role, RoomPolicy};
pub use public_view::{
    APPLICATION_EPOCHS, CheckedCommit, CommitBundle, CommitFault, FoundingFault,
    MAX_PENDING_PROPOSALS, PublicRoom,
};
pub use roster::{Departure, MemberInfo, RosterDelta};
pub use rules::RuleFault;
pub use seal::{HpkeSecretKey, MAX_SEALED_BYTES, SealFault, Sealed, SealedKind, seal};
pub use state::{GroupState, StateDelta, StateFault};
pub use suite::{Suite, SuiteFault};
pub use ticket::{Joiner, MAX_TICKET_LIFETIME_MS, Ticket, TicketFault, judge_ticket};

// The tests' world is shared with the examples, which name the crate.
#[cfg(test)]
extern crate self as entente_groups;
#[cfg(test)]
mod tests;
