//! What honest people's messages say of an attack.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::honest::{HONEST_THREAD, Latency};

/// How much slower the slowest of 100 messages may get by an attack.
const FACTOR: f64 = 2.0;
/// From so many messages on a 99th percentile says something.
const ENOUGH: usize = 500;
/// Where it is worse than this without an attack, the machine has other work, in milliseconds.
const NOISY_MS: f64 = 50.0;

/// What was noticed of an attack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Nothing but what the factor allows.
    Fine,
    /// Messages got slower than that: perhaps by the attack, perhaps by something else on the machine.
    Slower,
    /// It cannot be told, for this reason.
    CannotTell(&'static str),
    /// Messages did not arrive.
    Lost,
}

/// Compares messages during an attack with those of a quiet time.
#[must_use]
pub fn notice(quiet: &Latency, during: &Latency) -> Notice {
    if quiet.lost + during.lost > 0 {
        Notice::Lost
    } else if quiet.messages.min(during.messages) < ENOUGH {
        Notice::CannotTell("too few honest messages were sent")
    } else if quiet.p99_ms > NOISY_MS {
        Notice::CannotTell("the machine has other work: messages are slow without an attack")
    } else if during.p99_ms > FACTOR * quiet.p99_ms {
        Notice::Slower
    } else {
        Notice::Fine
    }
}

/// Lets every thread of this process, but that of honest people, run only where nothing else would: attackers
/// have machines of their own, and what counts is what their attacks make the servers do. Threads that are
/// made later do as the one that made them.
///
/// # Errors
/// The system does not let them.
pub fn step_back() -> Result<()> {
    for thread in fs::read_dir("/proc/self/task").context("this needs Linux")? {
        let thread = thread?;
        let name = fs::read_to_string(thread.path().join("comm"))?;
        if name.trim_end() == HONEST_THREAD {
            continue;
        }
        let id = thread.file_name();
        let idle = Command::new("chrt")
            .args(["--idle", "--pid", "0"])
            .arg(id)
            .output()
            .context("chrt does not run (package util-linux)")?;
        let why = String::from_utf8_lossy(&idle.stderr);
        ensure!(idle.status.success(), "a thread cannot step back: {why}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(p99_ms: f64) -> Latency {
        Latency {
            messages: 1_000,
            lost: 0,
            p50_ms: 1.0,
            p99_ms,
        }
    }

    #[test]
    fn twice_as_slow_is_fine_and_no_more() {
        assert_eq!(notice(&latency(3.0), &latency(6.0)), Notice::Fine);
        assert_eq!(notice(&latency(3.0), &latency(6.1)), Notice::Slower);
        assert_eq!(notice(&latency(3.0), &latency(1.0)), Notice::Fine);
    }

    #[test]
    fn a_lost_message_counts_whenever_it_was_sent() {
        let lost = |p99_ms| Latency {
            lost: 1,
            ..latency(p99_ms)
        };
        assert_eq!(notice(&latency(3.0), &lost(1.0)), Notice::Lost);
        assert_eq!(notice(&lost(3.0), &latency(1.0)), Notice::Lost);
    }

    #[test]
    fn too_few_messages_or_a_busy_machine_say_nothing() {
        let few = Latency {
            messages: ENOUGH - 1,
            ..latency(1.0)
        };
        let busy = (latency(NOISY_MS + 1.0), latency(NOISY_MS));
        let pairs = [
            (latency(3.0), few),
            (few, latency(3.0)),
            busy,
            Default::default(),
        ];
        for (quiet, during) in pairs {
            let noticed = notice(&quiet, &during);
            assert!(
                matches!(noticed, Notice::CannotTell(_)),
                "{quiet:?} {during:?}"
            );
        }
    }
}
