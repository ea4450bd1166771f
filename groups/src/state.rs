//! MLS state as a value: what openmls keeps for one group or one device, as rows to be stored.
//!
//! A step is run on a loaded [`GroupState`]; [`GroupState::take_delta`] then says which rows to
//! write and delete, in the same transaction as the message or entry that the step belongs to. If
//! that transaction fails, the value is dropped and loaded again. Rows belong to one group (or to one
//! device's KeyPackages): their keys do not name it.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use zeroize::Zeroizing;

use crate::chunk::{COARSE, FINE, Grain, cut};

/// First byte of the keys of chunks; the entries' own keys begin with their kind.
const CHUNK: u8 = 0xff;

/// One kind of entry: the first byte of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum EntryKind {
    OwnLeafNodes = 0x02,
    Proposal = 0x03,
    Tree = 0x04,
    InterimTranscriptHash = 0x05,
    Context = 0x06,
    ConfirmationTag = 0x07,
    GroupState = 0x08,
    MessageSecrets = 0x09,
    ResumptionPsks = 0x0a,
    OwnLeafIndex = 0x0b,
    EpochSecrets = 0x0c,
    ExportTree = 0x0d,
    EpochKeyPairs = 0x0e,
    SignatureKeyPair = 0x0f,
    EncryptionKeyPair = 0x10,
    KeyPackage = 0x11,
    Psk = 0x12,
    Departure = 0x13,
}

/// A stored row: key and value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// Rows to write and rows to delete; secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StateDelta {
    /// Rows to insert or replace: key and value.
    pub puts: Vec<(Vec<u8>, Vec<u8>)>,
    /// Keys of rows to delete.
    pub deletes: Vec<Vec<u8>>,
}

/// What openmls keeps for one group or device; secret.
#[derive(Default)]
pub struct GroupState {
    cells: RefCell<Cells>,
}

#[derive(Default, Clone)]
struct Cells {
    values: BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>,
    /// The values before the first change since the last delta; `None` where there was none.
    changed: BTreeMap<Vec<u8>, Option<Zeroizing<Vec<u8>>>>,
    /// The chunks in which a value is stored; values not listed are stored whole.
    chunks: BTreeMap<Vec<u8>, Vec<ChunkRow>>,
    next_chunk: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct ChunkRow {
    id: u32,
    length: usize,
}

/// Stored rows that cannot be what was stored, or an entry that could not be coded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateFault {
    /// A row is missing or malformed.
    #[error("the stored group state is damaged: {0}; restore it or rejoin the room")]
    Damaged(&'static str),
    /// An entry could not be encoded or decoded.
    #[error("a group state entry of kind {kind:#04x} could not be {doing}: {reason}")]
    Codec {
        /// The entry's kind.
        kind: u8,
        /// `encoded` or `decoded`.
        doing: &'static str,
        /// The codec's words.
        reason: String,
    },
}

impl StateDelta {
    /// Whether there is nothing to store.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.deletes.is_empty()
    }

    /// Bytes to be written, keys included.
    #[must_use]
    pub fn written_bytes(&self) -> usize {
        self.puts
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum()
    }
}

impl GroupState {
    /// A state with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Loads a state from all of its rows, in any order.
    ///
    /// # Errors
    /// Chunks are missing or left over.
    pub fn from_rows(
        rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<Self, StateFault> {
        let (chunks, entries): (Vec<_>, Vec<_>) = rows
            .into_iter()
            .partition(|(key, _)| key.first() == Some(&CHUNK));
        let mut loose = chunks
            .into_iter()
            .map(|(key, value)| Ok((chunk_id(&key)?, Zeroizing::new(value))))
            .collect::<Result<HashMap<u32, _>, StateFault>>()?;
        let mut cells = Cells {
            next_chunk: loose.keys().max().map_or(0, |id| id.wrapping_add(1)),
            ..Cells::default()
        };
        for (key, value) in entries {
            cells.load(key, value, &mut loose)?;
        }
        if loose.is_empty() {
            Ok(Self {
                cells: RefCell::new(cells),
            })
        } else {
            Err(StateFault::Damaged("chunks are left over"))
        }
    }

    /// What changed since the state was made or last asked, as rows.
    #[must_use]
    pub fn take_delta(&mut self) -> StateDelta {
        self.cells.get_mut().take_delta()
    }

    /// All rows, for a snapshot of the whole.
    #[must_use]
    pub fn to_rows(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut all = self.cells.borrow().clone();
        all.chunks.clear();
        all.next_chunk = 0;
        all.changed = all.values.keys().map(|key| (key.clone(), None)).collect();
        all.take_delta().puts
    }

    /// Length of all entries together, in bytes.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        let cells = self.cells.borrow();
        cells
            .values
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum()
    }

    pub(crate) fn read(&self, key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.cells.borrow().values.get(key).cloned()
    }

    /// Reads an entry where it lies.
    pub(crate) fn with<T>(&self, key: &[u8], read: impl FnOnce(Option<&[u8]>) -> T) -> T {
        let cells = self.cells.borrow();
        read(cells.values.get(key).map(|value| value.as_slice()))
    }

    pub(crate) fn write(&self, key: Vec<u8>, value: Vec<u8>) {
        self.cells
            .borrow_mut()
            .set(key, Some(Zeroizing::new(value)));
    }

    pub(crate) fn delete(&self, key: &[u8]) {
        self.cells.borrow_mut().set(key.to_vec(), None);
    }

    /// The entries of one kind, in the order of their keys.
    pub(crate) fn entries_of(&self, kind: EntryKind) -> Vec<(Vec<u8>, Zeroizing<Vec<u8>>)> {
        let range = vec![kind as u8]..vec![kind as u8 + 1];
        let cells = self.cells.borrow();
        cells
            .values
            .range(range)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    /// A copy, with nothing to store as far as its delta is concerned.
    pub(crate) fn fork(&self) -> Self {
        let mut cells = self.cells.borrow().clone();
        cells.changed.clear();
        Self {
            cells: RefCell::new(cells),
        }
    }
}

impl Cells {
    fn load(
        &mut self,
        key: Vec<u8>,
        value: Vec<u8>,
        loose: &mut HashMap<u32, Zeroizing<Vec<u8>>>,
    ) -> Result<(), StateFault> {
        let (form, body) = value
            .split_first()
            .ok_or(StateFault::Damaged("an empty row"))?;
        if *form == 0 {
            self.values.insert(key, Zeroizing::new(body.to_vec()));
            return Ok(());
        }
        let ids: Vec<u32> =
            postcard::from_bytes(body).map_err(|_| StateFault::Damaged("a list of chunks"))?;
        let mut whole = Zeroizing::new(Vec::new());
        let mut rows = Vec::with_capacity(ids.len());
        for id in ids {
            let chunk = loose
                .remove(&id)
                .ok_or(StateFault::Damaged("a chunk is missing"))?;
            whole.extend_from_slice(&chunk);
            rows.push(ChunkRow {
                id,
                length: chunk.len(),
            });
        }
        self.values.insert(key.clone(), whole);
        self.chunks.insert(key, rows);
        Ok(())
    }

    fn set(&mut self, key: Vec<u8>, value: Option<Zeroizing<Vec<u8>>>) {
        let before = match value {
            Some(value) => self.values.insert(key.clone(), value),
            None => self.values.remove(&key),
        };
        self.changed.entry(key).or_insert(before);
    }

    fn take_delta(&mut self) -> StateDelta {
        let mut delta = StateDelta::default();
        for (key, before) in std::mem::take(&mut self.changed) {
            match self.values.get(&key).cloned() {
                Some(value) if before.as_ref() == Some(&value) => {}
                Some(value) => self.store(key, &value, before.as_deref(), &mut delta),
                None if before.is_none() => {}
                None => {
                    let chunks = self.chunks.remove(&key).unwrap_or_default();
                    delta
                        .deletes
                        .extend(chunks.iter().map(|row| chunk_key(row.id)));
                    delta.deletes.push(key);
                }
            }
        }
        delta
    }

    fn store(
        &mut self,
        key: Vec<u8>,
        value: &[u8],
        before: Option<&Vec<u8>>,
        delta: &mut StateDelta,
    ) {
        let old = self.chunks.remove(&key).unwrap_or_default();
        let grain = grain_of(&key).filter(|grain| value.len() > grain.whole);
        let Some(grain) = grain else {
            delta
                .deletes
                .extend(old.iter().map(|row| chunk_key(row.id)));
            delta.puts.push((key, [&[0], value].concat()));
            return;
        };
        let mut kept = ChunkIndex::new(&old, before.map_or(&[], Vec::as_slice));
        let mut rest = value;
        let mut rows = Vec::new();
        for length in cut(value, grain) {
            let (chunk, tail) = rest.split_at(length);
            rest = tail;
            let id = kept.take(chunk).unwrap_or_else(|| {
                let id = self.next_chunk;
                self.next_chunk = id.wrapping_add(1);
                delta.puts.push((chunk_key(id), chunk.to_vec()));
                id
            });
            rows.push(ChunkRow { id, length });
        }
        delta.deletes.extend(kept.left().map(chunk_key));
        let ids: Vec<u32> = rows.iter().map(|row| row.id).collect();
        let list = postcard::to_allocvec(&ids).expect("a list of numbers has an encoding");
        delta.puts.push((key.clone(), [&[1], &list[..]].concat()));
        self.chunks.insert(key, rows);
    }
}

/// Stored chunks by content, to be used again where the same content is wanted.
struct ChunkIndex<'a> {
    by_content: HashMap<&'a [u8], Vec<u32>>,
}

impl<'a> ChunkIndex<'a> {
    fn new(rows: &[ChunkRow], value: &'a [u8]) -> Self {
        let mut by_content: HashMap<&[u8], Vec<u32>> = HashMap::new();
        let mut rest = value;
        for row in rows {
            let (chunk, tail) = rest.split_at(row.length);
            rest = tail;
            by_content.entry(chunk).or_default().push(row.id);
        }
        Self { by_content }
    }

    fn take(&mut self, chunk: &[u8]) -> Option<u32> {
        self.by_content.get_mut(chunk)?.pop()
    }

    fn left(&self) -> impl Iterator<Item = u32> {
        let mut ids: Vec<u32> = self.by_content.values().flatten().copied().collect();
        ids.sort_unstable();
        ids.into_iter()
    }
}

/// How an entry's value is cut: only the ones that grow with the group are.
fn grain_of(key: &[u8]) -> Option<Grain> {
    let kind = *key.first()?;
    if kind == EntryKind::MessageSecrets as u8 {
        Some(FINE)
    } else if kind == EntryKind::Tree as u8 {
        Some(COARSE)
    } else {
        None
    }
}

fn chunk_key(id: u32) -> Vec<u8> {
    [&[CHUNK], &id.to_be_bytes()[..]].concat()
}

fn chunk_id(key: &[u8]) -> Result<u32, StateFault> {
    let id = key.get(1..).and_then(|id| id.try_into().ok());
    id.map(u32::from_be_bytes)
        .ok_or(StateFault::Damaged("a chunk's key"))
}

impl fmt::Debug for StateDelta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (puts, deletes) = (self.puts.len(), self.deletes.len());
        write!(f, "StateDelta({puts} puts, {deletes} deletes)")
    }
}

impl fmt::Debug for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "GroupState({} entries)",
            self.cells.borrow().values.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Default)]
    struct Table(BTreeMap<Vec<u8>, Vec<u8>>);

    impl Table {
        fn apply(&mut self, delta: StateDelta) {
            for key in delta.deletes {
                assert!(self.0.remove(&key).is_some(), "deletes a row that is there");
            }
            self.0.extend(delta.puts);
        }

        fn load(&self) -> GroupState {
            GroupState::from_rows(self.0.clone()).expect("rows of a state")
        }
    }

    fn values(state: &GroupState) -> BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>> {
        state.cells.borrow().values.clone()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Whatever is written, the rows always make up the same state.
        #[test]
        fn rows_follow_the_state(
            steps in proptest::collection::vec((0u8..4, 0usize..6000, any::<u8>(), any::<bool>()), 1..12)
        ) {
            let mut state = GroupState::new();
            let mut table = Table::default();
            for (which, length, byte, reload) in steps {
                let key = vec![[0x04, 0x06, 0x09, 0x09][usize::from(which)], which];
                if length < 1000 {
                    state.delete(&key);
                } else {
                    let value = (0..length).map(|i| (i / 7) as u8 ^ byte).collect();
                    state.write(key, value);
                }
                table.apply(state.take_delta());
                prop_assert_eq!(values(&table.load()), values(&state));
                if reload {
                    state = table.load();
                }
            }
        }
    }

    #[test]
    fn a_small_change_writes_little_and_no_old_chunk_stays() {
        let mut value: Vec<u8> = (0..30_000u32).flat_map(|i| (i * i).to_be_bytes()).collect();
        let mut state = GroupState::new();
        let mut table = Table::default();
        state.write(vec![0x09], value.clone());
        table.apply(state.take_delta());
        value.splice(50_000..50_048, [7; 60]);
        state.write(vec![0x09], value.clone());
        let delta = state.take_delta();
        assert!(delta.written_bytes() < 5_000, "{}", delta.written_bytes());
        table.apply(delta);
        let rows: usize = table
            .0
            .iter()
            .filter(|(key, _)| key[0] == CHUNK)
            .map(|(_, v)| v.len())
            .sum();
        assert_eq!(rows, value.len());
        assert_eq!(
            GroupState::from_rows(state.to_rows()).map(|s| values(&s)),
            Ok(values(&state))
        );
    }

    #[test]
    fn lost_rows_are_noticed() {
        let mut state = GroupState::new();
        state.write(vec![0x09], vec![1; 5000]);
        let rows = state.take_delta().puts;
        let kept = rows.iter().skip(1).cloned();
        assert!(GroupState::from_rows(kept).is_err());
    }
}
