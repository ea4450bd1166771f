//! Runs targets over corpus files and over their mutations, with memory counted.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use entente_fuzz::{Target, Verdict};
use rand::Rng;
use rand::rngs::StdRng;

/// What no input may make a target hold at once, beside what it needs without any.
const MEMORY_MAX_BYTES: u64 = 64 << 20;

/// Values at which lengths, counts and kinds turn over.
const EDGES: [u8; 8] = [0x00, 0x01, 0x3f, 0x40, 0x7f, 0x80, 0xbf, 0xff];

/// A corpus file.
pub struct Seed {
    pub name: String,
    pub input: Vec<u8>,
}

/// The corpus of a target, in the order of the names.
pub fn corpus(target: &str) -> Vec<Seed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{target}: {error}"));
    let read = |file: std::io::Result<fs::DirEntry>| {
        let file = file.expect("a folder that can be listed");
        Seed {
            name: file.file_name().to_string_lossy().into_owned(),
            input: fs::read(file.path()).expect("a corpus file"),
        }
    };
    let mut seeds: Vec<Seed> = files.map(read).collect();
    seeds.sort_by(|a, b| a.name.cmp(&b.name));
    seeds
}

/// Runs a target over an input that came of a seed. A panic is told with all that is needed to see it
/// again; so is memory beyond its bound.
pub fn run(target: &Target, seed: &Seed, input: &[u8]) -> Verdict {
    run_within(target, seed, input, MEMORY_MAX_BYTES)
}

/// The same with a bound of its own on the memory that is held at once.
pub fn run_within(target: &Target, seed: &Seed, input: &[u8], memory_max_bytes: u64) -> Verdict {
    let mut outcome = None;
    let memory = allocation_counter::measure(|| {
        outcome = Some(catch_unwind(AssertUnwindSafe(|| (target.run)(input))));
    });
    let origin = || {
        format!(
            "{} of seed {}: input {}",
            target.name,
            seed.name,
            hex::encode(input)
        )
    };
    assert!(
        memory.bytes_max <= memory_max_bytes,
        "{} bytes at once: {}",
        memory.bytes_max,
        origin()
    );
    match outcome.expect("the measured closure was run") {
        Ok(verdict) => verdict,
        Err(_) => panic!("a finding in {}", origin()),
    }
}

/// A corpus file with one to four changes.
pub fn mutate<'a>(seeds: &'a [Seed], rng: &mut StdRng) -> (&'a Seed, Vec<u8>) {
    let seed = &seeds[rng.gen_range(0..seeds.len())];
    let mut input = seed.input.clone();
    for _ in 0..rng.gen_range(1..=4) {
        change(&mut input, seeds, rng);
    }
    (seed, input)
}

fn change(input: &mut Vec<u8>, seeds: &[Seed], rng: &mut StdRng) {
    let at = rng.gen_range(0..=input.len());
    let run = rng.gen_range(1..=8).min(input.len() - at);
    match rng.gen_range(0..10) {
        0 => input.truncate(at),
        1 => input.insert(at, EDGES[rng.gen_range(0..EDGES.len())]),
        2 => drop(input.drain(at..at + run)),
        3 => {
            let copy = input[at..at + run].to_vec();
            input.splice(at..at, copy);
        }
        4 => input[at..at + run].fill(EDGES[rng.gen_range(0..EDGES.len())]),
        5 => {
            // The end of another file of this corpus.
            let other = &seeds[rng.gen_range(0..seeds.len())].input;
            let from = rng.gen_range(0..=other.len());
            input.truncate(at);
            input.extend(&other[from..]);
        }
        6 if input.len() >= at + 4 => {
            let number: u32 = rng.r#gen();
            let number = number >> rng.gen_range(0..32);
            let bytes = if rng.r#gen() {
                number.to_le_bytes()
            } else {
                number.to_be_bytes()
            };
            input[at..at + 4].copy_from_slice(&bytes);
        }
        7 if at < input.len() => input[at] = EDGES[rng.gen_range(0..EDGES.len())],
        8 if at < input.len() => input[at] = rng.r#gen(),
        _ if at < input.len() => input[at] ^= 1 << rng.gen_range(0..8),
        _ => input.push(rng.r#gen()),
    }
}
