//! What a test does where the machine lacks what it takes.

/// Says that something was not run, and why. Where `ENTENTE_TESTS_MUST` names it (words: `containers`, `disk`),
/// as `scripts/test` does on a machine that has it, that is a failure: nothing passes by being left out.
///
/// # Panics
/// When it was to be run.
pub fn not_run(what: &str, why: &str) {
    let must = std::env::var("ENTENTE_TESTS_MUST").unwrap_or_default();
    let must = must.split_whitespace().any(|word| word == what);
    assert!(!must, "this machine was to run what takes {what}: {why}");
    println!("NOT RUN, for lack of {what}: {why}");
}
