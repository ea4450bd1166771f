//! Looks for secrets in every byte that a server wrote: database, write-ahead log, keys, logs.
//!
//! A secret is looked for as it is, in hexadecimal, and in base64 at each of the three positions that it
//! can take there. Absent: what a server holds in memory only.

mod needles;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;
use anyhow::{Context, Result, ensure};

pub use needles::{Secret, secrets_of};

/// A secret that was found where it must not be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leak {
    /// What was found; the secret itself is not repeated.
    pub what: String,
    /// Where.
    pub file: PathBuf,
}

/// What a scan came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanReport {
    /// Files that were read.
    pub files: usize,
    /// Bytes that were read.
    pub bytes: u64,
    /// What was found.
    pub leaks: BTreeSet<Leak>,
}

/// Reads every file below `folder`.
///
/// # Errors
/// When a file cannot be read, or a secret is so short that it proves nothing.
pub fn scan(folder: &Path, secrets: &[Secret]) -> Result<ScanReport> {
    let needles = needles::of(secrets);
    ensure!(!needles.is_empty(), "there is nothing to look for");
    let automaton = AhoCorasick::new(needles.iter().map(|needle| &needle.bytes))
        .context("too many secrets to look for at once")?;
    let mut report = ScanReport::default();
    for file in files_below(folder)? {
        let reader =
            File::open(&file).with_context(|| format!("cannot read {}", file.display()))?;
        report.files += 1;
        report.bytes += reader.metadata().map_or(0, |about| about.len());
        for found in automaton.stream_find_iter(reader) {
            let found = found.with_context(|| format!("cannot read {}", file.display()))?;
            let needle = &needles[found.pattern().as_usize()];
            report.leaks.insert(Leak {
                what: secrets[needle.secret].what().to_owned(),
                file: file.clone(),
            });
        }
    }
    Ok(report)
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder)
            .with_context(|| format!("cannot look into {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

    use super::*;

    fn check(contents: &[u8], expect: bool) {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("data/deep");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("x.sqlite-wal"), contents).unwrap();
        let secrets = [Secret::text("a text", "meet me at the harbour").unwrap()];
        let report = scan(temp.path(), &secrets).unwrap();
        assert_eq!(report.files, 1);
        assert_eq!(!report.leaks.is_empty(), expect, "{contents:?}");
    }

    #[test]
    fn a_secret_is_found_in_every_dress() {
        let text = b"meet me at the harbour";
        check(b"meet me somewhere else", false);
        check(&[&[0; 70_000], &text[..], b"tail"].concat(), true);
        check(HEXLOWER.encode(text).as_bytes(), true);
        check(HEXUPPER.encode(text).as_bytes(), true);
        for lead in ["", "x", "xy", "xyz"] {
            let framed = [lead.as_bytes(), text, b"?>?>"].concat();
            check(BASE64.encode(&framed).as_bytes(), true);
            check(BASE64URL_NOPAD.encode(&framed).as_bytes(), true);
        }
    }

    #[test]
    fn short_secrets_prove_nothing() {
        assert!(Secret::text("a text", "hi").is_err());
    }
}
