//! When which server dies, and for how long.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::args::{Storm, Victims};
use crate::network::Network;

/// The founder's server orders the room.
const HUB: usize = 0;
/// How often the progress is looked at.
const POLL: Duration = Duration::from_millis(5);
/// Longest time for which a server stays down.
const MAX_DOWN_MS: u64 = 1500;

/// One death of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Accident {
    /// After so many messages went through.
    after: usize,
    /// Which server.
    victim: usize,
    /// For how long it stays down.
    down: Duration,
}

/// All that is going to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accidents(Vec<Accident>);

impl Accidents {
    /// Draws them, spread over the whole conversation.
    pub fn drawn(seed: u64, storm: &Storm, messages: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut accidents: Vec<Accident> = (0..storm.kills)
            .map(|_| Accident {
                after: rng.gen_range(0..messages.max(1)),
                victim: victim(storm, &mut rng),
                down: Duration::from_millis(rng.gen_range(0..MAX_DOWN_MS)),
            })
            .collect();
        accidents.sort_by_key(|accident| accident.after);
        Self(accidents)
    }

    /// Lets them happen while people speak; returns how many happened. A speaker who breaks down ends
    /// the storm with what broke.
    ///
    /// # Errors
    /// When a server does not come back, or a speaker breaks down.
    pub async fn strike(
        &mut self,
        network: &mut Network,
        done: &AtomicUsize,
        speakers: &mut JoinSet<Result<()>>,
    ) -> Result<usize> {
        for accident in &self.0 {
            while done.load(Ordering::Relaxed) < accident.after {
                if let Some(end) = speakers.try_join_next() {
                    end.context("a speaker broke down")??;
                }
                sleep(POLL).await;
            }
            network.kill(accident.victim).await?;
            sleep(accident.down).await;
            network.start(accident.victim).await?;
        }
        Ok(self.0.len())
    }
}

fn victim(storm: &Storm, rng: &mut StdRng) -> usize {
    match storm.kill {
        Victims::Hub => HUB,
        Victims::Any => rng.gen_range(0..storm.servers),
        Victims::Follower if storm.servers < 2 => HUB,
        Victims::Follower => rng.gen_range(1..storm.servers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64, kill: Victims) -> Accidents {
        let storm = Storm {
            messages: 100,
            kills: 50,
            servers: 3,
            kill,
            seed: None,
            keep: false,
        };
        Accidents::drawn(seed, &storm, 300)
    }

    #[test]
    fn a_seed_draws_the_same_accidents_again() {
        assert_eq!(drawn(7, Victims::Any), drawn(7, Victims::Any));
        assert_ne!(drawn(7, Victims::Any), drawn(8, Victims::Any));
        assert!(drawn(7, Victims::Hub).0.iter().all(|a| a.victim == HUB));
        assert!(
            drawn(7, Victims::Follower)
                .0
                .iter()
                .all(|a| a.victim != HUB)
        );
        assert!(drawn(7, Victims::Any).0.is_sorted_by_key(|a| a.after));
    }
}
