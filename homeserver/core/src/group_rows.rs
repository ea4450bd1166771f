//! The rows of a room's group at its hub: the current epoch's, changed by what a commit changes.
//!
//! A commit in a filled tree touches a few rows of many. Each epoch that ended keeps what leads back to
//! it from the next, so that a recent epoch's tree can be served without being stored a second time.

use std::collections::BTreeMap;

use entente_groups::{CommitFault, PublicRoom, RoomId, StateDelta};
use entente_identity::{CodecFault, decode_exact, encode};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes};

use crate::change::Change;
use crate::rows::EpochRow;

/// The rows of a room's group, by key.
pub type GroupRows = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct Undo {
    puts: Vec<UndoPut>,
    deletes: Vec<VLBytes>,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct UndoPut {
    key: VLBytes,
    value: VLBytes,
}

/// Why a group cannot be read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupRowsFault {
    /// What leads back is malformed.
    #[error(transparent)]
    Undo(#[from] CodecFault),
    /// The rows are no group.
    #[error(transparent)]
    Group(#[from] CommitFault),
}

/// The write that takes a room's group to the next epoch.
#[must_use]
pub fn patch(room: RoomId, delta: StateDelta) -> Change {
    Change::PatchGroup {
        room,
        puts: delta.puts,
        deletes: delta.deletes,
    }
}

/// What leads back from the rows after `delta` to `rows`.
#[must_use]
pub fn undo(rows: &GroupRows, delta: &StateDelta) -> Vec<u8> {
    let touched = delta.puts.iter().map(|(key, _)| key).chain(&delta.deletes);
    let mut undo = Undo {
        puts: Vec::new(),
        deletes: Vec::new(),
    };
    for key in touched {
        match rows.get(key) {
            Some(value) => undo.puts.push(UndoPut {
                key: key.clone().into(),
                value: value.clone().into(),
            }),
            None => undo.deletes.push(key.clone().into()),
        }
    }
    encode(&undo)
}

/// Leads the rows of a current epoch back to an earlier one. `epochs` are the rows from the earlier
/// epoch up to the one before the current, in ascending order.
///
/// # Errors
/// What leads back is malformed.
pub fn rewind(mut rows: GroupRows, epochs: &[EpochRow]) -> Result<GroupRows, CodecFault> {
    for epoch in epochs.iter().rev() {
        let undo: Undo = decode_exact("what leads back to an epoch", &epoch.undo)?;
        for key in undo.deletes {
            rows.remove(key.as_slice());
        }
        for put in undo.puts {
            rows.insert(put.key.into(), put.value.into());
        }
    }
    Ok(rows)
}

/// Reads a room's group from its rows.
///
/// # Errors
/// The rows are no group.
pub fn restore(room: RoomId, rows: &GroupRows) -> Result<PublicRoom, GroupRowsFault> {
    let rows = rows.iter().map(|(key, value)| (key.clone(), value.clone()));
    PublicRoom::from_rows(room, rows).map_err(GroupRowsFault::Group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use entente_groups::Epoch;

    fn rows(pairs: &[(u8, u8)]) -> GroupRows {
        pairs.iter().map(|(k, v)| (vec![*k], vec![*v])).collect()
    }

    fn after(rows: &GroupRows, delta: &StateDelta) -> GroupRows {
        let mut rows = rows.clone();
        for key in &delta.deletes {
            rows.remove(key);
        }
        rows.extend(delta.puts.iter().cloned());
        rows
    }

    #[test]
    fn past_epochs_are_read_back_from_the_current_rows() {
        let first = rows(&[(1, 1), (2, 2), (3, 3)]);
        let step = |puts: &[(u8, u8)], deletes: &[u8]| StateDelta {
            puts: rows(puts).into_iter().collect(),
            deletes: deletes.iter().map(|k| vec![*k]).collect(),
        };
        let (one, two) = (step(&[(2, 9), (4, 4)], &[3]), step(&[(3, 7)], &[1, 4]));
        let second = after(&first, &one);
        let third = after(&second, &two);
        let epoch = |n, undo| EpochRow {
            room: RoomId([0; 32]),
            epoch: Epoch(n),
            group_info: Vec::new(),
            undo,
            tree_hash: [0; 32],
            tree_bytes: 0,
        };
        let epochs = [epoch(0, undo(&first, &one)), epoch(1, undo(&second, &two))];
        assert_eq!(rewind(third.clone(), &epochs[1..]), Ok(second));
        assert_eq!(rewind(third.clone(), &epochs), Ok(first));
        assert_eq!(rewind(third.clone(), &[]), Ok(third));
    }
}
