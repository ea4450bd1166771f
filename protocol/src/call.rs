//! Calls: one request, one reply or a [`crate::fault::Fault`].
//!
//! A client calls its own homeserver only; what concerns a room of another hub, its homeserver passes
//! on as a [`PeerRequest`] and vouches for who asked. To add a call: a variant here on both sides, its
//! struct, the wire conversion in `transport`, the operation in `homeserver/ops`.

use entente_groups::{
    CommitBundle, CreateRecord, Epoch, KeyPackageRef, LeafIndex, MessageId, RoomId, Suite, Ticket,
};
use entente_identity::{AccountClaim, AccountDid, DeviceId, ServerDid, Signed, UnixMillis};

use crate::entry::{Entry, Head, Seq};
use crate::equivocation::{HeadsReply, ShownHead};
use crate::hello::{Hello, HelloReply, LoginProof};

/// What a client asks its homeserver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientRequest {
    /// Opens an account; allowed before login.
    Register(Register),
    /// Proves which device speaks on this connection.
    Login(Signed<LoginProof>),
    /// Stores KeyPackages for others to claim.
    PublishKeyPackages(PublishKeyPackages),
    /// Founds a room with this homeserver as hub.
    CreateRoom(CreateRoom),
    /// Asks a room's hub for what joining or resyncing takes.
    GroupInfo(HubCall<GroupInfoRequest>),
    /// Asks a room's hub for a part of a ratchet tree.
    TreeChunk(HubCall<TreeChunkRequest>),
    /// Asks, through the hub, for a KeyPackage of somebody.
    ClaimKeyPackage(HubCall<ClaimKeyPackage>),
    /// Hands a commit to the room's hub; never queued.
    Commit(HubCall<CommitRequest>),
    /// Hands a SelfRemove proposal to the room's hub; never queued.
    Propose(HubCall<Proposal>),
    /// Hands over a sealed invitation; queued until the other server has it.
    Invite(SealedInvite),
    /// Asks how the server and its peers are.
    Status,
}

/// The reply to a [`ClientRequest`], variant by variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientResponse {
    /// To `Register`, `Invite`: done and on disk.
    Done,
    /// To `Login`.
    LoggedIn(LoggedIn),
    /// To `PublishKeyPackages`: how many unclaimed ones the server now holds.
    KeyPackages(u32),
    /// To `CreateRoom`, `Commit`, `Propose`: where in the log it stands.
    Ordered(Ordered),
    /// To `GroupInfo`.
    GroupInfo(GroupInfoReply),
    /// To `TreeChunk`.
    TreeChunk(Vec<u8>),
    /// To `ClaimKeyPackage`.
    KeyPackage(ClaimedKeyPackage),
    /// To `Status`.
    Status(ServerStatus),
}

/// What one homeserver asks another, on a connection that it dialled and greeted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerRequest {
    /// The greeting; the first call on every connection.
    Hello(Signed<Hello>),
    /// A member's or joiner's [`ClientRequest::GroupInfo`], passed on.
    GroupInfo(Vouched<GroupInfoRequest>),
    /// A member's or joiner's [`ClientRequest::TreeChunk`], passed on.
    TreeChunk(Vouched<TreeChunkRequest>),
    /// A member's [`ClientRequest::ClaimKeyPackage`], passed on to the hub, or by the hub to the home
    /// server of the account.
    ClaimKeyPackage(Vouched<ClaimKeyPackage>),
    /// A device's [`ClientRequest::Commit`], passed on.
    Commit(Vouched<CommitRequest>),
    /// A device's [`ClientRequest::Propose`], passed on.
    Propose(Vouched<Proposal>),
    /// Asks for entries of a room's log that are missing here.
    Pull(Pull),
    /// Shows the newest signed heads of rooms that both hold, so that two histories are noticed.
    Heads(Vec<ShownHead>),
}

/// The reply to a [`PeerRequest`], variant by variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerResponse {
    /// To `Hello`.
    Hello(Signed<HelloReply>),
    /// To `GroupInfo`.
    GroupInfo(GroupInfoReply),
    /// To `TreeChunk`.
    TreeChunk(Vec<u8>),
    /// To `ClaimKeyPackage`.
    KeyPackage(ClaimedKeyPackage),
    /// To `Commit`, `Propose`.
    Ordered(Ordered),
    /// To `Pull`.
    Entries(Vec<Entry>),
    /// To `Heads`.
    Heads(HeadsReply),
}

/// A request that belongs to the hub of a room, with the hub's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubCall<T> {
    /// The room's hub as the client knows it.
    pub hub: ServerDid,
    /// What is asked.
    pub request: T,
}

/// A request of a device, for whose identity the calling server vouches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched<T> {
    /// The device's account, at home on the calling server.
    pub account: AccountDid,
    /// The device.
    pub device: DeviceId,
    /// What it asks.
    pub request: T,
}

/// Opens an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// What the account says about itself; its home record names the handle.
    pub claim: AccountClaim,
    /// The token, where the server wants one.
    pub token: Option<String>,
}

/// What a device learns at login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedIn {
    /// The server's clock.
    pub server_time: UnixMillis,
    /// How many of the device's KeyPackages are unclaimed.
    pub key_packages: u32,
}

/// KeyPackages to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishKeyPackages {
    /// MLS KeyPackages of any accepted suite. One that is marked as last resort replaces the device's
    /// last resort of that suite and is given out when all others are gone.
    pub packages: Vec<Vec<u8>>,
}

/// Founds a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRoom {
    /// The record whose hash is the room's id.
    pub record: Signed<CreateRecord>,
    /// The sender's id for the create entry.
    pub message_id: MessageId,
    /// The group's GroupInfo, without the tree.
    pub group_info: Vec<u8>,
    /// The group's ratchet tree.
    pub tree: Vec<u8>,
}

/// Asks for a room's GroupInfo and tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfoRequest {
    /// The room.
    pub room: RoomId,
    /// Why the asker may see it.
    pub access: RoomAccess,
}

/// Why somebody may see a room's GroupInfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoomAccess {
    /// It is a member.
    Member,
    /// It holds an invitation.
    Ticket(Box<Signed<Ticket>>),
}

/// What joining by external commit or resyncing takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfoReply {
    /// The epoch's GroupInfo, without the tree.
    pub group_info: Vec<u8>,
    /// Its tree.
    pub tree: TreeRef,
    /// Proposals pending in this epoch, which the commit must cover.
    pub pending: Vec<Vec<u8>>,
    /// The log's head.
    pub head: Head,
}

/// A ratchet tree, inline when small, else to be fetched in chunks by its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeRef {
    /// The epoch of which it is the tree.
    pub epoch: Epoch,
    /// SHA-256 of its bytes.
    pub hash: [u8; 32],
    /// Its size in bytes.
    pub size: u32,
    /// Its bytes, if inline.
    pub inline: Option<Vec<u8>>,
}

/// Asks for a part of a ratchet tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeChunkRequest {
    /// The room.
    pub room: RoomId,
    /// Why the asker may see it.
    pub access: RoomAccess,
    /// The epoch of which the tree is wanted.
    pub epoch: Epoch,
    /// SHA-256 of the whole tree.
    pub hash: [u8; 32],
    /// Where the chunk begins, in bytes; it has [`crate::limits::CHUNK_BYTES`] or what is left.
    pub offset: u32,
}

/// Asks for a KeyPackage, to add somebody to a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimKeyPackage {
    /// The room.
    pub room: RoomId,
    /// Who is to be added.
    pub account: AccountDid,
    /// The homeserver of that account.
    pub home: ServerDid,
    /// The room's suite.
    pub suite: Suite,
}

/// A KeyPackage, claimed for one room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedKeyPackage {
    /// The MLS KeyPackage.
    pub key_package: Vec<u8>,
    /// Its reference, by which the Welcome finds its device.
    pub reference: KeyPackageRef,
}

/// A commit with all that belongs to it; one transaction at the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitRequest {
    /// The room.
    pub room: RoomId,
    /// The sender's id for it; repeating it returns the first answer.
    pub message_id: MessageId,
    /// Commit, Welcome and GroupInfo.
    pub bundle: CommitBundle,
}

/// A SelfRemove proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The room.
    pub room: RoomId,
    /// The sender's id for it; repeating it returns the first answer.
    pub message_id: MessageId,
    /// The MLS proposal, a PublicMessage.
    pub proposal: Vec<u8>,
}

/// An invitation that only the invitee's devices can open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedInvite {
    /// Whom it is for.
    pub account: AccountDid,
    /// The invitee's homeserver.
    pub home: ServerDid,
    /// The sender's id for it; repeating it is idempotent.
    pub message_id: MessageId,
    /// For each of the invitee's devices, the payload sealed to it.
    pub sealed: Vec<(DeviceId, Vec<u8>)>,
}

/// Where something stands in a room's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// The head right after it: its own term, position and hash.
    pub at: Head,
    /// The sender's leaf.
    pub sender: LeafIndex,
    /// When the hub ordered it.
    pub time: UnixMillis,
}

/// Asks for entries of a room's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// The room.
    pub room: RoomId,
    /// The end of the log as the asker has it; entries after it are wanted. Position 0 with a zero
    /// hash asks from where the asker's organization came in.
    pub after: Head,
    /// Not beyond this position.
    pub until: Seq,
}

/// How a server is, as its own users may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerStatus {
    /// The server.
    pub server: ServerDid,
    /// Its software version.
    pub version: String,
    /// Its clock.
    pub time: UnixMillis,
    /// When it started.
    pub started: UnixMillis,
    /// The asker's messages that the server holds and the hub has not ordered yet.
    pub waiting: u32,
    /// The peers with which it deals.
    pub peers: Vec<PeerStatus>,
}

/// How a link to a peer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// The peer.
    pub server: ServerDid,
    /// Whether it is reachable.
    pub reach: PeerReach,
    /// How many items are owed to it.
    pub owed: u64,
}

/// Whether a peer is reachable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerReach {
    /// Connected now.
    Connected,
    /// Nothing is owed, so no connection is held.
    Idle,
    /// Not reachable.
    Unreachable {
        /// Since when.
        since: UnixMillis,
    },
}
