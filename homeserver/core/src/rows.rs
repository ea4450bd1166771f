//! What a homeserver stores, in domain words.

use entente_federation::inbox::InStream;
use entente_groups::{Epoch, KeyPackageRef, KeyPackageUse, LeafIndex, MessageId, RoomId, Suite};
use entente_identity::{
    AccountClaim, AccountDid, DeviceId, KeyPin, LocalPart, ServerDid, UnixMillis,
};
use entente_protocol::entry::{Head, Seq};
use entente_protocol::equivocation::Equivocation;
use entente_protocol::flow::{DeviceItem, Submission};

/// An account at home here. Key: the account; its name is unique too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// The account.
    pub account: AccountDid,
    /// The name of its handle here.
    pub local: LocalPart,
    /// What it says about itself, as published.
    pub claim: AccountClaim,
    /// When it was opened.
    pub created: UnixMillis,
}

/// A device of an account at home here. Key: account and device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRow {
    /// The account.
    pub account: AccountDid,
    /// The device.
    pub device: DeviceId,
    /// The last number given out in its queue. A number without an item says that the device is to look
    /// at its rooms again.
    pub last_queued: u64,
}

/// A room whose log is held here, as hub or as follower. Key: the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomRow {
    /// The room.
    pub room: RoomId,
    /// The server that orders it.
    pub hub: ServerDid,
    /// The end of the log here.
    pub head: Head,
    /// The group's epoch after the head.
    pub epoch: Epoch,
    /// Every member server has the log up to here.
    pub delivered: Seq,
    /// Where the proposals stand that the next commit must cover.
    pub pending: Vec<Seq>,
    /// At the hub: the other servers with members in the room.
    pub followers: Vec<ServerDid>,
}

/// A device's time in a room. Key: room, account and device; coming back replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// The room.
    pub room: RoomId,
    /// The account.
    pub account: AccountDid,
    /// The device.
    pub device: DeviceId,
    /// Its leaf.
    pub leaf: LeafIndex,
    /// The server that serves it.
    pub home: ServerDid,
    /// The entry that brought it in: the first that it may read.
    pub joined: Seq,
    /// The entry that ended its time: the last that it may read.
    pub left: Option<Seq>,
}

/// A room's group at one epoch, at the hub. Key: room and epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochRow {
    /// The room.
    pub room: RoomId,
    /// The epoch.
    pub epoch: Epoch,
    /// Its GroupInfo, without the tree.
    pub group_info: Vec<u8>,
    /// What leads back from the next epoch's group to this one's; empty for the current epoch.
    pub undo: Vec<u8>,
    /// SHA-256 of the ratchet tree.
    pub tree_hash: [u8; 32],
    /// Size of the ratchet tree in bytes.
    pub tree_bytes: u32,
}

/// A KeyPackage of a device at home here. Key: its reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPackageRow {
    /// Its reference.
    pub reference: KeyPackageRef,
    /// The account.
    pub account: AccountDid,
    /// The device.
    pub device: DeviceId,
    /// The MLS KeyPackage.
    pub key_package: Vec<u8>,
    /// Its suite.
    pub suite: Suite,
    /// Whether it is used once.
    pub usage: KeyPackageUse,
    /// When it ends.
    pub expires: UnixMillis,
    /// Who claimed it last.
    pub claimed: Option<Claimant>,
}

/// Who claimed a KeyPackage: only that hub can answer it with a Welcome, into that room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimant {
    /// The room.
    pub room: RoomId,
    /// The room's hub.
    pub hub: ServerDid,
}

/// At the hub: a KeyPackage that was claimed for a room. Key: room and reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRow {
    /// The room.
    pub room: RoomId,
    /// The KeyPackage.
    pub reference: KeyPackageRef,
    /// The server of its device, to which the Welcome goes.
    pub home: ServerDid,
    /// When it was claimed.
    pub time: UnixMillis,
}

/// Another homeserver as this one knows it. Key: the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRow {
    /// The peer.
    pub server: ServerDid,
    /// The epoch of our stream of items to it.
    pub stream_epoch: u64,
    /// The last number given out in that stream.
    pub last_out: u64,
    /// The last number that the peer owns.
    pub acked: u64,
    /// Its stream of items to us.
    pub incoming: InStream,
}

impl PeerRow {
    /// A peer with which nothing was exchanged yet.
    #[must_use]
    pub fn new(server: ServerDid) -> Self {
        Self {
            server,
            stream_epoch: 1,
            last_out: 0,
            acked: 0,
            incoming: InStream::default(),
        }
    }
}

/// A node of this server: a process that shares its database with others. Drawn at random when it starts,
/// and again when the others have given it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 16]);

impl std::fmt::Display for NodeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0[..4]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A node that lives, as far as the others know. Key: the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRow {
    /// The node.
    pub node: NodeId,
    /// What its operator calls it.
    pub name: String,
    /// Raised again and again while it lives.
    pub beat: u64,
}

/// Which node drives the link to a peer. Key: the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkRow {
    /// The peer.
    pub peer: ServerDid,
    /// The node that took it last.
    pub holder: NodeId,
    /// Raised whenever it is taken.
    pub fence: u64,
}

/// How far a room's log goes, for whoever waits for it to grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// The room.
    pub room: RoomId,
    /// The last entry.
    pub head: Seq,
    /// Every member server has the log up to here.
    pub delivered: Seq,
}

/// How far back a room's log goes, and since when. Key: the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionRow {
    /// The room.
    pub room: RoomId,
    /// The first entry that is kept.
    pub kept_from: Seq,
    /// When the log was seen to reach a position here, oldest first.
    pub marks: Vec<(Seq, UnixMillis)>,
}

/// What is pinned of another server's chain of keys. Key: the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinRow {
    /// The pinned chain; it names the server.
    pub pin: KeyPin,
    /// When it was first pinned.
    pub since: UnixMillis,
}

/// A room whose hub showed two histories: it stands still. Key: the room; the first proof stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EquivocationRow {
    /// The room.
    pub room: RoomId,
    /// When it was noticed here.
    pub time: UnixMillis,
    /// Both histories, as the hub signed them.
    pub proof: Equivocation,
}

/// A message of a local device that the room's hub, elsewhere, has not ordered yet. Key: room and
/// message id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRow {
    /// Whose.
    pub account: AccountDid,
    /// From which device.
    pub device: DeviceId,
    /// The message.
    pub submission: Submission,
    /// When it was stored.
    pub stored: UnixMillis,
}

impl PendingRow {
    /// The row's key.
    #[must_use]
    pub fn key(&self) -> (RoomId, MessageId) {
        (self.submission.room, self.submission.message_id)
    }
}

/// An item of a device's own queue. Key: account, device and number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedRow {
    /// The account.
    pub account: AccountDid,
    /// The device.
    pub device: DeviceId,
    /// Its number, ascending per device.
    pub number: u64,
    /// When it came.
    pub time: UnixMillis,
    /// The item.
    pub item: DeviceItem,
    /// The server that handed over an invitation, or a Welcome by a KeyPackage that serves again.
    pub invited_by: Option<ServerDid>,
}

/// An item that this server owns but cannot apply yet. Key: peer, stream epoch and number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedRow {
    /// Who handed it over.
    pub peer: ServerDid,
    /// In which stream epoch.
    pub stream_epoch: u64,
    /// Under which number.
    pub number: u64,
    /// The room and position, if it is an entry.
    pub entry: Option<(RoomId, Seq)>,
    /// Its bytes, as received.
    pub bytes: Vec<u8>,
    /// Why it could not be applied.
    pub reason: String,
    /// When it came.
    pub time: UnixMillis,
}
