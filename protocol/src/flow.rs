//! The frames of the long-lived flows between a client and its homeserver.
//!
//! *submit* carries messages up and their fate back; *sync* carries log entries and the device's own
//! queue down and cursors back. Both are resumed by repeating: a message by its id, a sync by cursors.

use entente_groups::{Epoch, KeyPackageRef, MessageId, RoomId};
use entente_identity::{AccountDid, DeviceId, ServerDid, UnixMillis};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes};

use crate::entry::{Entry, Head, Seq, Term};
use crate::equivocation::Equivocation;
use crate::fault::{Fault, FaultCode};

/// An encrypted message for a room.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Submission {
    /// The room.
    pub room: RoomId,
    /// The sender's id for it; kept when it is encrypted again.
    pub message_id: MessageId,
    /// The epoch in which it is encrypted.
    pub epoch: Epoch,
    /// The MLS PrivateMessage.
    pub ciphertext: VLBytes,
}

/// Client → server on the *submit* flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmitFrame {
    /// The room's hub as the client knows it.
    pub hub: ServerDid,
    /// The message.
    pub submission: Submission,
}

/// Server → client on the *submit* flow: the fate of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmitReply {
    /// The room.
    pub room: RoomId,
    /// Which message.
    pub message_id: MessageId,
    /// What became of it.
    pub outcome: SubmitOutcome,
}

/// What became of a message so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitOutcome {
    /// On disk at the own server; the hub will order it.
    Stored,
    /// In the room's log.
    Ordered {
        /// The hub's term.
        term: Term,
        /// The position.
        seq: Seq,
    },
    /// Not taken; nothing was stored.
    Refused(Fault),
}

/// Client → server on the *sync* flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncRequest {
    /// Begins: where the client's copies end. Rooms that are not named begin where the account came in.
    Open {
        /// For each room, the last position that the client holds.
        cursors: Vec<(RoomId, Seq)>,
        /// The last item of the device's queue that the client holds.
        queue_after: u64,
    },
    /// The client has these on disk.
    Ack {
        /// For each room, the last position.
        cursors: Vec<(RoomId, Seq)>,
        /// The last item of the device's queue; those up to it are forgotten.
        queue: u64,
    },
}

/// Server → client on the *sync* flow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "events are made and handled one at a time"
)]
pub enum SyncEvent {
    /// Entries of one room, in order, without gaps.
    Entries {
        /// The room.
        room: RoomId,
        /// The room's hub.
        hub: ServerDid,
        /// The entries.
        entries: Vec<Entry>,
    },
    /// An item of the device's own queue.
    Queued {
        /// Its number, ascending.
        number: u64,
        /// When it came.
        time: UnixMillis,
        /// The item.
        item: DeviceItem,
    },
    /// Every member server has the room's log up to this position.
    Delivered {
        /// The room.
        room: RoomId,
        /// The position.
        seq: Seq,
    },
    /// All that was stored when the flow opened has been sent.
    CaughtUp,
}

/// What concerns one device alone.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub enum DeviceItem {
    /// The device was added to a room.
    #[tls_codec(discriminant = 1)]
    Welcome(WelcomeItem),
    /// Somebody invites the device's account.
    #[tls_codec(discriminant = 2)]
    Invite(InviteItem),
    /// The hub of a room did not take a stored message.
    #[tls_codec(discriminant = 3)]
    Refused(RefusedItem),
    /// The hub of a room of the device showed two histories.
    #[tls_codec(discriminant = 4)]
    Equivocation(Equivocation),
}

/// A Welcome, on its way to the device whose KeyPackage was claimed.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct WelcomeItem {
    /// The room.
    pub room: RoomId,
    /// Its hub.
    pub hub: ServerDid,
    /// Which KeyPackage it answers.
    pub reference: KeyPackageRef,
    /// The MLS Welcome.
    pub welcome: VLBytes,
    /// The epoch that it leads into.
    pub epoch: Epoch,
    /// SHA-256 of that epoch's ratchet tree.
    pub tree_hash: [u8; 32],
    /// Size of that tree in bytes.
    pub tree_bytes: u32,
    /// The log's head at the commit that added the device.
    pub at: Head,
}

/// An invitation as a server sees it: whom it is for, who sent it, not what it says.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct InviteItem {
    /// Whom it is for.
    pub account: AccountDid,
    /// For which of its devices.
    pub device: DeviceId,
    /// Who sent it, as its home server vouches.
    pub inviter: AccountDid,
    /// The sender's id for it.
    pub message_id: MessageId,
    /// The payload, sealed to the device.
    pub sealed: VLBytes,
}

/// A stored message that the hub did not take.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct RefusedItem {
    /// The room.
    pub room: RoomId,
    /// Which message.
    pub message_id: MessageId,
    /// Why, as a [`FaultCode`]'s number.
    pub code: u16,
}

impl RefusedItem {
    /// Why, if the code is known here.
    #[must_use]
    pub fn fault_code(&self) -> Option<FaultCode> {
        FaultCode::from_number(self.code)
    }
}
