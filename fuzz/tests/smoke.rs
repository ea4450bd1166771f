//! Every corpus file, and a fixed number of mutations of each corpus: the fuzzer's run on stable Rust.
//!
//! A panic names the target, the seed file and the input in hexadecimal; see
//! `docs/operations/fuzzing.md` for what to do with it.

mod replay;

use std::collections::BTreeSet;

use entente_fuzz::{TARGETS, Verdict, target};
use rand::SeedableRng;
use rand::rngs::StdRng;
use replay::{Seed, corpus, mutate, run};

/// Most files of one corpus, most bytes of one, and of all together.
const LIMITS: (usize, usize, usize) = (40, 200_000, 3_000_000);

/// One test for each target, so that they run side by side.
macro_rules! smoke {
    ($($name:ident)+) => {
        const SMOKED: &[&str] = &[$(stringify!($name)),+];

        $(#[test]
        fn $name() {
            check(stringify!($name));
        })+
    };
}

smoke! {
    streams
    client_requests client_replies peer_requests peer_replies
    submit_flow sync_flow relay_flow faults batches
    items entries device_items checkpoints
    signed_objects greetings key_documents
    server_documents user_documents accounts
    names signatures
    tickets sealed_invites invite_payloads
    policies group_messages key_packages commit_bundles proposals foundings
    member_messages late_messages welcomes join_offers
    contents inert_text
    config_files host_tables
}

/// Replays a corpus, each file with the verdict that its name says, then mutates it.
fn check(name: &str) {
    let target = target(name).expect("a target");
    let seeds = corpus(name);
    assert!(!seeds.is_empty(), "{name} has no corpus");
    for seed in &seeds {
        let verdict = run(target, seed, &seed.input);
        let wanted = match seed.name.split('-').next() {
            Some("genuine") => Some(Verdict::Accepted),
            Some("hostile") => Some(Verdict::Refused),
            // What a run found or merged: it must not panic.
            _ => None,
        };
        if let Some(wanted) = wanted {
            assert_eq!(verdict, wanted, "{name}/{}", seed.name);
        }
    }
    let mut rng = StdRng::seed_from_u64(seed_of(name));
    for _ in 0..target.smoke_runs {
        let (seed, input) = mutate(&seeds, &mut rng);
        run(target, seed, &input);
    }
}

/// A number for each target: the same on every machine and in every run.
fn seed_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[test]
fn every_target_is_smoked_built_and_told() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let read = |path: &str| std::fs::read_to_string(format!("{root}{path}")).expect(path);
    let manifest = read("cargo-fuzz/Cargo.toml");
    let document = read("../docs/operations/fuzzing.md");
    let smoked: BTreeSet<&str> = SMOKED.iter().copied().collect();
    let known: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(smoked, known);
    assert_eq!(TARGETS.len(), known.len(), "a name is there twice");
    for target in TARGETS {
        let name = target.name;
        let source = read(&format!("cargo-fuzz/fuzz_targets/{name}.rs"));
        assert!(source.contains(&format!("run(\"{name}\", data)")), "{name}");
        let entry = format!("name = \"{name}\"\n");
        assert!(manifest.contains(&entry), "{name}");
        assert!(document.contains(&format!("| `{name}` |")), "{name}");
    }
}

#[test]
fn corpora_stay_small() {
    let (files, bytes, together) = LIMITS;
    let size = |seeds: &[Seed]| seeds.iter().map(|seed| seed.input.len()).sum::<usize>();
    let mut all = 0;
    for target in TARGETS {
        let seeds = corpus(target.name);
        let (count, sum) = (seeds.len(), size(&seeds));
        assert!(
            count <= files && sum <= bytes,
            "{}: {count} files, {sum} bytes",
            target.name
        );
        all += sum;
    }
    assert!(all <= together, "{all} bytes in all");
}
