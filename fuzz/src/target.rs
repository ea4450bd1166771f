//! What a target is, and how one is run.

use crate::targets::TARGETS;

/// One parser, or one family of parsers, under test.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: the file in `cargo-fuzz/fuzz_targets` and the folder in `corpus`.
    pub name: &'static str,
    /// Reads the input. Panics if a property does not hold.
    pub run: fn(&[u8]) -> Verdict,
    /// What is read, and what is checked beside that nothing panics.
    pub checks: &'static str,
    /// Mutations that the smoke test tries: fewer where each costs cryptography.
    pub smoke_runs: u32,
}

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was read, and held everything that the target asks of it.
    Accepted,
    /// It was refused by an error.
    Refused,
}

impl Verdict {
    /// The verdict on a result, whose error is also printed: printing must not panic either.
    pub(crate) fn of<T, E: std::fmt::Display>(result: &Result<T, E>) -> Self {
        match result {
            Ok(_) => Self::Accepted,
            Err(fault) => {
                assert!(!fault.to_string().is_empty(), "a fault says what was wrong");
                Self::Refused
            }
        }
    }

    /// Accepted if any of them was.
    pub(crate) fn any(verdicts: impl IntoIterator<Item = Self>) -> Self {
        // Every one is run, so that none hides the fault of another.
        verdicts.into_iter().fold(
            Self::Refused,
            |all, one| {
                if all == Self::Accepted { all } else { one }
            },
        )
    }
}

/// The target of a name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Runs the target of a name.
///
/// # Panics
/// There is no such target, or the input shows a fault.
pub fn run(name: &str, input: &[u8]) -> Verdict {
    let target = target(name).unwrap_or_else(|| panic!("no target is called {name}"));
    (target.run)(input)
}
