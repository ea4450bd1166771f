//! What a test does where the machine lacks what it takes.

use std::fs::File;
use std::io::Write;

/// Says that something was not run, and why. Where `ENTENTE_TESTS_MUST` names it (words: `containers`, `disk`),
/// as `scripts/test` does on a machine that has it, that is a failure: nothing passes by being left out. Where
/// `ENTENTE_TESTS_NOT_RUN` names a file, it is noted there too, as what a test that passes prints is not shown.
///
/// # Panics
/// When it was to be run, or cannot be noted.
pub fn not_run(what: &str, why: &str) {
    let must = std::env::var("ENTENTE_TESTS_MUST").unwrap_or_default();
    let must = must.split_whitespace().any(|word| word == what);
    assert!(!must, "this machine was to run what takes {what}: {why}");
    let line = format!("NOT RUN, for lack of {what}: {why}");
    println!("{line}");
    if let Some(file) = std::env::var_os("ENTENTE_TESTS_NOT_RUN").filter(|file| !file.is_empty()) {
        let notes = File::options().create(true).append(true).open(file);
        let noted = notes.and_then(|mut notes| notes.write_all(format!("{line}\n").as_bytes()));
        noted.expect("what was not run can be noted");
    }
}
