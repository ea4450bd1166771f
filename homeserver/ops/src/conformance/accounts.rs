//! Accounts and their devices.

use entente_homeserver_core::Change;

use super::sample::{account, account_row, device_row, local};
use super::{refuse, view, write};
use crate::store::Store;

pub(super) async fn an_account_is_found_by_itself_and_by_its_name(store: &dyn Store) {
    let (alice, bob) = (account_row(0, 0), account_row(1, 1));
    let changes = [&alice, &bob].map(|row| Change::PutAccount(row.clone()));
    write(store, changes.into()).await;
    let mut read = view(store).await;
    for row in [alice, bob] {
        let by_name = read.account_named(&row.local).await;
        assert_eq!(by_name, Ok(Some(row.clone())));
        assert_eq!(read.account(&row.account).await, Ok(Some(row)));
    }
    assert_eq!(read.account(&account(2)).await, Ok(None));
    assert_eq!(read.account_named(&local(2)).await, Ok(None));
}

pub(super) async fn an_account_that_is_put_again_is_replaced(store: &dyn Store) {
    write(store, vec![Change::PutAccount(account_row(0, 0))]).await;
    let renamed = account_row(0, 1);
    write(store, vec![Change::PutAccount(renamed.clone())]).await;
    let mut read = view(store).await;
    assert_eq!(read.account_named(&local(0)).await, Ok(None));
    let found = read.account_named(&local(1)).await;
    assert_eq!(found, Ok(Some(renamed)));
}

pub(super) async fn a_name_belongs_to_one_account(store: &dyn Store) {
    write(store, vec![Change::PutAccount(account_row(0, 0))]).await;
    refuse(store, vec![Change::PutAccount(account_row(1, 0))]).await;
    let freed = vec![
        Change::PutAccount(account_row(0, 2)),
        Change::PutAccount(account_row(1, 0)),
    ];
    write(store, freed).await;
    let found = view(store).await.account_named(&local(0)).await;
    assert_eq!(found, Ok(Some(account_row(1, 0))));
}

pub(super) async fn devices_are_their_accounts_in_order(store: &dyn Store) {
    let rows = [(0, 2, 5), (1, 1, 6), (0, 0, 7), (0, 2, 8)].map(|(of, n, q)| device_row(of, n, q));
    write(store, rows.map(Change::PutDevice).into()).await;
    let mut read = view(store).await;
    let expect = vec![device_row(0, 0, 7), device_row(0, 2, 8)];
    assert_eq!(read.devices(&account(0)).await, Ok(expect));
    let expect = vec![device_row(1, 1, 6)];
    assert_eq!(read.devices(&account(1)).await, Ok(expect));
    assert_eq!(read.devices(&account(2)).await, Ok(Vec::new()));
}
