//! The storage seam: reads named in domain words, one verb that writes.
//!
//! Object-safe on purpose. Reads within a transaction see what it applied. A store that is asked for a
//! row that does not exist answers `None` or an empty list; faults are for what is broken.

use async_trait::async_trait;
use entente_groups::{Epoch, KeyPackageRef, MessageId, RoomId, Suite};
use entente_homeserver_core::Change;
use entente_homeserver_core::rows::{
    AccountRow, ClaimRow, DeviceRow, EpochRow, EquivocationRow, KeyPackageRow, LinkRow, LogEnd,
    MemberRow, NodeId, NodeRow, ParkedRow, PeerRow, PendingRow, PinRow, QueuedRow, RetentionRow,
    RoomRow,
};
use entente_identity::{AccountDid, DeviceId, LocalPart, ServerDid, UnixMillis};
use entente_protocol::call::Ordered;
use entente_protocol::entry::{Entry, Seq};
use entente_protocol::equivocation::ShownHead;

use crate::wanted::{Found, Wanted};

/// Why a store did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreFault {
    /// It cannot now: full, locked, gone. Nothing was written; trying again may help.
    #[error("the database cannot answer now: {0}")]
    Unavailable(String),
    /// Another writer changed what this transaction had read. Nothing was written; the same commands,
    /// with the rows as they are now, may go through.
    #[error("another writer of the database was first: {0}")]
    Conflict(String),
    /// The database was lost while it committed: everything is written, or nothing. Repeating is safe.
    #[error("the database was lost while it committed, so that it may be written or not: {0}")]
    Unknown(String),
    /// What it holds or was given makes no sense: a bug, or damage.
    #[error("the database holds something that cannot be: {0}")]
    Broken(String),
}

/// How far back from a log's end [`Read::last_attested`] looks, in positions.
pub const LAST_ATTESTED_WITHIN: u64 = 4_096;

/// How much one read returns at most; one item is returned even if it is larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Most items.
    pub items: usize,
    /// Most bytes: of entries and queue items as they are encoded, of owed and parked items as they
    /// are handed over.
    pub bytes: usize,
}

impl Page {
    /// Whether an item of `next_bytes` still fits after `items` items of `bytes` bytes together.
    #[must_use]
    pub fn admits(&self, items: usize, bytes: usize, next_bytes: usize) -> bool {
        items < self.items && (items == 0 || bytes.saturating_add(next_bytes) <= self.bytes)
    }
}

/// What can be read.
#[async_trait]
pub trait Read: Send {
    /// The account.
    async fn account(&mut self, account: &AccountDid) -> Result<Option<AccountRow>, StoreFault>;

    /// The account of this name.
    async fn account_named(&mut self, local: &LocalPart) -> Result<Option<AccountRow>, StoreFault>;

    /// The devices of an account, in ascending order.
    async fn devices(&mut self, account: &AccountDid) -> Result<Vec<DeviceRow>, StoreFault>;

    /// The KeyPackage of this reference.
    async fn key_package(
        &mut self,
        reference: &KeyPackageRef,
    ) -> Result<Option<KeyPackageRow>, StoreFault>;

    /// How many unclaimed KeyPackages of single use a device has.
    async fn key_package_count(
        &mut self,
        account: &AccountDid,
        device: &DeviceId,
    ) -> Result<u32, StoreFault>;

    /// The KeyPackage to give out next, of that suite and not ended at `now`: an unclaimed one of
    /// single use, else a last resort, however often it was claimed. Of several the one that ends
    /// first, then the one of the lowest reference.
    async fn claimable(
        &mut self,
        account: &AccountDid,
        suite: Suite,
        now: UnixMillis,
    ) -> Result<Option<KeyPackageRow>, StoreFault>;

    /// The claim of a KeyPackage for a room.
    async fn claim(
        &mut self,
        room: &RoomId,
        reference: &KeyPackageRef,
    ) -> Result<Option<ClaimRow>, StoreFault>;

    /// The room.
    async fn room(&mut self, room: &RoomId) -> Result<Option<RoomRow>, StoreFault>;

    /// A device's time in a room, even if it has ended.
    async fn member(
        &mut self,
        room: &RoomId,
        account: &AccountDid,
        device: &DeviceId,
    ) -> Result<Option<MemberRow>, StoreFault>;

    /// The devices that are in a room now, in ascending order of account and device.
    async fn members(&mut self, room: &RoomId) -> Result<Vec<MemberRow>, StoreFault>;

    /// The times in a room of a server's devices, even ended ones, in ascending order of account and
    /// device. Of a device that came back only the last.
    async fn member_times(
        &mut self,
        room: &RoomId,
        home: &ServerDid,
    ) -> Result<Vec<MemberRow>, StoreFault>;

    /// A device's times in all rooms, even ended ones, in ascending order of room.
    async fn memberships(
        &mut self,
        account: &AccountDid,
        device: &DeviceId,
    ) -> Result<Vec<MemberRow>, StoreFault>;

    /// Entries of a room after one position, up to another, in order.
    async fn entries(
        &mut self,
        room: &RoomId,
        after: Seq,
        until: Seq,
        page: Page,
    ) -> Result<Vec<Entry>, StoreFault>;

    /// How far back a room's log goes, once it was looked at.
    async fn retention(&mut self, room: &RoomId) -> Result<Option<RetentionRow>, StoreFault>;

    /// At most so many rooms after one in ascending order, or from the first one on.
    async fn rooms_after(
        &mut self,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomId>, StoreFault>;

    /// Where a message stands in a room's log.
    async fn ordered(
        &mut self,
        room: &RoomId,
        origin: &ServerDid,
        message_id: &MessageId,
    ) -> Result<Option<Ordered>, StoreFault>;

    /// The distinct origins of a room's entries after one position, up to another, in ascending order.
    async fn origins(
        &mut self,
        room: &RoomId,
        after: Seq,
        until: Seq,
    ) -> Result<Vec<ServerDid>, StoreFault>;

    /// The rows of a room's group, of its current epoch, in ascending order of keys.
    async fn group(&mut self, room: &RoomId) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreFault>;

    /// A room's group at an epoch.
    async fn epoch(&mut self, room: &RoomId, epoch: Epoch) -> Result<Option<EpochRow>, StoreFault>;

    /// The peer.
    async fn peer(&mut self, server: &ServerDid) -> Result<Option<PeerRow>, StoreFault>;

    /// All peers, in ascending order.
    async fn peers(&mut self) -> Result<Vec<PeerRow>, StoreFault>;

    /// At most so many peers after one in ascending order, or from the first one on.
    async fn peers_after(
        &mut self,
        after: Option<&ServerDid>,
        limit: usize,
    ) -> Result<Vec<PeerRow>, StoreFault>;

    /// The node of this server.
    async fn node(&mut self, node: &NodeId) -> Result<Option<NodeRow>, StoreFault>;

    /// All nodes of this server, in ascending order.
    async fn nodes(&mut self) -> Result<Vec<NodeRow>, StoreFault>;

    /// Who drives the link to a peer.
    async fn link(&mut self, peer: &ServerDid) -> Result<Option<LinkRow>, StoreFault>;

    /// Who drives the links to at most so many peers after one in ascending order, or from the first
    /// one on.
    async fn links_after(
        &mut self,
        after: Option<&ServerDid>,
        limit: usize,
    ) -> Result<Vec<LinkRow>, StoreFault>;

    /// How far the logs of these rooms go, in ascending order; of those that are held here.
    async fn log_ends(&mut self, rooms: &[RoomId]) -> Result<Vec<LogEnd>, StoreFault>;

    /// How far the queues of these devices go, in ascending order; of those that are at home here.
    async fn queue_ends(
        &mut self,
        devices: &[(AccountDid, DeviceId)],
    ) -> Result<Vec<DeviceRow>, StoreFault>;

    /// What is pinned of a server's keys.
    async fn pin(&mut self, server: &ServerDid) -> Result<Option<PinRow>, StoreFault>;

    /// The proof that a room's hub showed two histories.
    async fn equivocation(&mut self, room: &RoomId) -> Result<Option<EquivocationRow>, StoreFault>;

    /// The last entry of a room that its hub signed as a head: its header and the signature. It is sought
    /// among the last [`LAST_ATTESTED_WITHIN`] positions only: a hub that signs nothing costs no more.
    async fn last_attested(&mut self, room: &RoomId) -> Result<Option<ShownHead>, StoreFault>;

    /// What is owed to a peer after a number, in order: numbers and the items' bytes, entries taken
    /// from the log. An entry that is owed but not in the log any more is left out.
    async fn owed(
        &mut self,
        peer: &ServerDid,
        after: u64,
        page: Page,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreFault>;

    /// The distinct rooms of which entries are owed to a peer, up to a number, in ascending order.
    async fn owed_rooms(&mut self, peer: &ServerDid, up_to: u64)
    -> Result<Vec<RoomId>, StoreFault>;

    /// The first entry of a room that is still owed to any peer.
    async fn oldest_owed(&mut self, room: &RoomId) -> Result<Option<Seq>, StoreFault>;

    /// A message that waits for its hub.
    async fn pending(
        &mut self,
        room: &RoomId,
        message_id: &MessageId,
    ) -> Result<Option<PendingRow>, StoreFault>;

    /// How many messages of an account wait for their hubs.
    async fn pending_count(&mut self, account: &AccountDid) -> Result<u32, StoreFault>;

    /// A device's queue after a number, in order.
    async fn queued(
        &mut self,
        account: &AccountDid,
        device: &DeviceId,
        after: u64,
        page: Page,
    ) -> Result<Vec<QueuedRow>, StoreFault>;

    /// How many invitations of each server wait in a device's queue, in ascending order of server.
    async fn waiting_invites(
        &mut self,
        account: &AccountDid,
        device: &DeviceId,
    ) -> Result<Vec<(ServerDid, u32)>, StoreFault>;

    /// Parked items, oldest first; those of one time in the order of peer, stream epoch and number.
    async fn parked(&mut self, page: Page) -> Result<Vec<ParkedRow>, StoreFault>;

    /// How many items of a peer are parked.
    async fn parked_count(&mut self, peer: &ServerDid) -> Result<u64, StoreFault>;

    /// Rooms, members and messages that are wanted together: the same as if each were asked for by
    /// itself, but for how long it takes.
    async fn together(&mut self, wanted: &Wanted) -> Result<Found, StoreFault>;
}

/// A transaction: reads see its own writes; dropped without commit it never was.
#[async_trait]
pub trait Tx: Read {
    /// Writes these changes, in order. After a fault the transaction can only be dropped: some of
    /// them may have been written to it.
    async fn apply(&mut self, changes: Vec<Change>) -> Result<(), StoreFault>;

    /// Makes everything durable. When this returns, a power cut does not undo it; when it fails,
    /// nothing was written, unless the fault is [`StoreFault::Unknown`], and except that a disk which
    /// fails in the middle may turn out to have it.
    async fn commit(self: Box<Self>) -> Result<(), StoreFault>;
}

/// Who writes to a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// Whoever holds this store, and nobody else.
    One,
    /// Other nodes of the same server may, too: what is in memory may be old, and rows are asked again.
    Several,
}

/// A homeserver's database.
#[async_trait]
pub trait Store: Send + Sync {
    /// Who writes to it.
    fn writers(&self) -> Writers;

    /// A consistent view for reading: what is committed by now, and nothing later. Views are few:
    /// whoever holds one opens no other, and drops it before waiting for anything else.
    async fn read(&self) -> Result<Box<dyn Read>, StoreFault>;

    /// Begins a transaction; the writers of one store wait for each other. If several stores share a
    /// database, a transaction whose reads another one has overtaken fails with
    /// [`StoreFault::Conflict`], at the latest when it commits.
    async fn begin(&self) -> Result<Box<dyn Tx>, StoreFault>;
}
