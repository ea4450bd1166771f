//! What goes when, and what never does.

use entente_groups::{Epoch, RoomId};
use entente_protocol::entry::{EntryHash, Head, Term};

use super::*;

const DAY_MS: u64 = 24 * 3600 * 1000;
const KEEP_MS: u64 = 31 * DAY_MS;

fn room(head: u64, pending: &[u64]) -> RoomRow {
    RoomRow {
        room: RoomId([1; 32]),
        hub: "did:web:org-a.example".parse().expect("a DID"),
        head: Head {
            term: Term(1),
            seq: Seq(head),
            hash: EntryHash([1; 32]),
        },
        epoch: Epoch(1),
        delivered: Seq(0),
        pending: pending.iter().copied().map(Seq).collect(),
        followers: Vec::new(),
    }
}

fn row(kept_from: u64, marks: &[(u64, u64)]) -> RetentionRow {
    RetentionRow {
        room: RoomId([1; 32]),
        kept_from: Seq(kept_from),
        marks: marks
            .iter()
            .map(|(seq, day)| (Seq(*seq), UnixMillis(day * DAY_MS)))
            .collect(),
    }
}

/// Looks on a day; gives the row afterwards, up to where entries were deleted, and whether more may go.
fn on(
    day: u64,
    room: &RoomRow,
    before: RetentionRow,
    needed: Needed,
) -> (RetentionRow, u64, Retained) {
    let decision = retain(
        room,
        before.clone(),
        needed,
        KEEP_MS,
        UnixMillis(day * DAY_MS),
    );
    let (mut after, mut dropped) = (before, 0);
    for change in decision.changes {
        match change {
            Change::DropEntries { up_to, .. } => dropped = up_to.0,
            Change::PutRetention(row) => after = row,
            other => panic!("{other:?}"),
        }
    }
    (after, dropped, decision.reply)
}

#[test]
fn what_was_here_for_so_long_goes() {
    let nothing = Needed::default();
    let (marked, dropped, _) = on(0, &room(10, &[]), row(1, &[]), nothing);
    assert_eq!((marked.clone(), dropped), (row(1, &[(10, 0)]), 0));
    let (same, dropped, _) = on(30, &room(10, &[]), marked.clone(), nothing);
    assert_eq!((same, dropped), (marked.clone(), 0));
    let (later, dropped, reply) = on(31, &room(20, &[]), marked, nothing);
    assert_eq!(dropped, 10);
    assert_eq!(reply, Retained::All);
    assert_eq!(later, row(11, &[(20, 31)]));
}

#[test]
fn what_somebody_needs_stays_and_goes_later() {
    let marked = row(1, &[(10, 0)]);
    let owed = Needed {
        owed: Some(Seq(5)),
        ..Needed::default()
    };
    let (held, dropped, _) = on(31, &room(20, &[]), marked.clone(), owed);
    assert_eq!((held.clone(), dropped), (row(5, &[(10, 0), (20, 31)]), 4));
    let (_, dropped, _) = on(32, &room(20, &[]), held, Needed::default());
    assert_eq!(dropped, 10);
    let signed = Needed {
        signed: Some(Seq(3)),
        ..Needed::default()
    };
    assert_eq!(on(31, &room(20, &[]), marked.clone(), signed).1, 2);
    assert_eq!(
        on(31, &room(20, &[7]), marked.clone(), Needed::default()).1,
        6
    );
    // The end of the log is what the next entry is chained to.
    assert_eq!(on(31, &room(10, &[]), marked, Needed::default()).1, 9);
}

#[test]
fn a_large_backlog_goes_in_bounded_parts() {
    let (mut row, room) = (row(1, &[(2_000, 0)]), room(3_000, &[]));
    let mut parts = Vec::new();
    loop {
        let (next, dropped, reply) = on(40, &room, row, Needed::default());
        parts.push(dropped);
        row = next;
        if reply == Retained::All {
            break;
        }
    }
    assert_eq!(parts, [512, 1_024, 1_536, 2_000]);
    let (same, dropped, _) = on(40, &room, row.clone(), Needed::default());
    assert_eq!((same, dropped), (row, 0));
}

#[test]
fn marks_stay_few_and_entries_go_in_time() {
    let mut row = row(1, &[]);
    for day in 0..400 {
        let (next, _, reply) = on(day, &room(10 * (day + 1), &[]), row, Needed::default());
        assert_eq!(reply, Retained::All);
        row = next;
        assert!(row.marks.len() <= MAX_MARKS, "{row:?}");
        // What came on day n goes on day n + 31 or the day after, never earlier.
        let kept = 10 * (day.saturating_sub(31) + 1);
        if day >= 33 {
            assert!(
                (kept - 10..=kept + 1).contains(&row.kept_from.0),
                "day {day}: {row:?}"
            );
        }
        assert!(row.kept_from.0 <= kept + 1, "day {day}: {row:?}");
    }
}
