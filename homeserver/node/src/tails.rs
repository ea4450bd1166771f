//! The ends of the logs that are being read now, shared by all flows that follow them.
//!
//! Many devices read the same entry within the same millisecond; it is loaded and encoded once. A tail
//! holds the last entries of one room without gaps; whoever wants older ones reads the store. Tails are
//! a cache over rows: [`Tails::mark`] says that the room has grown, and the next reader looks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use entente_groups::{LeafIndex, RoomId};
use entente_homeserver_core::receive::{EntryRoster, roster_of};
use entente_homeserver_ops::{Page, Store, StoreFault};
use entente_identity::{ServerDid, encode};
use entente_protocol::entry::{Entry, EntryKind, Seq};
use entente_protocol::limits::{MAX_PAGE_BYTES, MAX_PAGE_ENTRIES};
use moka::sync::Cache;
use tokio::sync::Mutex;

/// Most bytes of all tails together.
const MAX_BYTES: u64 = 48 * 1024 * 1024;
/// Most bytes of one tail.
const MAX_TAIL_BYTES: usize = 2 * 1024 * 1024;
/// Most entries of one tail: what a few transactions bring at most.
const MAX_TAIL_ENTRIES: usize = 2048;
/// How many entries before the head a new tail begins.
const FIRST_ENTRIES: u64 = 32;
/// A tail that nobody reads is forgotten after this time.
const IDLE: Duration = Duration::from_secs(60);

/// An entry, ready to be sent.
#[derive(Debug)]
pub struct TailEntry {
    /// Its position.
    pub seq: Seq,
    /// Who sent it: the server that vouches, and the leaf.
    pub sender: (ServerDid, LeafIndex),
    /// Who came and went by it, if anybody did.
    pub roster: Option<EntryRoster>,
    bytes: Vec<u8>,
}

/// A shared entry, as bytes for the wire.
#[derive(Clone, Debug)]
pub struct Encoded(pub Arc<TailEntry>);

/// What a room's end has for a reader.
#[derive(Debug)]
pub struct Slice {
    /// The room's hub.
    pub hub: ServerDid,
    /// The next entries; empty when there is nothing new.
    pub entries: Vec<Encoded>,
    /// Whether more follow now.
    pub more: bool,
    /// Every member server has the log up to here.
    pub delivered: Seq,
}

/// All tails.
pub struct Tails {
    store: Arc<dyn Store>,
    tails: Cache<RoomId, Arc<Tail>>,
}

struct Tail {
    stale: AtomicBool,
    bytes: AtomicU32,
    end: Mutex<Option<End>>,
}

struct End {
    hub: ServerDid,
    delivered: Seq,
    /// The position before the first entry that is held.
    after: Seq,
    /// The position of the last one.
    head: Seq,
    bytes: usize,
    entries: VecDeque<Arc<TailEntry>>,
}

impl AsRef<[u8]> for Encoded {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl Tails {
    /// No tails yet.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        let tails = Cache::builder()
            .max_capacity(MAX_BYTES)
            .weigher(|_, tail: &Arc<Tail>| tail.bytes.load(Ordering::Relaxed).max(1024))
            .time_to_idle(IDLE)
            .build();
        Self { store, tails }
    }

    /// Says that a room has grown, before anybody is woken for it.
    pub fn mark(&self, room: RoomId) {
        if let Some(tail) = self.tails.get(&room) {
            tail.stale.store(true, Ordering::Release);
        }
    }

    /// The entries after a position, as far as one page goes. `None` if the tail does not reach back
    /// that far, or the room is not held here: read the store.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn slice(&self, room: RoomId, after: Seq) -> Result<Option<Slice>, StoreFault> {
        let tail = self.tails.get_with(room, || Arc::new(Tail::new()));
        let mut end = tail.end.lock().await;
        if tail.stale.swap(false, Ordering::AcqRel) {
            let grown = refresh(&*self.store, room, end.take()).await;
            if grown.is_err() {
                tail.stale.store(true, Ordering::Release);
            }
            *end = grown?;
            let bytes = end.as_ref().map_or(0, |end| end.bytes);
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            tail.bytes.store(bytes, Ordering::Relaxed);
            // Inserting tells the cache the new weight. A tail that was evicted meanwhile stays out: the
            // one in its place is the one that is marked.
            let current = self.tails.get(&room);
            if current.is_some_and(|current| Arc::ptr_eq(&current, &tail)) {
                self.tails.insert(room, Arc::clone(&tail));
            }
        }
        Ok(end.as_ref().and_then(|end| end.slice(after)))
    }
}

impl Tail {
    fn new() -> Self {
        Self {
            stale: AtomicBool::new(true),
            bytes: AtomicU32::new(0),
            end: Mutex::new(None),
        }
    }
}

/// Reads what came since. A tail that has fallen behind by more than a page begins anew.
async fn refresh(
    store: &dyn Store,
    room: RoomId,
    known: Option<End>,
) -> Result<Option<End>, StoreFault> {
    let mut read = store.read().await?;
    let Some(row) = read.room(&room).await? else {
        return Ok(None);
    };
    let head = row.head.seq;
    let begin = |after: Seq| End {
        hub: row.hub.clone(),
        delivered: row.delivered,
        after,
        head: after,
        bytes: 0,
        entries: VecDeque::new(),
    };
    let recent = Seq(head.0.saturating_sub(FIRST_ENTRIES));
    let mut end = known
        .filter(|end| end.head <= head && head.0 - end.head.0 <= MAX_TAIL_ENTRIES as u64)
        .unwrap_or_else(|| begin(recent));
    end.hub = row.hub.clone();
    end.delivered = row.delivered;
    while end.head < head {
        let page = Page {
            items: MAX_PAGE_ENTRIES,
            bytes: MAX_PAGE_BYTES,
        };
        let entries = read.entries(&room, end.head, head, page).await?;
        // A follower that came in late does not hold what was before it.
        match entries.first().map(|entry| entry.header.seq) {
            None => return Ok(Some(begin(head))),
            Some(first) if first != end.head.next() => end = begin(Seq(first.0 - 1)),
            Some(_) => {}
        }
        for entry in entries {
            end.push(entry);
        }
    }
    Ok(Some(end))
}

impl End {
    fn push(&mut self, entry: Entry) {
        self.head = entry.header.seq;
        let entry = TailEntry::new(entry);
        self.bytes += entry.bytes.len();
        self.entries.push_back(Arc::new(entry));
        while self.entries.len() > MAX_TAIL_ENTRIES || self.bytes > MAX_TAIL_BYTES {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes.len();
            self.after = oldest.seq;
        }
    }

    fn slice(&self, after: Seq) -> Option<Slice> {
        if after < self.after {
            return None;
        }
        let skip = usize::try_from(after.0 - self.after.0).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let entries: Vec<Encoded> = self
            .entries
            .iter()
            .skip(skip)
            .take(MAX_PAGE_ENTRIES)
            .take_while(|entry| {
                bytes += entry.bytes.len();
                bytes <= MAX_PAGE_BYTES || bytes == entry.bytes.len()
            })
            .map(|entry| Encoded(Arc::clone(entry)))
            .collect();
        let at = entries.last().map_or(after, |entry| entry.0.seq);
        Some(Slice {
            hub: self.hub.clone(),
            more: at < self.head,
            entries,
            delivered: self.delivered,
        })
    }
}

impl TailEntry {
    fn new(entry: Entry) -> Self {
        // An entry in the log was judged when it came in: its body is well formed.
        let roster = match entry.header.kind {
            EntryKind::Application => None,
            EntryKind::Create | EntryKind::Commit | EntryKind::Proposal => roster_of(&entry).ok(),
        };
        Self {
            seq: entry.header.seq,
            sender: (entry.header.origin.clone(), entry.header.sender),
            roster,
            bytes: encode(&entry),
        }
    }
}

#[cfg(test)]
mod tests;
