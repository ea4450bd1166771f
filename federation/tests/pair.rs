//! Two servers in virtual time: a sender with rows, a receiver with a cursor, and a link between them
//! that loses connections, delays, and kills either side between any two steps.
//!
//! Whatever happens, every item has its effect exactly once and in order, and the sender forgets
//! nothing before the receiver owns it.

use std::collections::{BTreeMap, VecDeque};

use entente_federation::inbox::{InStream, Intake};
use entente_federation::outbox::{Action, Outbox};
use entente_identity::{SigningKey, UnixMillis};
use entente_protocol::relay::{RelayReply, VerifiedBatch};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// What is on the sender's disk.
#[derive(Clone)]
struct SenderRows {
    stream_epoch: u64,
    acked: u64,
    last: u64,
    items: BTreeMap<u64, Vec<u8>>,
}

/// What is on the receiver's disk: the cursor and the effects, written together.
#[derive(Clone, Default)]
struct ReceiverRows {
    incoming: InStream,
    effects: Vec<Vec<u8>>,
}

impl ReceiverRows {
    /// An item has its effect when it is new: a restarted sender may hand one over again.
    fn take(&mut self, items: &[Vec<u8>], drops_known: bool) {
        for item in items {
            if !drops_known || !self.effects.contains(item) {
                self.effects.push(item.clone());
            }
        }
    }
}

enum Packet {
    Batch(VerifiedBatch),
    Reply(RelayReply),
}

struct Pair {
    rng: StdRng,
    now: UnixMillis,
    rows: SenderRows,
    outbox: Outbox,
    receiver: ReceiverRows,
    link_up: bool,
    /// Whether the receiver tells an item that it has already by what it is, and not by its number alone.
    drops_known: bool,
    wire: VecDeque<(UnixMillis, Packet)>,
    faults: Faults,
}

#[derive(Clone, Copy)]
struct Faults {
    cut_percent: u32,
    crash_percent: u32,
    busy_percent: u32,
}

impl Pair {
    fn new(seed: u64, faults: Faults) -> Self {
        let now = UnixMillis(1_000);
        let rows = SenderRows {
            stream_epoch: 1,
            acked: 0,
            last: 0,
            items: BTreeMap::new(),
        };
        Self {
            rng: StdRng::seed_from_u64(seed),
            now,
            outbox: Outbox::begun(1, 0, 0, now),
            rows,
            receiver: ReceiverRows::default(),
            link_up: false,
            drops_known: true,
            wire: VecDeque::new(),
            faults,
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.gen_range(0..100) < percent
    }

    fn owe(&mut self, item: Vec<u8>) {
        self.rows.last += 1;
        self.rows.items.insert(self.rows.last, item);
        self.outbox.handle_owed(self.rows.last, self.now);
    }

    /// The sender process dies and comes back with what is on its disk, where a new epoch begins.
    fn crash_sender(&mut self) {
        self.cut();
        let rows = &mut self.rows;
        rows.stream_epoch = self.now.0.max(rows.stream_epoch + 1);
        self.outbox = Outbox::begun(rows.stream_epoch, rows.acked, rows.last, self.now);
    }

    /// Another node takes the stream over, with the same rows, and asks first how far the receiver owns what
    /// the one before handed over.
    fn take_over(&mut self) {
        let before = self.rows.stream_epoch;
        self.crash_sender();
        let incoming = self.receiver.incoming;
        if incoming.epoch == before {
            self.outbox.handle_owned(incoming.last);
        }
    }

    fn cut(&mut self) {
        self.wire.clear();
        self.link_up = false;
        let jitter = self.rng.r#gen();
        self.outbox.handle_lost(self.now, jitter);
    }

    fn step(&mut self) {
        while let Some(action) = self.outbox.poll_action() {
            self.act(action);
        }
        if self.outbox.owed() == 0 {
            return;
        }
        let wire = self.wire.front().map(|(at, _)| *at);
        let timer = self.outbox.poll_timeout();
        let next = [wire, timer].into_iter().flatten().min();
        self.now = next.unwrap_or(self.now.after(1_000)).max(self.now);
        if wire.is_some_and(|at| at <= self.now) {
            let (_, packet) = self.wire.pop_front().expect("a packet is due");
            self.deliver(packet);
        }
        self.outbox.handle_timeout(self.now);
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Dial => {
                let (cut, jitter) = (self.chance(self.faults.cut_percent), self.rng.r#gen());
                if cut {
                    return self.outbox.handle_lost(self.now, jitter);
                }
                self.link_up = true;
                let (epoch, after) = (self.outbox.stream_epoch(), self.outbox.begins_after());
                let incoming = self.receiver.incoming.greeted(epoch, after);
                self.receiver.incoming = incoming;
                self.outbox
                    .handle_greeted(incoming.epoch, incoming.last, self.now);
            }
            Action::Send { after, limit } => {
                let run = self.rows.items.range(after + 1..).take(limit.min(7));
                let items: Vec<Vec<u8>> = run.map(|(_, item)| item.clone()).collect();
                let up_to = after + items.len() as u64;
                let batch = VerifiedBatch {
                    key: SigningKey::from_seed(&[1; 32]).public(),
                    origin: "did:web:org-a.example".parse().expect("a DID"),
                    stream_epoch: self.rows.stream_epoch,
                    first: after + 1,
                    items,
                };
                self.send(Packet::Batch(batch));
                self.outbox.handle_sent(up_to, self.now);
            }
            Action::Forget { up_to } => {
                assert!(
                    up_to <= self.receiver.incoming.last,
                    "forgot what is not owned"
                );
                self.rows.items = self.rows.items.split_off(&(up_to + 1));
                self.rows.acked = up_to;
            }
            Action::BeginEpoch { stream_epoch } => {
                self.rows.stream_epoch = stream_epoch;
                self.outbox.handle_epoch(stream_epoch, self.now);
            }
            Action::Close => self.link_up = false,
        }
    }

    fn send(&mut self, packet: Packet) {
        let delay_ms = self.rng.gen_range(1..40);
        let last = self.wire.back().map_or(self.now, |(at, _)| *at);
        self.wire
            .push_back((self.now.after(delay_ms).max(last), packet));
    }

    fn deliver(&mut self, packet: Packet) {
        if self.chance(self.faults.cut_percent) {
            return self.cut();
        }
        match packet {
            Packet::Batch(batch) => {
                let reply = self.receive(batch);
                self.send(Packet::Reply(reply));
            }
            Packet::Reply(reply) => self.outbox.handle_reply(&reply, self.now),
        }
        if self.chance(self.faults.crash_percent) {
            self.crash_sender();
        }
    }

    fn receive(&mut self, batch: VerifiedBatch) -> RelayReply {
        let before = self.receiver.clone();
        if self.chance(self.faults.busy_percent) {
            return RelayReply::Busy { retry_after_ms: 90 };
        }
        let incoming = self.receiver.incoming;
        let skip = match incoming.intake(&batch) {
            Intake::Take { skip } => skip,
            Intake::Gap { .. } => return RelayReply::Busy { retry_after_ms: 50 },
            Intake::OtherEpoch => panic!("a greeted stream has one epoch"),
        };
        let new = &batch.items[skip..];
        self.receiver.take(new, self.drops_known);
        self.receiver.incoming = incoming.advanced(new.len());
        if self.chance(self.faults.crash_percent) {
            // Died before the commit: effects and cursor are gone together.
            self.receiver = before;
            return RelayReply::Busy { retry_after_ms: 50 };
        }
        RelayReply::Ack {
            stream_epoch: self.receiver.incoming.epoch,
            up_to: self.receiver.incoming.last,
        }
    }

    fn settle(&mut self) {
        self.faults = Faults {
            cut_percent: 0,
            crash_percent: 0,
            busy_percent: 0,
        };
        let begun = self.now;
        while self.outbox.owed() > 0 {
            self.step();
            assert!(
                self.now.since(begun) < 60_000,
                "not delivered within a minute of the last fault: {:?}",
                self.outbox
            );
        }
        self.step();
    }
}

fn item(n: usize) -> Vec<u8> {
    n.to_be_bytes().to_vec()
}

proptest! {
    #[test]
    fn d3_everything_arrives_once_and_in_order(
        seed: u64,
        cut_percent in 0u32..30,
        crash_percent in 0u32..10,
        busy_percent in 0u32..20,
        count in 1usize..120,
    ) {
        let mut pair = Pair::new(seed, Faults { cut_percent, crash_percent, busy_percent });
        for n in 0..count {
            pair.owe(item(n));
            pair.step();
        }
        pair.settle();
        let expect: Vec<_> = (0..count).map(item).collect();
        prop_assert_eq!(&pair.receiver.effects, &expect);
        prop_assert!(pair.rows.items.is_empty());
    }

    /// Whatever the connection does after another node took the stream over, nothing of what the one before
    /// had handed over goes out once more.
    #[test]
    fn d3_a_node_that_takes_over_hands_nothing_over_twice(
        seed: u64,
        cut_percent in 0u32..30,
        steps in 0usize..30,
        counts in (1usize..60, 0usize..60),
    ) {
        let mut pair = Pair::new(seed, Faults { cut_percent, crash_percent: 0, busy_percent: 0 });
        pair.drops_known = false;
        (0..counts.0).for_each(|n| pair.owe(item(n)));
        (0..steps).for_each(|_| pair.step());
        pair.take_over();
        (counts.0..counts.0 + counts.1).for_each(|n| pair.owe(item(n)));
        pair.settle();
        let expect: Vec<_> = (0..counts.0 + counts.1).map(item).collect();
        prop_assert_eq!(&pair.receiver.effects, &expect);
        prop_assert!(pair.rows.items.is_empty());
    }

    /// A sender restored from an old backup gives numbers out a second time; nothing that it owes is
    /// mistaken for what the receiver owns already.
    #[test]
    fn d4_a_restored_sender_loses_nothing(seed: u64, before in 1usize..30, between in 1usize..30) {
        let calm = Faults { cut_percent: 0, crash_percent: 0, busy_percent: 0 };
        let mut pair = Pair::new(seed, calm);
        (0..before).for_each(|n| pair.owe(item(n)));
        let backup = pair.rows.clone();
        (before..before + between).for_each(|n| pair.owe(item(n)));
        pair.settle();
        pair.rows = backup;
        pair.crash_sender();
        pair.owe(item(1_000));
        pair.settle();
        prop_assert_eq!(pair.receiver.effects.last(), Some(&item(1_000)));
        prop_assert_eq!(pair.receiver.effects.len(), before + between + 1);
    }
}

#[test]
fn a_day_away_costs_one_probe_every_few_seconds_and_no_more() {
    let now = UnixMillis(1_000);
    let mut outbox = Outbox::begun(1, 0, 5, now);
    let mut rng = StdRng::seed_from_u64(7);
    let (mut now, end, mut dials) = (now, now.after(24 * 3_600_000), 0u32);
    outbox.handle_timeout(now);
    while now < end {
        while let Some(action) = outbox.poll_action() {
            match action {
                Action::Dial => {
                    dials += 1;
                    outbox.handle_lost(now, rng.r#gen());
                }
                other => panic!("nothing is up: {other:?}"),
            }
        }
        now = outbox.poll_timeout().expect("something is owed");
        outbox.handle_timeout(now);
    }
    assert!((17_000..45_000).contains(&dials), "{dials} probes in a day");
}
