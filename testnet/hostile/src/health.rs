//! How a server process fares, seen from outside: memory, life, and whether it ever panicked.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

/// How much a server may grow by an attack, in KiB: 64 MiB.
pub const GROWTH_LIMIT_KIB: u64 = 64 * 1024;

/// A process's memory, in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Resident now.
    pub resident_kib: u64,
    /// The most that ever was.
    pub peak_kib: u64,
}

impl Memory {
    /// Reads what a process uses.
    ///
    /// # Errors
    /// There is no such process any more.
    pub fn of(pid: u32) -> Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/status"));
        let text = text.with_context(|| format!("process {pid} is gone"))?;
        Ok(Self {
            resident_kib: field(&text, "VmRSS:")?,
            peak_kib: field(&text, "VmHWM:")?,
        })
    }

    /// Lets the peak begin anew where the system can do that; elsewhere it stays what it was.
    pub fn reset_peak(pid: u32) {
        // Without it, only peaks above all earlier ones are seen.
        let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
    }

    /// By how much a process grew at most from `before` to now.
    #[must_use]
    pub fn growth_kib(self, before: Self) -> u64 {
        // A peak from before the attack says nothing about it.
        let peak = if self.peak_kib > before.peak_kib {
            self.peak_kib
        } else {
            self.resident_kib
        };
        peak.saturating_sub(before.resident_kib)
    }
}

fn field(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    let number = number.with_context(|| format!("a process without {name}"))?;
    Ok(number.parse()?)
}

/// Checks that a log tells of no panic.
///
/// # Errors
/// It does, or cannot be read.
pub fn never_panicked(log: &Path) -> Result<()> {
    let text = fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    let text = String::from_utf8_lossy(&text);
    let panic = text.lines().find(|line| line.contains("panicked"));
    ensure!(panic.is_none(), "a server panicked: {panic:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_process_has_memory() {
        let own = Memory::of(std::process::id()).unwrap();
        assert!(own.peak_kib >= own.resident_kib && own.resident_kib > 0);
        assert!(Memory::of(u32::MAX).is_err());
    }

    #[test]
    fn only_a_new_peak_counts() {
        let memory = |resident_kib, peak_kib| Memory {
            resident_kib,
            peak_kib,
        };
        assert_eq!(memory(110, 500).growth_kib(memory(100, 500)), 10);
        assert_eq!(memory(110, 900).growth_kib(memory(100, 500)), 800);
        assert_eq!(memory(90, 500).growth_kib(memory(100, 500)), 0);
    }
}
