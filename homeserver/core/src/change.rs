//! The only ways to write a homeserver's rows, and what a decision consists of.

use entente_groups::{Epoch, KeyPackageRef, MessageId, RoomId, Suite};
use entente_identity::{AccountDid, DeviceId, ServerDid};
use entente_protocol::checkpoint::Attestation;
use entente_protocol::entry::{Entry, Seq};
use entente_protocol::flow::DeviceItem;

use crate::rows::{
    AccountRow, ClaimRow, DeviceRow, EpochRow, EquivocationRow, KeyPackageRow, LinkRow, MemberRow,
    NodeId, NodeRow, ParkedRow, PeerRow, PendingRow, PinRow, QueuedRow, RetentionRow, RoomRow,
};

/// One write. Closed on purpose: a new variant fails to compile in every store until it is handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Inserts or replaces an account.
    PutAccount(AccountRow),
    /// Inserts or replaces a device.
    PutDevice(DeviceRow),
    /// Inserts or replaces a KeyPackage.
    PutKeyPackage(KeyPackageRow),
    /// Deletes a KeyPackage.
    DropKeyPackage(KeyPackageRef),
    /// Deletes a device's last-resort KeyPackages of a suite, before a new one is put.
    DropLastResort {
        /// The account.
        account: AccountDid,
        /// The device.
        device: DeviceId,
        /// The suite.
        suite: Suite,
    },
    /// Inserts or replaces a claim.
    PutClaim(ClaimRow),
    /// Inserts or replaces a room.
    PutRoom(RoomRow),
    /// Appends to a room's log; the position is free.
    AppendEntry(Entry),
    /// Deletes a room's entries up to a position; their messages may be ordered again.
    DropEntries {
        /// The room.
        room: RoomId,
        /// The last position to delete.
        up_to: Seq,
    },
    /// Inserts or replaces how far back a room's log goes.
    PutRetention(RetentionRow),
    /// Adds the hub's signature to an entry that was a head when a batch was committed.
    Attest {
        /// The room.
        room: RoomId,
        /// The position.
        seq: Seq,
        /// The signature and path.
        attestation: Attestation,
    },
    /// Inserts or replaces a device's time in a room.
    PutMember(MemberRow),
    /// Ends a device's time in a room, if it has not ended before.
    EndMember {
        /// The room.
        room: RoomId,
        /// The account.
        account: AccountDid,
        /// The device.
        device: DeviceId,
        /// The last entry that it may read.
        left: Seq,
    },
    /// Changes the rows of a room's group, which are those of its current epoch.
    PatchGroup {
        /// The room.
        room: RoomId,
        /// Rows to insert or replace, by key.
        puts: Vec<(Vec<u8>, Vec<u8>)>,
        /// Keys of rows to delete.
        deletes: Vec<Vec<u8>>,
    },
    /// Inserts or replaces a room's group at an epoch.
    PutEpoch(EpochRow),
    /// Deletes a room's groups of epochs before this one.
    DropEpochs {
        /// The room.
        room: RoomId,
        /// The oldest epoch to keep.
        before: Epoch,
    },
    /// Inserts or replaces a peer.
    PutPeer(PeerRow),
    /// Inserts or replaces a node of this server.
    PutNode(NodeRow),
    /// Forgets a node of this server.
    DropNode(NodeId),
    /// Inserts or replaces who drives the link to a peer.
    PutLink(LinkRow),
    /// Inserts or replaces what is pinned of another server's keys.
    PutPin(PinRow),
    /// Forgets what is pinned of another server's keys.
    DropPin(ServerDid),
    /// Keeps the proof of a hub's two histories, unless there is one of that room.
    PutEquivocation(Box<EquivocationRow>),
    /// Owes a peer an item; the number is free.
    Owe {
        /// The peer.
        peer: ServerDid,
        /// The item's number in the stream.
        number: u64,
        /// The item.
        item: Owed,
    },
    /// Deletes what was owed, up to a number.
    DropOwed {
        /// The peer.
        peer: ServerDid,
        /// The last number to delete.
        up_to: u64,
    },
    /// Inserts or replaces a message that waits for its hub.
    PutPending(PendingRow),
    /// Deletes a message that waits for its hub.
    DropPending {
        /// The room.
        room: RoomId,
        /// The message.
        message_id: MessageId,
    },
    /// Appends to a device's queue; the number is free.
    Enqueue(QueuedRow),
    /// Deletes from a device's queue, up to a number.
    DropQueued {
        /// The account.
        account: AccountDid,
        /// The device.
        device: DeviceId,
        /// The last number to delete.
        up_to: u64,
    },
    /// Keeps an item that cannot be applied yet.
    Park(ParkedRow),
    /// Deletes a room's parked entries up to a position.
    DropParked {
        /// The room.
        room: RoomId,
        /// The last position to delete.
        up_to: Seq,
    },
}

/// What is owed to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owed {
    /// An entry of a room's log, by its place: the log holds it once, however many peers want it.
    Entry {
        /// The room.
        room: RoomId,
        /// The position.
        seq: Seq,
    },
    /// Another item, by its bytes.
    Item(Vec<u8>),
}

/// What goes into a device's queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// The account.
    pub account: AccountDid,
    /// The device.
    pub device: DeviceId,
    /// The item.
    pub item: DeviceItem,
    /// The server that handed over an invitation, or a Welcome by a KeyPackage that serves again: so many
    /// of one server wait at most.
    pub invited_by: Option<ServerDid>,
}

impl Queued {
    /// An item for a device that is no invitation.
    #[must_use]
    pub fn new((account, device): (AccountDid, DeviceId), item: DeviceItem) -> Self {
        Self {
            account,
            device,
            item,
            invited_by: None,
        }
    }
}

/// Whom to wake after the commit. A hint: all of it is found in the rows too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// A room's log or watermark grew.
    WakeRoom(RoomId),
    /// A device's queue grew, or it came into a room.
    WakeDevice(AccountDid, DeviceId),
    /// More is owed to a peer.
    WakePeer(ServerDid),
    /// Entries of a room are missing here.
    RepairRoom(RoomId),
}

/// What a decision consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<T> {
    /// The rows to write.
    pub changes: Vec<Change>,
    /// What becomes owed to peers; numbered when it is written.
    pub owed: Vec<(ServerDid, Owed)>,
    /// What goes into devices' queues; numbered when it is written.
    pub queued: Vec<Queued>,
    /// Whom to wake.
    pub effects: Vec<Effect>,
    /// The reply.
    pub reply: T,
}

impl<T> Decision<T> {
    /// A reply that changes nothing.
    #[must_use]
    pub fn reply(reply: T) -> Self {
        Self {
            changes: Vec::new(),
            owed: Vec::new(),
            queued: Vec::new(),
            effects: Vec::new(),
            reply,
        }
    }

    /// The same decision with another reply.
    #[must_use]
    pub fn map<U>(self, map: impl FnOnce(T) -> U) -> Decision<U> {
        Decision {
            changes: self.changes,
            owed: self.owed,
            queued: self.queued,
            effects: self.effects,
            reply: map(self.reply),
        }
    }
}
