//! What a rule reports, and the one way in which a test fails on it.

use std::fmt;
use std::path::{Path, PathBuf};

/// One place where the house is not held.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    file: PathBuf,
    line: usize,
    what: String,
    remedy: String,
}

impl Violation {
    /// A violation in `file`, relative to the workspace root, at a line counted from 1.
    #[must_use]
    pub fn new(file: &Path, line: usize, what: impl Into<String>, remedy: &str) -> Self {
        Self {
            file: file.to_owned(),
            line: line.max(1),
            what: what.into(),
            remedy: remedy.to_owned(),
        }
    }

    /// The line of the violation, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// What is wrong, without the place and the remedy.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            what,
            remedy,
        } = self;
        write!(f, "{}:{line}: {what}: {remedy}", file.display())
    }
}

/// Passes when nothing was found.
///
/// # Panics
/// When there are violations, with all of them in the message.
pub fn uphold(mut found: Vec<Violation>) {
    found.sort();
    found.dedup();
    let lines: Vec<String> = found.iter().map(Violation::to_string).collect();
    assert!(
        lines.is_empty(),
        "{} violation(s)\n{}",
        lines.len(),
        lines.join("\n")
    );
}
