//! KeyPackages and claims.

use entente_groups::{KeyPackageUse, Suite};
use entente_homeserver_core::Change;
use entente_homeserver_core::rows::{Claimant, KeyPackageRow};
use entente_identity::UnixMillis;

use super::sample::{account, claim_row, device, key_package_row, reference, room, server};
use super::{view, write};
use crate::store::Store;

fn claimed(row: KeyPackageRow, of: u8) -> KeyPackageRow {
    KeyPackageRow {
        claimed: Some(Claimant {
            room: room(of),
            hub: server(of),
        }),
        ..row
    }
}

fn last_resort(row: KeyPackageRow) -> KeyPackageRow {
    KeyPackageRow {
        usage: KeyPackageUse::LastResort,
        ..row
    }
}

fn classical(row: KeyPackageRow) -> KeyPackageRow {
    KeyPackageRow {
        suite: Suite::Classical,
        ..row
    }
}

async fn put(store: &dyn Store, rows: impl IntoIterator<Item = KeyPackageRow>) {
    let changes = rows.into_iter().map(Change::PutKeyPackage);
    write(store, changes.collect()).await;
}

/// What is claimable of an account in a suite at a time, by its reference.
async fn check(store: &dyn Store, of: u8, suite: Suite, now: u64, expect: Option<u8>) {
    let mut read = view(store).await;
    let row = read.claimable(&account(of), suite, UnixMillis(now)).await;
    let row = row.expect("the read is answered");
    let found = row.as_ref().map(|row| row.reference.clone());
    assert_eq!(found, expect.map(reference), "of {of} in {suite} at {now}");
    if let Some(row) = row {
        assert_eq!(read.key_package(&row.reference).await, Ok(Some(row)));
    }
}

pub(super) async fn a_key_package_is_found_until_it_is_dropped(store: &dyn Store) {
    let row = key_package_row(1, 0, 50);
    put(store, [row.clone()]).await;
    let replaced = claimed(last_resort(classical(key_package_row(1, 2, 60))), 2);
    let found = view(store).await.key_package(&reference(1)).await;
    assert_eq!(found, Ok(Some(row)));
    put(store, [replaced.clone()]).await;
    let found = view(store).await.key_package(&reference(1)).await;
    assert_eq!(found, Ok(Some(replaced)));
    write(store, vec![Change::DropKeyPackage(reference(1))]).await;
    let found = view(store).await.key_package(&reference(1)).await;
    assert_eq!(found, Ok(None));
    write(store, vec![Change::DropKeyPackage(reference(1))]).await;
}

pub(super) async fn only_unclaimed_ones_of_single_use_are_counted(store: &dyn Store) {
    let rows = [
        key_package_row(1, 0, 50),
        classical(key_package_row(2, 0, 50)),
        claimed(key_package_row(3, 0, 50), 1),
        last_resort(key_package_row(4, 0, 50)),
        key_package_row(5, 1, 50),
    ];
    put(store, rows).await;
    let mut read = view(store).await;
    let count = read.key_package_count(&account(0), &device(0)).await;
    assert_eq!(count, Ok(2));
    let count = read.key_package_count(&account(0), &device(1)).await;
    assert_eq!(count, Ok(0));
}

pub(super) async fn the_one_that_ends_first_is_claimable(store: &dyn Store) {
    let rows = [(3, 60), (1, 50), (4, 40), (2, 40)].map(|(n, ends)| key_package_row(n, 0, ends));
    put(store, rows).await;
    check(store, 0, Suite::PostQuantum, 10, Some(2)).await;
    put(store, [claimed(key_package_row(2, 0, 40), 1)]).await;
    check(store, 0, Suite::PostQuantum, 10, Some(4)).await;
    check(store, 0, Suite::PostQuantum, 39, Some(4)).await;
    check(store, 0, Suite::PostQuantum, 40, Some(1)).await;
    check(store, 0, Suite::PostQuantum, 60, None).await;
}

pub(super) async fn suites_ends_and_accounts_are_kept_apart(store: &dyn Store) {
    let of_another_device = KeyPackageRow {
        device: device(2),
        ..key_package_row(3, 0, 30)
    };
    let rows = [
        key_package_row(1, 0, 50),
        classical(key_package_row(2, 0, 40)),
        of_another_device,
    ];
    put(store, rows).await;
    check(store, 0, Suite::PostQuantum, 0, Some(3)).await;
    check(store, 0, Suite::PostQuantum, 30, Some(1)).await;
    check(store, 0, Suite::Classical, 0, Some(2)).await;
    check(store, 0, Suite::Classical, 45, None).await;
    check(store, 1, Suite::Classical, 0, None).await;
}

pub(super) async fn a_last_resort_serves_again_when_nothing_else_is_left(store: &dyn Store) {
    let rows = [
        last_resort(key_package_row(1, 0, 20)),
        key_package_row(2, 0, 50),
    ];
    put(store, rows).await;
    check(store, 0, Suite::PostQuantum, 0, Some(2)).await;
    put(store, [claimed(key_package_row(2, 0, 50), 1)]).await;
    check(store, 0, Suite::PostQuantum, 0, Some(1)).await;
    put(store, [claimed(last_resort(key_package_row(1, 0, 20)), 2)]).await;
    check(store, 0, Suite::PostQuantum, 0, Some(1)).await;
    check(store, 0, Suite::PostQuantum, 20, None).await;
}

pub(super) async fn a_last_resort_is_dropped_by_device_and_suite(store: &dyn Store) {
    let of_another_device = KeyPackageRow {
        device: device(2),
        ..last_resort(key_package_row(4, 0, 50))
    };
    let rows = [
        last_resort(key_package_row(1, 0, 50)),
        last_resort(classical(key_package_row(2, 0, 50))),
        key_package_row(3, 0, 50),
        of_another_device,
    ];
    put(store, rows).await;
    let drop = Change::DropLastResort {
        account: account(0),
        device: device(0),
        suite: Suite::PostQuantum,
    };
    write(store, vec![drop]).await;
    let mut read = view(store).await;
    for (n, expect) in [(1, false), (2, true), (3, true), (4, true)] {
        let row = read.key_package(&reference(n)).await;
        assert_eq!(row.expect("answered").is_some(), expect, "{n}");
    }
}

pub(super) async fn a_claim_is_found_by_room_and_reference(store: &dyn Store) {
    let rows = [claim_row(0, 1, 0), claim_row(1, 1, 1), claim_row(0, 1, 2)];
    write(store, rows.map(Change::PutClaim).into()).await;
    let mut read = view(store).await;
    let found = read.claim(&room(0), &reference(1)).await;
    assert_eq!(found, Ok(Some(claim_row(0, 1, 2))));
    let found = read.claim(&room(1), &reference(1)).await;
    assert_eq!(found, Ok(Some(claim_row(1, 1, 1))));
    assert_eq!(read.claim(&room(0), &reference(2)).await, Ok(None));
}
