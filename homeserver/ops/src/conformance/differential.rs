//! Random histories played on two stores, which have to stay the same.

use futures::executor::block_on;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::chance::{Step, change};
use super::observation::observe;
use crate::store::{Store, StoreFault};

/// Transactions in order: the steps of each, and whether it is committed.
pub type History = Vec<(Vec<Step>, bool)>;

/// Histories of some transactions, most of them committed.
pub fn history() -> impl Strategy<Value = History> {
    let steps = prop::collection::vec(any::<Step>(), 1..8);
    prop::collection::vec((steps, prop::bool::weighted(0.8)), 1..16)
}

/// Plays random histories on pairs of stores that `fresh` opens empty. A history on which they differ
/// is shrunk and printed.
///
/// # Panics
/// When the stores differ.
pub fn differential(cases: u32, fresh: impl Fn() -> (Box<dyn Store>, Box<dyn Store>)) {
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&history(), |history| {
        let (left, right) = fresh();
        block_on(compare(&*left, &*right, &history));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// Plays one history on both stores and compares every answer on the way.
///
/// # Panics
/// When the stores differ.
pub async fn compare(left: &dyn Store, right: &dyn Store, history: &History) {
    for (steps, committed) in history {
        play(left, right, steps, *committed).await;
        let left = left.read().await.expect("the left store can be read");
        let right = right.read().await.expect("the right store can be read");
        same(left, right).await;
    }
}

async fn play(left: &dyn Store, right: &dyn Store, steps: &[Step], committed: bool) {
    let mut left = left.begin().await.expect("the left store can be written");
    let mut right = right.begin().await.expect("the right store can be written");
    for step in steps {
        let changes = vec![change(*step)];
        let applied = left.apply(changes.clone()).await.map_err(|f| kind(&f));
        let other = right.apply(changes).await.map_err(|f| kind(&f));
        assert_eq!(applied, other, "applying {:?}", change(*step));
        if applied.is_err() {
            return;
        }
    }
    let seen = observe(&mut *left).await;
    seen.assert_same(&observe(&mut *right).await);
    if committed {
        left.commit().await.expect("the left store can commit");
        right.commit().await.expect("the right store can commit");
    }
}

async fn same(mut left: Box<dyn crate::Read>, mut right: Box<dyn crate::Read>) {
    let seen = observe(&mut *left).await;
    seen.assert_same(&observe(&mut *right).await);
}

/// Stores agree on what kind of fault it is, and each says it in its own words.
fn kind(fault: &StoreFault) -> &'static str {
    match fault {
        StoreFault::Unavailable(_) => "unavailable",
        StoreFault::Conflict(_) => "conflict",
        StoreFault::Unknown(_) => "unknown",
        StoreFault::Broken(_) => "broken",
    }
}
