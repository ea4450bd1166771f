//! What runs of the fuzzer found, one test each, named by the line of the adversaries that it concerns.
//! The inputs lie in the corpora as `found-…`, so that mutations go on from them.

#[expect(dead_code, reason = "shared with the smoke test, which also mutates")]
mod replay;

use entente_fuzz::{Verdict, target};
use replay::{corpus, run};

/// Runs a target over a finding: no property breaks any more, and the verdict is this one.
fn settled(name: &str, finding: &str, verdict: Verdict) {
    let target = target(name).expect("a target");
    let seeds = corpus(name);
    let seed = seeds.iter().find(|seed| seed.name == finding);
    let seed = seed.unwrap_or_else(|| panic!("{name} lacks {finding}"));
    assert_eq!(run(target, seed, &seed.input), verdict, "{name}/{finding}");
}

/// The position after the last one does not exist: counting on overflowed, and then stood still.
#[test]
fn c3_a_log_that_ends_at_the_last_position_does_not_go_on() {
    settled("entries", "found-last-of-all", Verdict::Accepted);
}

/// The bits of an attestation's index beyond its path were not looked at.
#[test]
fn a4_an_index_beyond_its_path_shows_no_head() {
    settled(
        "checkpoints",
        "found-index-beyond-the-path",
        Verdict::Refused,
    );
}

/// A zero-width joiner came through behind a selector that was itself escaped.
#[test]
fn f8_a_joiner_behind_an_escaped_selector_is_escaped() {
    settled(
        "inert_text",
        "found-joiner-behind-an-escaped-selector",
        Verdict::Accepted,
    );
}

/// One key under two ids was taken and written as something else: it is refused.
#[test]
fn b4_one_key_under_two_ids_does_no_harm() {
    settled(
        "server_documents",
        "found-one-key-under-two-ids",
        Verdict::Refused,
    );
}

/// A membership tag that no member can take: the hub cannot judge it, but sees that it is none.
#[test]
fn c5_a_handshake_without_a_membership_tag_breaks_nothing() {
    settled("proposals", "found-empty-membership-tag", Verdict::Refused);
}
