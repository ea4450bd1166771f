//! The one writer: a thread of its own that folds what queued into one transaction at a time.
//!
//! Group commit: while one transaction is on its way to disk, commands queue; the next transaction
//! takes all of them. It never waits for more. Invariants: an answer is given only after its commit;
//! what waits is bounded in number and bytes; commands of one caller keep their order.

mod measures;

use std::sync::Arc;
use std::thread;

use entente_homeserver_core::Effect;
use entente_homeserver_ops::{Answer, Command, Executed, Here, Store, StoreFault, execute};
use entente_protocol::fault::{Fault, FaultCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::clock::now;

pub(crate) use measures::{
    ANSWERS, BATCH_BOUNDS, Count, Histogram, Measures, OUTCOMES, TIME_BOUNDS_US,
};

/// Most commands of one transaction.
const MAX_BATCH: usize = 512;
/// Most commands that wait.
const QUEUE_COMMANDS: usize = 4096;
/// Most memory of what waits, in KiB: 64 MiB.
const QUEUE_KIB: u32 = 64 * 1024;
/// What relayed batches may take of it: the other half is left for those who do not wait.
const RELAYED_COMMANDS: usize = QUEUE_COMMANDS / 2;
/// The same of its memory, in KiB.
const RELAYED_KIB: u32 = QUEUE_KIB / 2;
/// What a caller is told to wait when the queue is full, in milliseconds.
const BUSY_RETRY_MS: u32 = 250;

type Reply = Result<Answer, Fault>;

struct Queued {
    command: Command,
    reply: oneshot::Sender<Reply>,
    /// Its share of the queue, given back when the command is done.
    _share: Share,
}

/// What a command that waits holds.
struct Share {
    _memory: OwnedSemaphorePermit,
    /// Of what relayed batches may take together: the place and the memory.
    _relayed: Option<[OwnedSemaphorePermit; 2]>,
}

/// Hands commands to the writer's thread. Clones are handles to the same writer; it ends with the last.
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::Sender<Queued>,
    memory: Arc<Semaphore>,
    relayed: Arc<Relayed>,
}

/// What is left for relayed batches. They wait for it and do not go away: without a bound of their own
/// those of a few busy peers would take every place as soon as it is free.
struct Relayed {
    places: Arc<Semaphore>,
    memory: Arc<Semaphore>,
}

/// A command on its way.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Reply>);

/// How the writer fares, as seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The last transaction was committed.
    Good,
    /// It was not.
    Failing(StoreFault),
}

/// The writer's thread, seen from outside.
pub struct WriterThread {
    /// Ends when the thread does.
    pub ended: oneshot::Receiver<()>,
    /// How it fares.
    pub condition: watch::Receiver<Condition>,
    /// What it did.
    pub(crate) measures: Arc<Measures>,
}

impl Writer {
    /// Starts the thread. `wake` passes the effects of a commit on, and must not wait.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        store: Arc<dyn Store>,
        here: Here,
        wake: impl Fn(Vec<Effect>) + Send + 'static,
    ) -> std::io::Result<(Self, WriterThread)> {
        let (queue, commands) = mpsc::channel(QUEUE_COMMANDS);
        let (condition, seen) = watch::channel(Condition::Good);
        let (end, ended) = oneshot::channel();
        let measures = Arc::new(Measures::default());
        let measured = Arc::clone(&measures);
        thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                // Dropped when the thread ends, also by a panic.
                let _end = end;
                run(&*store, &here, commands, wake, (&condition, &measured));
            })?;
        let memory = Arc::new(Semaphore::new(QUEUE_KIB as usize));
        let thread = WriterThread {
            ended,
            condition: seen,
            measures,
        };
        let relayed = Arc::new(Relayed {
            places: Arc::new(Semaphore::new(RELAYED_COMMANDS)),
            memory: Arc::new(Semaphore::new(RELAYED_KIB as usize)),
        });
        let writer = Self {
            queue,
            memory,
            relayed,
        };
        Ok((writer, thread))
    }

    /// Queues a command, or refuses it when too much waits. Its order is that of the calls.
    ///
    /// # Errors
    /// [`FaultCode::Busy`].
    pub fn try_submit(&self, command: Command) -> Result<Pending, Fault> {
        let memory = Arc::clone(&self.memory);
        let memory = memory.try_acquire_many_owned(weight_kib(&command));
        let share = Share {
            _memory: memory.map_err(|_| busy())?,
            _relayed: None,
        };
        let place = self.queue.try_reserve().map_err(|_| busy())?;
        Ok(queue(place, command, share))
    }

    /// Queues a relayed batch as soon as there is room among its like.
    ///
    /// # Errors
    /// [`FaultCode::Busy`] when the writer has stopped.
    pub async fn submit(&self, command: Command) -> Result<Pending, Fault> {
        let weight_kib = weight_kib(&command).min(RELAYED_KIB);
        let take = async |from: &Arc<Semaphore>, count| {
            let taken = Arc::clone(from).acquire_many_owned(count).await;
            taken.map_err(|_| busy())
        };
        let relayed_place = take(&self.relayed.places, 1).await?;
        let relayed_memory = take(&self.relayed.memory, weight_kib).await?;
        let share = Share {
            _memory: take(&self.memory, weight_kib).await?,
            _relayed: Some([relayed_place, relayed_memory]),
        };
        let place = self.queue.reserve().await.map_err(|_| busy())?;
        Ok(queue(place, command, share))
    }

    /// Queues a command unless too much waits, and waits for its answer.
    ///
    /// # Errors
    /// What the operation answers, or [`FaultCode::Busy`].
    pub async fn execute(&self, command: Command) -> Reply {
        self.try_submit(command)?.answer().await
    }
}

impl Pending {
    /// The answer, if it is there already.
    pub fn try_answer(&mut self) -> Option<Reply> {
        match self.0.try_recv() {
            Ok(reply) => Some(reply),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(stopped())),
        }
    }

    /// Waits for the answer, which comes after the commit.
    ///
    /// # Errors
    /// What the operation answers.
    pub async fn answer(self) -> Reply {
        self.0.await.unwrap_or_else(|_| Err(stopped()))
    }
}

fn stopped() -> Fault {
    let detail = "the server stopped before this was answered; repeating it is safe";
    Fault::new(FaultCode::Timeout, detail)
}

fn queue(place: mpsc::Permit<'_, Queued>, command: Command, share: Share) -> Pending {
    let (reply, answer) = oneshot::channel();
    place.send(Queued {
        command,
        reply,
        _share: share,
    });
    Pending(answer)
}

fn run(
    store: &dyn Store,
    here: &Here,
    mut commands: mpsc::Receiver<Queued>,
    wake: impl Fn(Vec<Effect>),
    (condition, measures): (&watch::Sender<Condition>, &Measures),
) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    while commands.blocking_recv_many(&mut batch, MAX_BATCH) > 0 {
        let mut replies = Vec::with_capacity(batch.len());
        let mut work = Vec::with_capacity(batch.len());
        for queued in batch.drain(..) {
            replies.push((queued.reply, queued._share));
            work.push(queued.command);
        }
        let began = Instant::now();
        let executed = futures::executor::block_on(execute(store, here, work, now()));
        measures.note(&executed, began.elapsed());
        let Executed {
            answers,
            effects,
            failure,
            ..
        } = executed;
        note(condition, failure);
        for ((reply, share), answer) in replies.into_iter().zip(answers) {
            // Who is answered finds the place free.
            drop(share);
            // A caller that has gone away does not need its answer.
            let _ = reply.send(answer);
        }
        wake(effects);
    }
}

/// Tells when the database stops taking writes, and when it takes them again.
fn note(condition: &watch::Sender<Condition>, failure: Option<StoreFault>) {
    let next = failure.map_or(Condition::Good, Condition::Failing);
    condition.send_if_modified(|now| {
        let changed = *now != next;
        if changed {
            match &next {
                Condition::Good => tracing::info!("the database takes writes again"),
                Condition::Failing(fault) => {
                    tracing::error!(%fault, "the database does not take writes");
                }
            }
            *now = next;
        }
        changed
    });
}

/// How much memory a command holds, about, in KiB.
fn weight_kib(command: &Command) -> u32 {
    let bytes = match command {
        Command::Submit { submission, .. } => submission.ciphertext.as_slice().len(),
        Command::Receive(batch) => batch.items.iter().map(Vec::len).sum(),
        Command::Publish { request, .. } => request.packages.iter().map(Vec::len).sum(),
        Command::Invite { request, .. } => {
            request.sealed.iter().map(|(_, sealed)| sealed.len()).sum()
        }
        Command::Repair { entries, .. } => entries
            .iter()
            .map(|entry| entry.body.as_slice().len())
            .sum(),
        // Their parts are private to what was checked; each is bounded by a frame.
        Command::CreateRoom(_) | Command::Commit { .. } => 1024 * 1024,
        Command::Freeze { .. } => 1024 * 1024,
        Command::Register(_) | Command::Propose { .. } | Command::Pin(_) => 16 * 1024,
        Command::Claim { .. }
        | Command::NoteClaim { .. }
        | Command::AcknowledgeQueue { .. }
        | Command::Greeted { .. }
        | Command::Acknowledge { .. }
        | Command::BeginEpoch { .. }
        | Command::TakeLink { .. }
        | Command::Enter { .. }
        | Command::Beat(_)
        | Command::Bury { .. }
        | Command::Retain { .. }
        | Command::DropPin(_) => 0,
    };
    u32::try_from(bytes / 1024 + 1).map_or(QUEUE_KIB, |kib| kib.min(QUEUE_KIB))
}

fn busy() -> Fault {
    let detail = "too much waits for the server's database; nothing was stored";
    Fault::new(FaultCode::Busy, detail).retry_after(BUSY_RETRY_MS)
}

#[cfg(test)]
mod tests;
