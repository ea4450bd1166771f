//! Other writers of the same database are faster: the batch is run again, and at last given up.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use entente_homeserver_core::register::RegistrationPolicy;
use entente_homeserver_ops::memory::MemoryStore;
use entente_homeserver_ops::{
    Answer, Command, Here, Read, Store, StoreFault, Tx, Writers, execute,
};
use entente_identity::{ServerDid, SigningKey, UnixMillis};
use entente_protocol::fault::FaultCode;
use futures::executor::block_on;

/// A store whose first transactions are overtaken.
struct Overtaken {
    rows: MemoryStore,
    left: AtomicU32,
    begun: AtomicU32,
}

#[async_trait]
impl Store for Overtaken {
    fn writers(&self) -> Writers {
        Writers::Several
    }

    async fn read(&self) -> Result<Box<dyn Read>, StoreFault> {
        self.rows.read().await
    }

    async fn begin(&self) -> Result<Box<dyn Tx>, StoreFault> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let overtake = |left: u32| left.checked_sub(1);
        let update = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, overtake);
        match update {
            Ok(_) => Err(StoreFault::Conflict("another one was first".to_owned())),
            Err(_) => self.rows.begin().await,
        }
    }
}

fn peer() -> ServerDid {
    "did:web:org-b.example".parse().unwrap()
}

/// Runs one command; gives its answer and how often it was begun.
fn check(overtaken: u32) -> (Result<Answer, FaultCode>, u32) {
    let store = Overtaken {
        rows: MemoryStore::new(),
        left: AtomicU32::new(overtaken),
        begun: AtomicU32::new(0),
    };
    let here = Here {
        me: "did:web:org-a.example".parse().unwrap(),
        key_id: "fed-test".to_owned(),
        key: SigningKey::from_seed(&[1; 32]),
        registration: RegistrationPolicy::Open,
    };
    let begin = Command::Greeted {
        peer: peer(),
        stream_epoch: 7,
        begins_after: 0,
    };
    let executed = block_on(execute(&store, &here, vec![begin], UnixMillis(5)));
    let answer = executed.answers.into_iter().next().unwrap();
    let kept = block_on(async { store.rows.read().await.unwrap().peer(&peer()).await });
    let written = kept.unwrap().is_some_and(|row| row.incoming.epoch == 7);
    assert_eq!(answer.is_ok(), written, "what is answered is written");
    assert_eq!(answer.is_ok(), executed.failure.is_none());
    (
        answer.map_err(|fault| fault.code),
        store.begun.load(Ordering::Relaxed),
    )
}

#[test]
fn an_overtaken_batch_is_run_again() {
    for overtaken in [0, 1, 5, 127] {
        let (answer, begun) = check(overtaken);
        assert!(matches!(answer, Ok(Answer::Peer(_))), "{answer:?}");
        assert_eq!(begun, overtaken + 1);
    }
}

#[test]
fn a_batch_that_is_overtaken_again_and_again_is_told_to_come_back() {
    let (answer, begun) = check(1_000);
    assert_eq!(answer, Err(FaultCode::Busy));
    assert_eq!(begun, 128);
}
