//! Rows that are read together: the hot ones of many commands, in one question to the store.

use std::collections::{BTreeMap, BTreeSet};

use entente_groups::{MessageId, RoomId};
use entente_homeserver_core::rows::{MemberRow, PendingRow, RoomRow};
use entente_identity::{AccountDid, DeviceId, ServerDid};
use entente_protocol::call::Ordered;

use crate::store::{Read, StoreFault};

/// A device's time in a room, by its key.
pub type MemberKey = (RoomId, AccountDid, DeviceId);
/// A message in a room's log, by its key.
pub type MessageKey = (RoomId, ServerDid, MessageId);
/// A message that waits for its hub, by its key.
pub type PendingKey = (RoomId, MessageId);

/// The keys of rows that are wanted; of those that are not there nothing comes back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// As by [`Read::room`], and whether [`Read::equivocation`] has anything.
    pub rooms: BTreeSet<RoomId>,
    /// As by [`Read::member`].
    pub members: BTreeSet<MemberKey>,
    /// As by [`Read::ordered`].
    pub messages: BTreeSet<MessageKey>,
    /// As by [`Read::pending`].
    pub pending: BTreeSet<PendingKey>,
}

/// The rows of a [`Wanted`] that are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The rooms.
    pub rooms: BTreeMap<RoomId, RoomRow>,
    /// Those of the wanted rooms whose hub showed two histories.
    pub frozen: BTreeSet<RoomId>,
    /// The members.
    pub members: BTreeMap<MemberKey, MemberRow>,
    /// Where messages stand in their rooms' logs.
    pub ordered: BTreeMap<MessageKey, Ordered>,
    /// Messages that wait for their hubs.
    pub pending: BTreeMap<PendingKey, PendingRow>,
}

impl Wanted {
    /// Whether nothing is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Asks for each row by itself: for a store that answers without going anywhere.
///
/// # Errors
/// The store does not answer.
pub async fn one_by_one<R: Read + ?Sized>(
    read: &mut R,
    wanted: &Wanted,
) -> Result<Found, StoreFault> {
    let mut found = Found::default();
    for id in &wanted.rooms {
        if let Some(row) = read.room(id).await? {
            found.rooms.insert(*id, row);
        }
        if read.equivocation(id).await?.is_some() {
            found.frozen.insert(*id);
        }
    }
    for key in &wanted.members {
        if let Some(row) = read.member(&key.0, &key.1, &key.2).await? {
            found.members.insert(*key, row);
        }
    }
    for key in &wanted.messages {
        if let Some(ordered) = read.ordered(&key.0, &key.1, &key.2).await? {
            found.ordered.insert(key.clone(), ordered);
        }
    }
    for key in &wanted.pending {
        if let Some(row) = read.pending(&key.0, &key.1).await? {
            found.pending.insert(*key, row);
        }
    }
    Ok(found)
}
