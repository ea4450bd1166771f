//! Words and rules stay pure: no clock, no random source, no task, no lock, no global, no I/O.
//!
//! clippy refuses the same by resolved path; this scan also sees what stands in macros and behind a
//! re-export, and needs no build.

use crate::chart::room_of_file;
use crate::source::RustFile;
use crate::tokens::lines_with;
use crate::violation::Violation;

const CLOCK: &str = "take `now: UnixMillis` as an argument";
const RANDOM: &str = "take the random source as a parameter (`&mut impl CryptoRngCore`)";
const TASKS: &str = "return what should happen as a value; hands do it";
const LOCKS: &str = "own the state and take `&mut self`; hands share it";
const GLOBALS: &str = "make it a field or a `const`";
const WORLD: &str = "take the bytes as an argument; hands read and write";

/// Token sequences that reach for the world, and what to do instead.
const AMBIENT: &[(&str, &str)] = &[
    ("SystemTime", CLOCK),
    ("Instant :: now", CLOCK),
    ("time :: Instant", CLOCK),
    ("Utc :: now", CLOCK),
    ("thread_rng", RANDOM),
    ("OsRng", RANDOM),
    ("StdRng :: from_entropy", RANDOM),
    ("SmallRng :: from_entropy", RANDOM),
    ("getrandom", RANDOM),
    ("rand :: random", RANDOM),
    ("RandomState", RANDOM),
    ("std :: thread", TASKS),
    ("thread :: spawn", TASKS),
    ("async fn", TASKS),
    ("async move", TASKS),
    ("async {", TASKS),
    (". await", TASKS),
    ("tokio ::", TASKS),
    ("mpsc", TASKS),
    ("Mutex", LOCKS),
    ("RwLock", LOCKS),
    ("Condvar", LOCKS),
    ("sync :: atomic", LOCKS),
    ("OnceLock", GLOBALS),
    ("LazyLock", GLOBALS),
    ("lazy_static", GLOBALS),
    ("thread_local", GLOBALS),
    ("static mut", GLOBALS),
    ("std :: fs", WORLD),
    ("std :: env", WORLD),
    ("std :: process", WORLD),
    ("TcpStream", WORLD),
    ("TcpListener", WORLD),
    ("UdpSocket", WORLD),
    ("println !", WORLD),
    ("eprintln !", WORLD),
    ("print !", WORLD),
];

/// A place that may use one of the ambient things.
#[derive(Debug)]
pub struct Exception {
    /// Beginning of the files' paths.
    pub place: &'static str,
    /// The token sequence, as in the table.
    pub sequence: &'static str,
    /// Why it cannot be otherwise.
    pub reason: &'static str,
}

/// The exceptions, each with its reason.
pub const EXCEPTIONS: &[Exception] = &[];

/// Ambient things in words and rules, outside of tests and exceptions.
#[must_use]
pub fn ambient(files: &[RustFile], exceptions: &[Exception]) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| is_pure(file)) {
        for (sequence, remedy) in AMBIENT {
            if exceptions
                .iter()
                .any(|exception| covers(exception, file, sequence))
            {
                continue;
            }
            for line in lines_with(file.tokens(), sequence) {
                if !file.is_test_line(line) {
                    let what = format!("`{}` in a pure crate", sequence.replace(" :: ", "::"));
                    found.push(Violation::new(file.path(), line, what, remedy));
                }
            }
        }
    }
    found
}

/// Exceptions that no code needs.
#[must_use]
pub fn idle_exceptions<'a>(files: &[RustFile], exceptions: &'a [Exception]) -> Vec<&'a Exception> {
    exceptions
        .iter()
        .filter(|exception| {
            !files.iter().any(|file| {
                covers(exception, file, exception.sequence)
                    && !lines_with(file.tokens(), exception.sequence).is_empty()
            })
        })
        .collect()
}

fn covers(exception: &Exception, file: &RustFile, sequence: &str) -> bool {
    exception.sequence == sequence && file.path().starts_with(exception.place)
}

fn is_pure(file: &RustFile) -> bool {
    room_of_file(file.path()).is_some_and(|room| room.family.is_pure())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn check(path: &str, text: &str, lines: &[usize]) {
        let files = [RustFile::parse(Path::new(path), text)];
        let found: Vec<usize> = ambient(&files, &[]).iter().map(Violation::line).collect();
        assert_eq!(found, lines, "{text}");
    }

    #[test]
    fn a_clock_is_found_in_a_word_and_left_to_a_hand() {
        let text = "fn f() {\n    let now = std::time::Instant::now();\n}";
        check("identity/src/lib.rs", text, &[2, 2]);
        check("transport/src/lib.rs", text, &[]);
    }

    #[test]
    fn tests_may_reach_for_the_world() {
        check(
            "groups/src/lib.rs",
            "#[cfg(test)]\nmod tests { use rand::rngs::OsRng; }",
            &[],
        );
        check("groups/src/lib.rs", "use rand::rngs::OsRng;", &[1]);
    }

    #[test]
    fn an_exception_covers_its_place_and_is_noticed_when_idle() {
        let files = [RustFile::parse(
            Path::new("groups/src/a.rs"),
            "use rand::rngs::OsRng;",
        )];
        let needed = [Exception {
            place: "groups/src/a.rs",
            sequence: "OsRng",
            reason: "r",
        }];
        assert!(ambient(&files, &needed).is_empty() && idle_exceptions(&files, &needed).is_empty());
        let idle = [Exception {
            place: "groups/src/b.rs",
            sequence: "OsRng",
            reason: "r",
        }];
        assert_eq!(idle_exceptions(&files, &idle).len(), 1);
    }
}
