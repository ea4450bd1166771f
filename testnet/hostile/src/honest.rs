//! Two honest people on two servers, who write to each other all the while; how long that takes is what
//! they notice of an attack.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use entente_groups::MessageId;
use entente_identity::Handle;
use entente_protocol::flow::{SubmitFrame, SubmitOutcome};
use serde::Serialize;
use tokio::time::{Instant, interval, sleep};

use crate::device::{Device, Inbox, Submitting};
use crate::dice::Dice;
use crate::door::Door;
use crate::room::Seat;

/// The name of the thread in which they write.
pub const HONEST_THREAD: &str = "honest";
/// Distance of their messages.
const INTERVAL: Duration = Duration::from_millis(10);
/// How long a message may take before it counts as lost.
const LOST: Duration = Duration::from_secs(10);
/// How often it is looked whether the last messages have arrived.
const POLL: Duration = Duration::from_millis(20);

/// What honest people noticed in a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Messages that were sent.
    pub messages: usize,
    /// Messages that did not arrive in time.
    pub lost: usize,
    /// Half of them took no longer, in milliseconds from one device to the other.
    pub p50_ms: f64,
    /// 99 of 100 took no longer, in milliseconds.
    pub p99_ms: f64,
}

/// Two people who write.
pub struct Honest {
    notes: Arc<Notes>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Default)]
struct Notes {
    stop: AtomicBool,
    begun: AtomicBool,
    times: Mutex<Times>,
}

#[derive(Default)]
struct Times {
    sent: HashMap<MessageId, Instant>,
    took: Vec<(Instant, Duration)>,
}

impl Notes {
    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Honest {
    /// Registers both and lets them write, in a thread of their own that attacks do not slow down.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn begin(people: [(Door, Handle); 2], seed: u64) -> Result<Self> {
        let notes = Arc::new(Notes::default());
        let writing = Arc::clone(&notes);
        let thread = std::thread::Builder::new()
            .name(HONEST_THREAD.to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                runtime.block_on(write(&writing, people, Dice::of(seed, "honest")))
            })?;
        Ok(Self {
            notes,
            thread: Some(thread),
        })
    }

    /// Waits until the first message has arrived.
    ///
    /// # Errors
    /// Their conversation does not come about.
    pub async fn ready(&mut self) -> Result<()> {
        while !self.notes.begun.load(Ordering::Acquire) {
            self.check()?;
            sleep(POLL).await;
        }
        Ok(())
    }

    /// What they noticed of the messages that were sent since `from`, once all of those have arrived.
    ///
    /// # Errors
    /// Their conversation has ended.
    pub async fn since(&mut self, from: Instant) -> Result<Latency> {
        let to = Instant::now();
        let waiting = |times: &Times| {
            let under_way = times.sent.values();
            under_way.filter(|sent| (from..to).contains(*sent)).count()
        };
        let lost = loop {
            let waiting = waiting(&self.notes.times());
            if waiting == 0 || to.elapsed() > LOST {
                break waiting;
            }
            self.check()?;
            sleep(POLL).await;
        };
        let times = self.notes.times();
        let took = times.took.iter();
        let took = took.filter(|(sent, _)| (from..to).contains(sent));
        Ok(Latency::of(took.map(|(_, took)| *took).collect(), lost))
    }

    /// Lets them end.
    ///
    /// # Errors
    /// Their conversation broke before.
    pub fn end(mut self) -> Result<()> {
        self.notes.stop.store(true, Ordering::Release);
        match self.thread.take() {
            Some(thread) => join(thread),
            None => Ok(()),
        }
    }

    fn check(&mut self) -> Result<()> {
        let ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        if !ended {
            return Ok(());
        }
        let thread = self.thread.take();
        thread.map_or(Ok(()), join)?;
        Err(anyhow!("the honest conversation has ended"))
    }
}

fn join(thread: JoinHandle<Result<()>>) -> Result<()> {
    let end = thread.join();
    let end = end.map_err(|_| anyhow!("the thread of honest people panicked"))?;
    end.context("the honest conversation broke")
}

impl Latency {
    fn of(mut took: Vec<Duration>, lost: usize) -> Self {
        took.sort_unstable();
        let rank = |share: f64| {
            let place = (took.len() as f64 * share).ceil() as usize;
            let found = took.get(place.saturating_sub(1));
            found.map_or(0.0, |took| took.as_secs_f64() * 1e3)
        };
        Self {
            messages: took.len() + lost,
            lost,
            p50_ms: rank(0.5),
            p99_ms: rank(0.99),
        }
    }
}

async fn write(notes: &Notes, people: [(Door, Handle); 2], mut dice: Dice) -> Result<()> {
    let [(at_hub, alice), (elsewhere, bob)] = people;
    let alice = Device::register(&at_hub, alice, &mut dice).await?;
    let bob = Device::register(&elsewhere, bob, &mut dice).await?;
    let mut seat = alice.found(&mut dice).await?;
    let ticket = seat.ticket(bob.person.account, &alice.person)?;
    let joined = bob
        .join(&at_hub.did, seat.room(), &ticket, &mut dice)
        .await?;
    crate::gathering::catch_up(&alice, &mut seat, joined.head.seq).await?;
    let cursors = vec![(seat.room(), joined.head.seq)];
    let inbox = bob.inbox(cursors, u64::MAX).await?;
    let flow = alice.submitting().await?;
    tokio::select! {
        ended = speak(notes, &alice, seat, flow, dice) => ended,
        ended = listen(notes, inbox) => ended,
    }
}

async fn speak(
    notes: &Notes,
    alice: &Device,
    mut seat: Seat,
    flow: Submitting,
    mut dice: Dice,
) -> Result<()> {
    let Submitting {
        mut frames,
        mut replies,
    } = flow;
    let hub = seat.hub.clone();
    let mut ticks = interval(INTERVAL);
    while !notes.stop.load(Ordering::Acquire) {
        tokio::select! {
            // A message that could not be begun in time has waited since then.
            due = ticks.tick() => {
                let submission = seat.encrypt(&alice.person, b"as always", &mut dice)?;
                let id = submission.message_id;
                notes.times().sent.insert(id, due);
                let frame = SubmitFrame {
                    hub: hub.clone(),
                    submission,
                };
                frames.send(&frame).await?;
            }
            reply = replies.next() => {
                let reply = reply?.context("the flow of honest messages ended")?;
                let ordered = matches!(reply.outcome, SubmitOutcome::Ordered { .. });
                ensure!(ordered, "an honest message: {:?}", reply.outcome);
            }
        }
    }
    Ok(())
}

async fn listen(notes: &Notes, mut inbox: Inbox) -> Result<()> {
    loop {
        let entry = inbox.entry().await?;
        let mut times = notes.times();
        if let Some(sent) = times.sent.remove(&entry.header.message_id) {
            times.took.push((sent, sent.elapsed()));
            notes.begun.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_of_the_messages_that_arrived() {
        let took = (1..=200).map(Duration::from_millis).collect();
        let latency = Latency::of(took, 3);
        assert_eq!((latency.messages, latency.lost), (203, 3));
        assert_eq!((latency.p50_ms, latency.p99_ms), (100.0, 198.0));
        assert_eq!(Latency::of(Vec::new(), 0), Latency::default());
    }
}
