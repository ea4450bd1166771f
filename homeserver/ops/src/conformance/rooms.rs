//! Rooms, who is in them, and their groups.

use entente_groups::Epoch;
use entente_homeserver_core::Change;
use entente_homeserver_core::rows::{MemberRow, RoomRow};
use entente_identity::{AccountDid, DeviceId};
use entente_protocol::entry::{Head, Seq, Term};

use super::sample::{account, device, epoch_row, head, member_row, room, room_row, server};
use super::{view, write};
use crate::store::Store;

async fn put_members(store: &dyn Store, rows: impl IntoIterator<Item = MemberRow>) {
    let changes = rows.into_iter().map(Change::PutMember);
    write(store, changes.collect()).await;
}

fn end(of: u8, account_n: u8, device_n: u8, left: u64) -> Change {
    Change::EndMember {
        room: room(of),
        account: account(account_n),
        device: device(device_n),
        left: Seq(left),
    }
}

pub(super) async fn a_room_that_is_put_again_is_replaced(store: &dyn Store) {
    let first = room_row(2, 3);
    write(store, vec![Change::PutRoom(first.clone())]).await;
    assert_eq!(view(store).await.room(&room(2)).await, Ok(Some(first)));
    let second = RoomRow {
        room: room(2),
        ..room_row(1, 0)
    };
    write(store, vec![Change::PutRoom(second.clone())]).await;
    let mut read = view(store).await;
    assert_eq!(read.room(&room(2)).await, Ok(Some(second)));
    assert_eq!(read.room(&room(1)).await, Ok(None));
}

pub(super) async fn numbers_that_a_peer_chose_are_kept_whole(store: &dyn Store) {
    let row = RoomRow {
        head: Head {
            term: Term(u32::MAX),
            ..head(u64::MAX, 4)
        },
        epoch: Epoch(u64::MAX),
        delivered: Seq(u64::MAX - 1),
        pending: vec![Seq(u64::MAX), Seq(1 << 63)],
        ..room_row(1, 1)
    };
    write(store, vec![Change::PutRoom(row.clone())]).await;
    assert_eq!(view(store).await.room(&room(1)).await, Ok(Some(row)));
}

pub(super) async fn members_are_those_who_did_not_leave(store: &dyn Store) {
    let mut rows: Vec<MemberRow> = [(0, 2), (0, 0), (1, 1), (2, 0)]
        .map(|(account_n, device_n)| member_row(1, account_n, device_n, 4))
        .into();
    let elsewhere = member_row(0, 0, 1, 1);
    put_members(store, rows.iter().cloned().chain([elsewhere.clone()])).await;
    write(store, vec![end(1, 1, 1, 9)]).await;
    let mut read = view(store).await;
    let gone = rows.remove(2);
    rows.sort_by_key(|row| (row.account, row.device));
    assert_eq!(read.members(&room(1)).await, Ok(rows));
    assert_eq!(read.members(&room(0)).await, Ok(vec![elsewhere]));
    assert_eq!(read.members(&room(2)).await, Ok(Vec::new()));
    let still_known = read.member(&room(1), &gone.account, &gone.device).await;
    let left = Some(Seq(9));
    assert_eq!(still_known, Ok(Some(MemberRow { left, ..gone })));
}

pub(super) async fn times_of_a_servers_devices_are_kept_when_they_end(store: &dyn Store) {
    let of = |home, account_n, device_n| MemberRow {
        home: server(home),
        ..member_row(1, account_n, device_n, 4)
    };
    let rows = [of(0, 0, 0), of(0, 0, 1), of(1, 1, 0), of(0, 2, 0)];
    put_members(store, rows.clone()).await;
    put_members(store, [member_row(0, 0, 0, 1)]).await;
    write(store, vec![end(1, 0, 1, 9)]).await;
    let [first, second, elsewhere, third] = rows;
    let ended = MemberRow {
        left: Some(Seq(9)),
        ..second
    };
    let mut times = vec![first, ended, third];
    times.sort_by_key(|row| (row.account, row.device));
    let mut read = view(store).await;
    assert_eq!(read.member_times(&room(1), &server(0)).await, Ok(times));
    let there = read.member_times(&room(1), &server(1)).await;
    assert_eq!(there, Ok(vec![elsewhere]));
    let nowhere = read.member_times(&room(2), &server(0)).await;
    assert_eq!(nowhere, Ok(Vec::new()));
}

pub(super) async fn a_time_in_a_room_ends_once(store: &dyn Store) {
    put_members(store, [member_row(0, 0, 0, 2)]).await;
    let ends = [(0, 0, 0, 5), (0, 0, 0, 8), (0, 1, 0, 5), (1, 0, 0, 5)];
    write(store, ends.map(|(r, a, d, seq)| end(r, a, d, seq)).into()).await;
    write(store, vec![end(0, 0, 0, 3)]).await;
    let mut read = view(store).await;
    let member = read.member(&room(0), &account(0), &device(0)).await;
    let left = member.expect("answered").and_then(|row| row.left);
    assert_eq!(left, Some(Seq(5)));
    for (r, a) in [(0, 1), (1, 0)] {
        let nobody = read.member(&room(r), &account(a), &device(0)).await;
        assert_eq!(nobody, Ok(None));
    }
}

pub(super) async fn coming_back_begins_another_time(store: &dyn Store) {
    put_members(store, [member_row(0, 0, 0, 2)]).await;
    write(store, vec![end(0, 0, 0, 5)]).await;
    let again = MemberRow {
        home: server(2),
        ..member_row(0, 0, 0, 9)
    };
    put_members(store, [again.clone()]).await;
    let mut read = view(store).await;
    assert_eq!(read.members(&room(0)).await, Ok(vec![again]));
}

pub(super) async fn memberships_are_a_devices_in_order_of_room(store: &dyn Store) {
    let rows = [(2, 0, 0), (0, 0, 0), (1, 0, 1), (1, 1, 0)]
        .map(|(of, account_n, device_n)| member_row(of, account_n, device_n, 3));
    put_members(store, rows).await;
    write(store, vec![end(2, 0, 0, 7)]).await;
    let rooms_of = async |account: AccountDid, device: DeviceId| -> Vec<(u8, Option<Seq>)> {
        let rows = view(store).await.memberships(&account, &device).await;
        let rows = rows.expect("answered");
        rows.iter().map(|row| (row.room.0[0], row.left)).collect()
    };
    let expect = [(0, None), (2, Some(Seq(7)))];
    assert_eq!(rooms_of(account(0), device(0)).await, expect);
    assert_eq!(rooms_of(account(1), device(0)).await, [(1, None)]);
    assert_eq!(rooms_of(account(2), device(0)).await, []);
}

pub(super) async fn a_group_is_patched_by_key(store: &dyn Store) {
    let row = |key: &str, value: &str| (key.as_bytes().to_vec(), value.as_bytes().to_vec());
    let patch = |of: u8, puts: Vec<(Vec<u8>, Vec<u8>)>, deletes: &[&str]| Change::PatchGroup {
        room: room(of),
        puts,
        deletes: deletes.iter().map(|key| key.as_bytes().to_vec()).collect(),
    };
    let first = vec![row("leaf", "1"), row("ab", "2"), row("", "3"), row("a", "")];
    write(store, vec![patch(0, first, &["nothing"])]).await;
    let second = vec![row("leaf", "4"), row("b", "5")];
    write(store, vec![patch(0, second, &["ab", "b"])]).await;
    write(store, vec![patch(1, vec![row("x", "6")], &[])]).await;
    let mut read = view(store).await;
    let expect = vec![row("", "3"), row("a", ""), row("b", "5"), row("leaf", "4")];
    assert_eq!(read.group(&room(0)).await, Ok(expect));
    assert_eq!(read.group(&room(1)).await, Ok(vec![row("x", "6")]));
    assert_eq!(read.group(&room(2)).await, Ok(Vec::new()));
}

pub(super) async fn epochs_are_kept_until_they_are_dropped(store: &dyn Store) {
    let rows = [(0, 3, 1), (0, 4, 2), (0, 5, 3), (1, 3, 4), (0, 5, 6)];
    let changes = rows.map(|(of, epoch, n)| Change::PutEpoch(epoch_row(of, epoch, n)));
    write(store, changes.into()).await;
    let (of, before) = (room(0), Epoch(5));
    write(store, vec![Change::DropEpochs { room: of, before }]).await;
    let mut read = view(store).await;
    for gone in [3, 4, 6] {
        assert_eq!(read.epoch(&room(0), Epoch(gone)).await, Ok(None));
    }
    let kept = read.epoch(&room(0), Epoch(5)).await;
    assert_eq!(kept, Ok(Some(epoch_row(0, 5, 6))));
    let other = read.epoch(&room(1), Epoch(3)).await;
    assert_eq!(other, Ok(Some(epoch_row(1, 3, 4))));
}

pub(super) async fn rooms_come_in_pages(store: &dyn Store) {
    let rows = [3, 1, 2].map(|n| Change::PutRoom(room_row(n, 1)));
    write(store, rows.into()).await;
    let mut read = view(store).await;
    let mut all = [1, 2, 3].map(room);
    all.sort_unstable();
    for (after, limit, expect) in [
        (None, usize::MAX, &all[..]),
        (None, 2, &all[..2]),
        (Some(&all[0]), 1, &all[1..2]),
        (Some(&all[1]), 9, &all[2..]),
        (Some(&all[2]), 9, &[]),
        (None, 0, &[]),
    ] {
        let page = read.rooms_after(after, limit).await;
        assert_eq!(page, Ok(expect.to_vec()), "{limit} after {after:?}");
    }
}
