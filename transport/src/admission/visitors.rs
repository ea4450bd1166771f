//! Who is at the door, by address: so that one address cannot fill it.
//!
//! For each block of addresses the table holds how many of its newcomers are inside (they wait, shake
//! hands, or have not earned trust yet) and how many handshakes it may still begin. Invariants: a block
//! stays in the table while somebody of it is inside or its handshakes are not all given back, and the
//! table never holds more than [`MAX_BLOCKS`]; beyond that the blocks that are nearest to a full budget
//! are forgotten, which gives back a few handshakes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::address_block::AddressBlock;
use crate::limits::{AdmissionLimits, HandshakeRate};

/// Newcomers of one block that may be inside at once, those who wait included: half of the first
/// packets that QUIC holds for the whole endpoint.
const NEWCOMERS_PER_BLOCK: usize = 512;
/// Most blocks that are remembered.
const MAX_BLOCKS: usize = 16_384;

/// Everybody at the door.
#[derive(Debug)]
pub(super) struct Visitors {
    places: usize,
    rate: HandshakeRate,
    began: Instant,
    blocks: Mutex<HashMap<AddressBlock, Block>>,
}

#[derive(Debug)]
struct Block {
    inside: usize,
    places: Arc<Semaphore>,
    /// When all handshakes are given back, from the beginning of the table on.
    full_again: Duration,
}

/// One newcomer's stay, until it is trusted or gone.
#[derive(Debug)]
pub(super) struct Visit {
    visitors: Arc<Visitors>,
    block: AddressBlock,
}

/// Why a newcomer is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnedAway {
    /// Too many of its address are inside.
    Crowd,
    /// Too many handshakes of its address within a short time.
    Haste,
}

impl Visitors {
    pub(super) fn new(limits: &AdmissionLimits) -> Self {
        Self {
            places: limits.strangers_per_address,
            rate: limits.handshakes_per_address,
            began: Instant::now(),
            blocks: Mutex::default(),
        }
    }

    /// How many newcomers of a block are inside.
    pub(super) fn inside(&self, block: AddressBlock) -> usize {
        self.lock().get(&block).map_or(0, |known| known.inside)
    }

    /// Lets a newcomer of a block in, to wait for its places.
    pub(super) fn enter(self: &Arc<Self>, block: AddressBlock) -> Result<Visit, TurnedAway> {
        self.note(block, self.began.elapsed())?;
        Ok(Visit {
            visitors: Arc::clone(self),
            block,
        })
    }

    fn note(&self, block: AddressBlock, now: Duration) -> Result<(), TurnedAway> {
        let mut blocks = self.lock();
        if blocks.len() >= MAX_BLOCKS && !blocks.contains_key(&block) {
            forget(&mut blocks, now);
        }
        let known = blocks.entry(block).or_insert_with(|| Block {
            inside: 0,
            places: Arc::new(Semaphore::new(self.places)),
            full_again: now,
        });
        if known.inside >= NEWCOMERS_PER_BLOCK {
            return Err(TurnedAway::Crowd);
        }
        let full_again = known.full_again.max(now) + self.rate.interval;
        if full_again - now > self.rate.whole() {
            return Err(TurnedAway::Haste);
        }
        known.full_again = full_again;
        known.inside += 1;
        Ok(())
    }

    fn leave(&self, block: AddressBlock, now: Duration) {
        let mut blocks = self.lock();
        if let Some(known) = blocks.get_mut(&block) {
            known.inside -= 1;
            if known.is_over(now) {
                blocks.remove(&block);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AddressBlock, Block>> {
        self.blocks.lock().expect("no holder panics")
    }
}

impl Block {
    /// Whether forgetting it changes nothing.
    fn is_over(&self, now: Duration) -> bool {
        self.inside == 0 && self.full_again <= now
    }
}

/// Makes room: first what is over, then the half of the rest that is nearest to it. Blocks with
/// somebody inside stay; there are fewer of them than places.
fn forget(blocks: &mut HashMap<AddressBlock, Block>, now: Duration) {
    blocks.retain(|_, block| !block.is_over(now));
    let mut ends: Vec<Duration> = blocks
        .values()
        .filter(|block| block.inside == 0)
        .map(|block| block.full_again)
        .collect();
    if blocks.len() * 2 <= MAX_BLOCKS || ends.is_empty() {
        return;
    }
    let middle = ends.len() / 2;
    let (_, middle, _) = ends.select_nth_unstable(middle);
    let middle = *middle;
    blocks.retain(|_, block| block.inside > 0 || block.full_again > middle);
}

impl Visit {
    /// Waits for a place among the strangers of the block.
    pub(super) async fn place(&self) -> OwnedSemaphorePermit {
        let places = {
            let blocks = self.visitors.lock();
            let known = blocks.get(&self.block);
            Arc::clone(
                &known
                    .expect("a block stays while somebody is inside")
                    .places,
            )
        };
        places.acquire_owned().await.expect("never closed")
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let now = self.visitors.began.elapsed();
        self.visitors.leave(self.block, now);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn visitors(interval_ms: u64, burst: u32) -> Arc<Visitors> {
        Arc::new(Visitors::new(&AdmissionLimits {
            handshakes_per_address: HandshakeRate {
                interval: Duration::from_millis(interval_ms),
                burst,
            },
            ..AdmissionLimits::default()
        }))
    }

    fn block(number: u32) -> AddressBlock {
        AddressBlock::of(IpAddr::V4(Ipv4Addr::from_bits(number)))
    }

    #[test]
    fn handshakes_come_back_one_by_one() {
        let door = visitors(100, 3);
        let at = Duration::from_millis;
        let try_at = |time| door.note(block(1), at(time)).is_ok();
        assert!(try_at(0) && try_at(0) && try_at(0));
        assert_eq!(door.note(block(1), at(0)), Err(TurnedAway::Haste));
        assert!(
            door.note(block(2), at(0)).is_ok(),
            "others are not concerned"
        );
        assert!(try_at(100) && !try_at(100), "one after a tenth of a second");
        assert!(try_at(300) && try_at(300) && !try_at(300));
    }

    #[test]
    fn a_block_is_forgotten_once_it_is_over() {
        let door = visitors(0, 1);
        let visits: Vec<Visit> = (0..3).map(|_| door.enter(block(1)).expect("few")).collect();
        assert_eq!(door.inside(block(1)), 3);
        drop(visits);
        assert!(door.lock().is_empty());
    }

    #[test]
    fn one_block_cannot_bring_a_crowd() {
        let door = visitors(1_000, 1_000);
        let mut visits = Vec::new();
        let turned_away = loop {
            match door.enter(block(1)) {
                Ok(visit) => visits.push(visit),
                Err(reason) => break reason,
            }
        };
        assert_eq!(turned_away, TurnedAway::Crowd);
        assert_eq!(visits.len(), NEWCOMERS_PER_BLOCK);
        assert!(door.enter(block(2)).is_ok());
        visits.pop();
        assert!(door.enter(block(1)).is_ok());
    }

    #[test]
    fn however_many_addresses_come_the_table_stays_small() {
        let door = visitors(1_000, 10);
        let stays = door.enter(block(u32::MAX)).expect("the first");
        for number in 0..3 * u32::try_from(MAX_BLOCKS).expect("few") {
            assert!(door.note(block(number), Duration::ZERO).is_ok());
            door.leave(block(number), Duration::ZERO);
            assert!(door.lock().len() <= MAX_BLOCKS);
        }
        assert_eq!(door.inside(block(u32::MAX)), 1);
        drop(stays);
    }
}
