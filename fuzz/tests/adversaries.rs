//! Lines of the list of adversaries, over the corpora: what is hostile is refused, what is genuine stays
//! so only unchanged.

#[expect(dead_code, reason = "shared with the smoke test, which also mutates")]
mod replay;

use entente_fuzz::{TARGETS, Verdict, target};
use replay::{Seed, corpus, run, run_within};

/// The input that a hostile message may make a target hold, in bytes, beside a few times its own length.
const HOSTILE_MEMORY_BYTES: u64 = 1 << 20;

/// Every seed of a line, over all targets, is refused; each of the named targets has some.
fn refused(line: &str, targets: &[&str]) {
    let prefix = format!("hostile-{line}-");
    for target in TARGETS {
        let seeds = corpus(target.name);
        let hostile = seeds.iter().filter(|seed| seed.name.starts_with(&prefix));
        let mut count = 0;
        for seed in hostile {
            let bound = HOSTILE_MEMORY_BYTES + 16 * seed.input.len() as u64;
            // What a target needs for itself is made before it is measured.
            let _ = (target.run)(&[]);
            let verdict = run_within(target, seed, &seed.input, bound);
            assert_eq!(verdict, Verdict::Refused, "{}/{}", target.name, seed.name);
            count += 1;
        }
        let wanted = targets.contains(&target.name);
        assert!(
            count > 0 || !wanted,
            "{} has no seed of {line}",
            target.name
        );
    }
}

/// The genuine seeds of a target.
fn genuine(name: &str) -> Vec<Seed> {
    let mut seeds = corpus(name);
    seeds.retain(|seed| seed.name.starts_with("genuine-"));
    assert!(!seeds.is_empty(), "{name} has no genuine seed");
    seeds
}

/// No genuine input of a target is taken with one bit changed, cut off or longer. The first `free` bytes
/// only say what the rest is; every `step`th place is tried.
fn only_unchanged(name: &str, free: usize, step: usize) {
    let target = target(name).expect("a target");
    for seed in genuine(name) {
        assert_eq!(
            run(target, &seed, &seed.input),
            Verdict::Accepted,
            "{name}/{}",
            seed.name
        );
        for at in (free..seed.input.len()).step_by(step) {
            let mut changed = seed.input.clone();
            changed[at] ^= 1 << (at % 8);
            let cut = &seed.input[..at];
            for (how, input) in [("changed", &changed[..]), ("cut", cut)] {
                let verdict = run(target, &seed, input);
                assert_eq!(
                    verdict,
                    Verdict::Refused,
                    "{name}/{} {how} at {at}",
                    seed.name
                );
            }
        }
        for byte in [0, 1, 0xff] {
            let longer = [&seed.input[..], &[byte]].concat();
            let verdict = run(target, &seed, &longer);
            assert_eq!(
                verdict,
                Verdict::Refused,
                "{name}/{} longer by {byte}",
                seed.name
            );
        }
    }
}

#[test]
fn a1_a_proof_of_another_connection_is_refused() {
    refused("a1", &["greetings"]);
}

#[test]
fn a2_what_is_meant_for_somebody_else_is_refused() {
    refused(
        "a2",
        &[
            "signed_objects",
            "greetings",
            "key_documents",
            "batches",
            "sealed_invites",
        ],
    );
}

#[test]
fn a3_another_version_or_a_missing_end_is_refused() {
    refused(
        "a3",
        &[
            "signed_objects",
            "greetings",
            "key_documents",
            "tickets",
            "policies",
        ],
    );
}

#[test]
fn a4_what_is_longer_or_changed_is_refused() {
    let framed = [
        "streams",
        "client_requests",
        "peer_requests",
        "submit_flow",
        "relay_flow",
    ];
    refused("a4", &framed);
    refused(
        "a4",
        &[
            "signed_objects",
            "batches",
            "items",
            "entries",
            "device_items",
            "tickets",
        ],
    );
}

#[test]
fn a4_no_changed_bit_of_a_signed_object_makes_a_fact() {
    only_unchanged("signed_objects", 1, 1);
    only_unchanged("greetings", 1, 1);
    only_unchanged("key_documents", 0, 1);
    only_unchanged("tickets", 0, 1);
    only_unchanged("accounts", 1, 3);
}

#[test]
fn a4_no_changed_bit_of_an_attestation_shows_a_head() {
    only_unchanged("checkpoints", 0, 1);
}

#[test]
fn a4_no_changed_bit_of_a_sealed_invitation_opens() {
    only_unchanged("sealed_invites", 0, 1);
}

#[test]
fn a5_degenerate_points_and_scalars_have_one_verdict() {
    refused(
        "a5",
        &[
            "signatures",
            "signed_objects",
            "greetings",
            "tickets",
            "sealed_invites",
        ],
    );
    only_unchanged("signatures", 0, 1);
}

#[test]
fn a6_a_signature_of_another_key_or_kind_is_refused() {
    refused(
        "a6",
        &[
            "signed_objects",
            "greetings",
            "key_documents",
            "tickets",
            "accounts",
        ],
    );
}

#[test]
fn a7_a_key_document_of_another_time_is_refused() {
    refused("a7", &["key_documents"]);
}

#[test]
fn a8_a_key_document_or_chain_of_another_key_is_refused() {
    refused("a8", &["key_documents", "accounts"]);
}

#[test]
fn a11_a_name_has_one_form_or_is_refused() {
    refused("a11", &["names"]);
    let names = target("names").expect("a target");
    for seed in genuine("names") {
        let text = String::from_utf8(seed.input.clone()).expect("a name is text");
        if text.starts_with("https://") {
            // A path may end in a dot, and has its own seeds.
            continue;
        }
        let other_forms = [
            format!("{text}."),
            format!(" {text}"),
            format!("{text}\n"),
            format!("{text}\0"),
            format!("{text}%2e"),
            format!("{text}\u{3002}example"),
            format!("{text}/"),
            text.to_uppercase(),
        ];
        for form in other_forms.iter().filter(|form| **form != text) {
            let verdict = run(names, &seed, form.as_bytes());
            assert_eq!(verdict, Verdict::Refused, "{form:?}");
        }
    }
}

#[test]
fn a12_another_algorithm_or_tag_is_refused() {
    refused(
        "a12",
        &[
            "streams",
            "signed_objects",
            "greetings",
            "key_documents",
            "tickets",
        ],
    );
}

#[test]
fn b1_an_address_is_no_name_of_an_organization() {
    refused("b1", &["server_documents", "host_tables"]);
}

#[test]
fn b3_deep_large_and_endless_documents_are_bounded() {
    refused("b3", &["server_documents", "user_documents", "contents"]);
    let bodies: [Vec<u8>; 4] = [
        vec![b'['; 1 << 20],
        b"{\"a\":".repeat(1 << 18),
        [&b"{\"id\":\""[..], &vec![b'x'; 1 << 20], b"\"}"].concat(),
        vec![b' '; 1 << 20],
    ];
    for name in ["server_documents", "user_documents"] {
        let target = target(name).expect("a target");
        for input in &bodies {
            let seed = Seed {
                name: "large".to_owned(),
                input: Vec::new(),
            };
            let verdict = run_within(target, &seed, input, HOSTILE_MEMORY_BYTES);
            assert_eq!(verdict, Verdict::Refused);
        }
    }
}

#[test]
fn b4_a_document_of_another_or_with_keys_mixed_up_is_refused() {
    refused(
        "b4",
        &["server_documents", "user_documents", "key_documents"],
    );
}

#[test]
fn c6_a_group_info_that_does_not_match_its_commit_is_refused() {
    refused("c6", &["commit_bundles", "welcomes", "foundings"]);
}

#[test]
fn c9_a_ticket_that_has_ended_lets_nobody_in() {
    refused("c9", &["tickets"]);
}

#[test]
fn e1_lying_segments_lists_and_pointers_are_refused_and_cost_no_memory() {
    refused(
        "e1",
        &[
            "streams",
            "client_requests",
            "client_replies",
            "peer_requests",
            "peer_replies",
            "submit_flow",
            "sync_flow",
            "relay_flow",
            "faults",
            "batches",
        ],
    );
}

#[test]
fn e5_damaged_mls_is_refused_wherever_it_arrives() {
    let arrives = [
        "group_messages",
        "key_packages",
        "commit_bundles",
        "proposals",
        "foundings",
    ];
    refused("e5", &arrives);
    refused(
        "e5",
        &[
            "member_messages",
            "late_messages",
            "welcomes",
            "join_offers",
        ],
    );
}

#[test]
fn e5_no_changed_bit_of_an_mls_message_is_taken() {
    only_unchanged("key_packages", 0, 13);
    only_unchanged("member_messages", 1, 61);
    only_unchanged("late_messages", 1, 2);
}

#[test]
fn e5_no_changed_bit_of_a_welcome_an_offer_or_a_founding_is_taken() {
    only_unchanged("welcomes", 5, 97);
    only_unchanged("join_offers", 5, 97);
    only_unchanged("foundings", 5, 97);
}

#[test]
fn f2_a_key_package_that_has_ended_is_refused() {
    refused("f2", &["key_packages"]);
}

#[test]
fn f6_a_device_list_out_of_its_bounds_or_order_is_refused() {
    refused("f6", &["accounts"]);
}
