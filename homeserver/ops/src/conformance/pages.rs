//! How much one read returns.

use entente_homeserver_core::{Change, Owed};
use entente_identity::encode;
use entente_protocol::entry::Seq;

use super::sample::{account, device, entry, parked_row, queued_row, room, server};
use super::{view, write};
use crate::store::{Page, Store};

/// Five of everything that is read in pages, and the bytes that one of each has.
async fn five(store: &dyn Store) -> [usize; 4] {
    let number = |n: u8| u64::from(n);
    let changes = (1..=5).flat_map(|n| {
        let owed = Owed::Item(vec![n; 90]);
        [
            Change::AppendEntry(entry_of(n)),
            Change::Owe {
                peer: server(0),
                number: number(n),
                item: owed,
            },
            Change::Enqueue(queued_row(0, 0, number(n), 1)),
            Change::Park(parked_row(0, number(n), None)),
        ]
    });
    write(store, changes.collect()).await;
    let queued = encode(&queued_row(0, 0, 1, 1).item).len();
    [encode(&entry_of(1)).len(), 90, queued, 30]
}

fn entry_of(n: u8) -> entente_protocol::entry::Entry {
    let mut entry = entry(0, u64::from(n), 0, 20);
    entry.header.message_id = super::sample::message(n);
    entry
}

/// How many of each a page holds, in the order of [`five`].
async fn counts(store: &dyn Store, page: impl Fn(usize) -> Page) -> [usize; 4] {
    let mut read = view(store).await;
    let entries = read.entries(&room(0), Seq(0), Seq(9), page(0)).await;
    let owed = read.owed(&server(0), 0, page(1)).await;
    let queued = read.queued(&account(0), &device(0), 0, page(2)).await;
    let parked = read.parked(page(3)).await;
    [
        entries.expect("answered").len(),
        owed.expect("answered").len(),
        queued.expect("answered").len(),
        parked.expect("answered").len(),
    ]
}

pub(super) async fn a_page_ends_at_its_items(store: &dyn Store) {
    five(store).await;
    for (items, expect) in [(0, 0), (1, 1), (3, 3), (5, 5), (6, 5)] {
        let bytes = usize::MAX;
        let counts = counts(store, |_| Page { items, bytes }).await;
        assert_eq!(counts, [expect; 4], "{items} items");
    }
}

pub(super) async fn a_page_ends_at_its_bytes(store: &dyn Store) {
    let sizes = five(store).await;
    for (fits, spare, expect) in [(2, 0, 2), (3, 1, 3), (2, -1, 1), (9, 0, 5)] {
        let page = |kind: usize| Page {
            items: usize::MAX,
            bytes: (sizes[kind] * fits).saturating_add_signed(spare),
        };
        let counts = counts(store, page).await;
        assert_eq!(counts, [expect; 4], "{fits} items and {spare} bytes");
    }
}

pub(super) async fn a_page_holds_one_item_of_any_size(store: &dyn Store) {
    five(store).await;
    let bytes = 0;
    let counts = counts(store, |_| Page { items: 9, bytes }).await;
    assert_eq!(counts, [1; 4]);
}
