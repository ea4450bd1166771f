//! Rooms' logs.

use entente_groups::{Epoch, MessageId};
use entente_homeserver_core::Change;
use entente_protocol::call::Ordered;
use entente_protocol::entry::{Entry, EntryKind, Seq};

use super::sample::{attestation, entry, message, retention_row, room, server};
use super::{ALL, refuse, view, write};
use crate::store::{LAST_ATTESTED_WITHIN, Store};

async fn append(store: &dyn Store, entries: impl IntoIterator<Item = Entry>) {
    let changes = entries.into_iter().map(Change::AppendEntry);
    write(store, changes.collect()).await;
}

/// The positions that a room's log holds after one, up to another.
async fn check(store: &dyn Store, of: u8, (after, until): (u64, u64), expect: &[u64]) {
    let mut read = view(store).await;
    let entries = read.entries(&room(of), Seq(after), Seq(until), ALL).await;
    let entries = entries.expect("the read is answered");
    let seqs: Vec<u64> = entries.iter().map(|entry| entry.header.seq.0).collect();
    assert_eq!(seqs, expect, "of {of} after {after} until {until}");
}

pub(super) async fn entries_come_in_order_between_two_positions(store: &dyn Store) {
    let entries = [2, 1, 4, 3].map(|seq| entry(0, seq, 1, 10 + seq as u8));
    append(store, entries.clone()).await;
    append(store, [entry(1, 2, 1, 12)]).await;
    check(store, 0, (0, 9), &[1, 2, 3, 4]).await;
    check(store, 0, (1, 3), &[2, 3]).await;
    check(store, 0, (3, 3), &[]).await;
    check(store, 0, (3, 1), &[]).await;
    check(store, 0, (4, u64::MAX), &[]).await;
    check(store, 0, (u64::MAX, u64::MAX), &[]).await;
    check(store, 1, (0, u64::MAX), &[2]).await;
    check(store, 2, (0, u64::MAX), &[]).await;
    let mut read = view(store).await;
    let found = read.entries(&room(0), Seq(1), Seq(2), ALL).await;
    assert_eq!(found, Ok(vec![entries[0].clone()]));
}

pub(super) async fn a_log_may_have_gaps_and_begin_late(store: &dyn Store) {
    let far = 1 << 40;
    append(
        store,
        [7, 8, 20, far].map(|seq| entry(0, seq, 0, seq as u8)),
    )
    .await;
    check(store, 0, (0, u64::MAX), &[7, 8, 20, far]).await;
    check(store, 0, (8, 20), &[20]).await;
    check(store, 0, (far - 1, far), &[far]).await;
}

pub(super) async fn a_position_is_taken_once(store: &dyn Store) {
    append(store, [entry(0, 1, 0, 1)]).await;
    refuse(store, vec![Change::AppendEntry(entry(0, 1, 0, 2))]).await;
    let free_first = [entry(0, 2, 0, 3), entry(0, 1, 0, 4)];
    refuse(store, free_first.map(Change::AppendEntry).into()).await;
    append(store, [entry(1, 1, 0, 1)]).await;
}

pub(super) async fn a_message_is_in_a_log_once_for_each_origin(store: &dyn Store) {
    append(store, [entry(0, 1, 0, 1)]).await;
    refuse(store, vec![Change::AppendEntry(entry(0, 2, 0, 1))]).await;
    append(store, [entry(0, 2, 1, 1), entry(1, 1, 0, 1)]).await;
}

pub(super) async fn a_message_is_found_in_its_log(store: &dyn Store) {
    let entries = [(0, 1, 0), (0, 2, 1), (1, 5, 0)].map(|(of, seq, from)| entry(of, seq, from, 9));
    append(store, entries.clone()).await;
    let mut read = view(store).await;
    for entry in &entries {
        let header = &entry.header;
        let found = read
            .ordered(&header.room, &header.origin, &header.message_id)
            .await;
        let expect = Ordered {
            at: header.head(),
            sender: header.sender,
            time: header.time,
        };
        assert_eq!(found, Ok(Some(expect)));
    }
    let nowhere = [(2, 0, 9), (1, 1, 9), (0, 0, 8)];
    for (of, origin, n) in nowhere {
        let found = read.ordered(&room(of), &server(origin), &message(n)).await;
        assert_eq!(found, Ok(None), "room {of}, origin {origin}, message {n}");
    }
}

pub(super) async fn origins_are_distinct_and_in_order(store: &dyn Store) {
    let origins = [2, 1, 10, 1, 2];
    let entries = (1..)
        .zip(origins)
        .map(|(seq, from)| entry(0, seq, from, seq as u8));
    append(store, entries).await;
    let mut read = view(store).await;
    for ((after, until), expect) in [
        ((0, 9), vec![1, 10, 2]),
        ((1, 4), vec![1, 10]),
        ((2, 3), vec![10]),
        ((5, 9), vec![]),
        ((4, 2), vec![]),
    ] {
        let found = read.origins(&room(0), Seq(after), Seq(until)).await;
        let expect = expect.into_iter().map(server).collect();
        assert_eq!(found, Ok(expect), "after {after} until {until}");
    }
}

pub(super) async fn an_attestation_is_added_or_replaced(store: &dyn Store) {
    let mut first = entry(0, 1, 0, 1);
    let mut second = entry(0, 2, 0, 2);
    second.attestation = Some(attestation(&second, 0));
    append(store, [first.clone(), second.clone()]).await;
    first.attestation = Some(attestation(&first, 9));
    second.attestation = Some(attestation(&second, 3));
    let attest = |entry: &Entry| Change::Attest {
        room: room(0),
        seq: entry.header.seq,
        attestation: entry.attestation.clone().expect("made above"),
    };
    write(store, vec![attest(&first), attest(&second)]).await;
    let mut read = view(store).await;
    let found = read.entries(&room(0), Seq(0), Seq(9), ALL).await;
    assert_eq!(found, Ok(vec![first, second]));
}

pub(super) async fn the_last_attested_entry_is_sought_near_the_end(store: &dyn Store) {
    let far = 1 + LAST_ATTESTED_WITHIN;
    let signed = |seq: u64, n: u8| {
        let mut signed = entry(0, seq, 0, n);
        signed.attestation = Some(attestation(&signed, n));
        signed
    };
    let shown = |of: &Entry| Ok(of.shown_head());
    assert_eq!(view(store).await.last_attested(&room(0)).await, Ok(None));
    let (first, second) = (signed(1, 1), signed(2, 2));
    append(store, [first, second.clone(), entry(0, far, 0, 3)]).await;
    let found = view(store).await.last_attested(&room(0)).await;
    assert_eq!(found, shown(&second));
    append(store, [entry(0, far + 1, 0, 4)]).await;
    assert_eq!(view(store).await.last_attested(&room(0)).await, Ok(None));
    let third = signed(far + 2, 5);
    append(store, [third.clone(), entry(0, far + 3, 0, 6)]).await;
    let found = view(store).await.last_attested(&room(0)).await;
    assert_eq!(found, shown(&third));
}

pub(super) async fn an_entry_that_is_not_there_is_not_attested(store: &dyn Store) {
    let first = entry(0, 1, 0, 1);
    append(store, [first.clone()]).await;
    for (of, seq) in [(0, 2), (1, 1)] {
        let attest = Change::Attest {
            room: room(of),
            seq: Seq(seq),
            attestation: attestation(&first, 0),
        };
        refuse(store, vec![attest]).await;
    }
}

pub(super) async fn entries_of_any_size_come_back_whole(store: &dyn Store) {
    let sizes = [0, 1, 63, 64, 16_383, 16_384, 1_500_000];
    let mut entries = Vec::new();
    for (seq, size) in (1..).zip(sizes) {
        let mut entry = entry(0, seq, 0, 0);
        entry.body = vec![seq as u8; size].into();
        entry.header.message_id = MessageId([seq as u8; 16]);
        entry.header.epoch = Epoch(u64::MAX);
        entry.header.kind = EntryKind::Commit;
        entries.push(entry);
    }
    append(store, entries.clone()).await;
    let mut read = view(store).await;
    let found = read.entries(&room(0), Seq(0), Seq(99), ALL).await;
    assert!(found == Ok(entries), "an entry came back changed");
}

pub(super) async fn entries_are_dropped_up_to_a_position(store: &dyn Store) {
    let entries = [1, 2, 3, 5].map(|seq| entry(0, seq, 1, seq as u8));
    append(store, entries.clone()).await;
    append(store, [entry(1, 1, 1, 9)]).await;
    let drop = |of: u8, up_to: u64| Change::DropEntries {
        room: room(of),
        up_to: Seq(up_to),
    };
    write(store, vec![drop(0, 0), drop(2, 9)]).await;
    check(store, 0, (0, 9), &[1, 2, 3, 5]).await;
    write(store, vec![drop(0, 2), drop(0, 1)]).await;
    check(store, 0, (0, 9), &[3, 5]).await;
    check(store, 1, (0, 9), &[1]).await;
    let mut read = view(store).await;
    for (n, is_there) in [(1, false), (2, false), (3, true), (5, true)] {
        let found = read.ordered(&room(0), &server(1), &message(n)).await;
        assert_eq!(found.map(|found| found.is_some()), Ok(is_there), "{n}");
    }
    // A message that was dropped may be ordered again, also in the same transaction.
    let again = Change::AppendEntry(entry(0, 6, 1, 1));
    let last = Change::AppendEntry(entry(0, 7, 1, 3));
    write(store, vec![again, drop(0, 3), last]).await;
    check(store, 0, (0, 9), &[5, 6, 7]).await;
    write(store, vec![drop(0, u64::MAX)]).await;
    check(store, 0, (0, 9), &[]).await;
}

pub(super) async fn how_far_back_a_log_goes_is_kept(store: &dyn Store) {
    assert_eq!(view(store).await.retention(&room(0)).await, Ok(None));
    for row in [retention_row(0, 1, 0), retention_row(0, 7, 32)] {
        let changes = vec![Change::PutRetention(row.clone())];
        write(store, changes).await;
        let kept = view(store).await.retention(&room(0)).await;
        assert_eq!(kept, Ok(Some(row)));
    }
    assert_eq!(view(store).await.retention(&room(1)).await, Ok(None));
}
