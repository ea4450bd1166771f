//! What every store has to do, as a suite for the tests of the crates that implement one.
//!
//! [`BEHAVIOURS`] are checked one by one, each on an empty store; [`differential`] plays random
//! changes on two stores and compares everything that can be read. Nothing here needs a runtime; a
//! store that does drives the futures itself.
//!
//! To add a behaviour: a function in the file of its rows, and its name in the list below.

mod accounts;
mod chance;
pub mod crash;
mod differential;
mod key_packages;
mod log;
mod nodes;
mod observation;
mod outboxes;
mod pages;
mod parked;
mod peers;
mod pending;
mod queues;
mod rooms;
mod sample;
mod transactions;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use entente_homeserver_core::Change;
use futures::executor::block_on;
use futures::future::BoxFuture;

pub use chance::{Step, change};
pub use differential::{History, compare, differential, history};
pub use observation::{Observation, observe};

use crate::store::{Page, Read, Store, StoreFault};

/// Something that every store does.
pub struct Behaviour {
    /// What it is about, and what is so.
    pub name: &'static str,
    /// Checks it on an empty store.
    ///
    /// # Panics
    /// When the store behaves otherwise.
    pub check: for<'a> fn(&'a dyn Store) -> BoxFuture<'a, ()>,
}

macro_rules! behaviours {
    ($($about:ident { $($name:ident),+ $(,)? })+) => {
        /// Every behaviour.
        pub const BEHAVIOURS: &[Behaviour] = &[$($(
            Behaviour {
                name: concat!(stringify!($about), "::", stringify!($name)),
                check: |store| Box::pin($about::$name(store)),
            },
        )+)+];
    };
}

behaviours! {
    accounts {
        an_account_is_found_by_itself_and_by_its_name,
        an_account_that_is_put_again_is_replaced,
        a_name_belongs_to_one_account,
        devices_are_their_accounts_in_order,
    }
    key_packages {
        a_key_package_is_found_until_it_is_dropped,
        only_unclaimed_ones_of_single_use_are_counted,
        the_one_that_ends_first_is_claimable,
        suites_ends_and_accounts_are_kept_apart,
        a_last_resort_serves_again_when_nothing_else_is_left,
        a_last_resort_is_dropped_by_device_and_suite,
        a_claim_is_found_by_room_and_reference,
    }
    rooms {
        a_room_that_is_put_again_is_replaced,
        numbers_that_a_peer_chose_are_kept_whole,
        members_are_those_who_did_not_leave,
        times_of_a_servers_devices_are_kept_when_they_end,
        a_time_in_a_room_ends_once,
        coming_back_begins_another_time,
        memberships_are_a_devices_in_order_of_room,
        a_group_is_patched_by_key,
        epochs_are_kept_until_they_are_dropped,
        rooms_come_in_pages,
    }
    log {
        entries_come_in_order_between_two_positions,
        a_log_may_have_gaps_and_begin_late,
        a_position_is_taken_once,
        a_message_is_in_a_log_once_for_each_origin,
        a_message_is_found_in_its_log,
        origins_are_distinct_and_in_order,
        an_attestation_is_added_or_replaced,
        an_entry_that_is_not_there_is_not_attested,
        the_last_attested_entry_is_sought_near_the_end,
        entries_of_any_size_come_back_whole,
        entries_are_dropped_up_to_a_position,
        how_far_back_a_log_goes_is_kept,
    }
    peers {
        a_peer_that_is_put_again_is_replaced,
        peers_are_listed_in_order,
        peers_come_in_pages,
    }
    nodes {
        a_node_is_replaced_and_forgotten,
        nodes_are_listed_in_order,
        a_link_is_replaced_and_comes_in_pages,
        log_ends_are_those_of_rooms_that_are_held,
        queue_ends_are_those_of_devices_at_home,
    }
    outboxes {
        what_is_owed_comes_in_order_after_a_number,
        a_pointer_gives_the_entry_as_it_is_stored,
        a_pointer_to_no_entry_is_left_out,
        a_number_is_owed_once,
        what_is_dropped_is_owed_no_more,
        rooms_owed_are_distinct_and_in_order,
        the_oldest_owed_entry_is_any_peers,
    }
    pending {
        a_waiting_message_is_replaced_and_dropped,
        waiting_messages_are_counted_by_account,
    }
    queues {
        a_queue_comes_in_order_after_a_number,
        a_number_is_queued_once,
        invitations_are_counted_by_who_handed_them_over,
        what_is_dropped_is_queued_no_more,
    }
    parked {
        parked_items_come_oldest_first,
        an_item_that_is_parked_again_is_replaced,
        parked_items_are_counted_by_peer,
        a_room_forgets_parked_entries_up_to_a_position,
    }
    pages {
        a_page_ends_at_its_items,
        a_page_ends_at_its_bytes,
        a_page_holds_one_item_of_any_size,
    }
    transactions {
        an_empty_store_answers_with_nothing,
        reads_within_a_transaction_see_what_it_wrote,
        what_is_read_together_is_what_is_read_one_by_one,
        a_dropped_transaction_leaves_nothing,
        a_view_stays_as_it_was,
        nobody_sees_a_transaction_before_its_commit,
        writers_wait_for_each_other,
        a_transaction_that_failed_is_not_committed,
        changes_are_made_in_order,
    }
}

impl fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Checks every behaviour, each on a store of its own that `fresh` opens empty.
///
/// # Panics
/// When a store behaves otherwise; each behaviour that it does not show is named.
pub fn check_all(mut fresh: impl FnMut() -> Box<dyn Store>) {
    let mut missing = Vec::new();
    for behaviour in BEHAVIOURS {
        let store = fresh();
        let check = AssertUnwindSafe(|| block_on((behaviour.check)(&*store)));
        if catch_unwind(check).is_err() {
            missing.push(behaviour.name);
        }
    }
    assert!(missing.is_empty(), "the store does not show {missing:#?}");
}

/// A page that admits everything.
const ALL: Page = Page {
    items: usize::MAX,
    bytes: usize::MAX,
};

/// What is committed by now.
async fn view(store: &dyn Store) -> Box<dyn Read> {
    store.read().await.expect("the store can be read")
}

/// Makes changes and commits them.
async fn write(store: &dyn Store, changes: Vec<Change>) {
    let mut tx = store.begin().await.expect("the store can be written");
    tx.apply(changes).await.expect("the changes can be made");
    tx.commit().await.expect("the transaction can be committed");
}

/// Makes changes of which one makes no sense: the store says so and keeps none of them.
async fn refuse(store: &dyn Store, changes: Vec<Change>) {
    let before = observe(&mut *view(store).await).await;
    let mut tx = store.begin().await.expect("the store can be written");
    let fault = tx.apply(changes).await.expect_err("makes no sense");
    assert!(matches!(fault, StoreFault::Broken(_)), "{fault:?}");
    drop(tx);
    before.assert_same(&observe(&mut *view(store).await).await);
}
