//! The writer over a store that tests can hold up and break.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use entente_homeserver_core::register::RegistrationPolicy;
use entente_homeserver_core::rows::PeerRow;
use entente_homeserver_ops::memory::MemoryStore;
use entente_homeserver_ops::{Read, Tx, Writers};
use entente_identity::{ServerDid, SigningKey};
use rand::rngs::OsRng;

use super::*;

/// A store that holds transactions up while its gate is closed, and refuses them while it is broken.
struct Gated {
    rows: MemoryStore,
    gate: Semaphore,
    broken: AtomicBool,
    begun: AtomicUsize,
}

impl Gated {
    fn closed() -> Arc<Self> {
        Arc::new(Self {
            rows: MemoryStore::new(),
            gate: Semaphore::new(0),
            broken: AtomicBool::new(false),
            begun: AtomicUsize::new(0),
        })
    }
}

#[async_trait]
impl Store for Gated {
    fn writers(&self) -> Writers {
        Writers::One
    }

    async fn read(&self) -> Result<Box<dyn Read>, StoreFault> {
        self.rows.read().await
    }

    async fn begin(&self) -> Result<Box<dyn Tx>, StoreFault> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let pass = self.gate.acquire().await.expect("never closed");
        drop(pass);
        if self.broken.load(Ordering::SeqCst) {
            return Err(StoreFault::Unavailable("the disk is full".to_owned()));
        }
        self.rows.begin().await
    }
}

fn here() -> Here {
    Here {
        me: "did:web:org-a.test".parse().expect("a DID"),
        key_id: "fed-1".to_owned(),
        key: SigningKey::generate(&mut OsRng),
        registration: RegistrationPolicy::Open,
    }
}

fn peer() -> ServerDid {
    "did:web:org-b.test".parse().expect("a DID")
}

fn greeted(stream_epoch: u64) -> Command {
    Command::Greeted {
        peer: peer(),
        stream_epoch,
        begins_after: 0,
    }
}

fn start(store: &Arc<Gated>) -> (Writer, WriterThread) {
    let store: Arc<dyn Store> = Arc::clone(store) as _;
    Writer::start(store, here(), |_| {}).expect("a thread")
}

async fn stored(store: &Gated) -> Option<PeerRow> {
    let mut read = store.rows.read().await.expect("a view");
    read.peer(&peer()).await.expect("an answer")
}

#[tokio::test]
async fn what_queues_while_a_transaction_is_under_way_becomes_the_next_one() {
    let store = Gated::closed();
    let (writer, _thread) = start(&store);
    let pending: Vec<Pending> = (1..=400)
        .map(|epoch| writer.try_submit(greeted(epoch)).expect("there is room"))
        .collect();
    while store.begun.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(stored(&store).await, None, "nothing is answered before");
    store.gate.add_permits(1);
    for (pending, epoch) in pending.into_iter().zip(1..) {
        match pending.answer().await.expect("taken") {
            Answer::Peer(row) => assert_eq!(row.incoming.epoch, epoch, "in order"),
            other => panic!("{other:?}"),
        }
    }
    assert!(store.begun.load(Ordering::SeqCst) <= 3);
    assert_eq!(
        stored(&store).await.map(|row| row.incoming.epoch),
        Some(400)
    );
}

#[tokio::test]
async fn a_full_queue_is_busy_and_an_answer_follows_its_commit() {
    let store = Gated::closed();
    let (writer, _thread) = start(&store);
    let mut pending = Vec::new();
    let busy = loop {
        match writer.try_submit(greeted(1)) {
            Ok(queued) => pending.push(queued),
            Err(fault) => break fault,
        }
        assert!(pending.len() <= QUEUE_COMMANDS + MAX_BATCH);
    };
    assert_eq!(busy.code, FaultCode::Busy);
    assert!(busy.retry_after_ms.is_some());
    assert!(pending[0].try_answer().is_none());
    store.gate.add_permits(1);
    for queued in pending {
        queued.answer().await.expect("taken");
    }
    assert_eq!(writer.memory.available_permits(), QUEUE_KIB as usize);
}

#[tokio::test]
async fn d7_a_store_that_fails_answers_nobody_with_success_and_is_used_again() {
    let store = Gated::closed();
    store.gate.add_permits(1);
    store.broken.store(true, Ordering::SeqCst);
    let (writer, mut thread) = start(&store);
    let fault = writer
        .execute(greeted(1))
        .await
        .expect_err("nothing was written");
    assert_eq!(fault.code, FaultCode::Busy);
    thread.condition.changed().await.expect("it tells");
    assert!(matches!(
        *thread.condition.borrow_and_update(),
        Condition::Failing(_)
    ));
    assert_eq!(stored(&store).await, None);
    store.broken.store(false, Ordering::SeqCst);
    writer.execute(greeted(2)).await.expect("taken");
    assert_eq!(*thread.condition.borrow_and_update(), Condition::Good);
    assert_eq!(stored(&store).await.map(|row| row.incoming.epoch), Some(2));
}

#[tokio::test]
async fn the_thread_ends_with_the_last_handle() {
    let store = Gated::closed();
    let (writer, thread) = start(&store);
    let second = writer.clone();
    drop(writer);
    drop(second);
    assert!(thread.ended.await.is_err(), "its sender is gone");
}

/// Peers whose batches wait for a slow database take a half of the queue: devices are still served.
#[tokio::test]
async fn d6_batches_of_peers_never_take_the_whole_queue() {
    let store = Gated::closed();
    let (writer, _thread) = start(&store);
    let mut flood = tokio::task::JoinSet::new();
    for number in 0..3 * QUEUE_COMMANDS as u64 {
        let writer = writer.clone();
        flood.spawn(async move { writer.submit(greeted(number)).await?.answer().await });
    }
    // The flood has come as far as it gets while the database stands still.
    while writer.relayed.places.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let of_a_device = writer.try_submit(greeted(1)).expect("there is room");
    store.gate.add_permits(1);
    assert!(of_a_device.answer().await.is_ok());
    while let Some(done) = flood.join_next().await {
        assert!(done.expect("runs").is_ok(), "each is taken in its turn");
    }
    assert_eq!(writer.relayed.places.available_permits(), RELAYED_COMMANDS);
}
