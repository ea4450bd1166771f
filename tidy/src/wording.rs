//! What no file of the repository says: paths of one machine, and what only makes sense today.

use std::path::Path;

use crate::house::House;
use crate::violation::Violation;

/// Put together from halves, so that this file does not break its own rule.
const FORBIDDEN: &[(&str, &str)] = &[
    (concat!("/wo", "rk/"), MACHINE),
    (concat!("/tm", "p/entente"), MACHINE),
    (concat!("/ro", "ot/"), MACHINE),
    (concat!("/ho", "me/"), MACHINE),
    (concat!("index.", "crates.io"), REGISTRY),
    (concat!("static.", "crates.io"), REGISTRY),
    (concat!("TO", "DO"), LATER),
    (concat!("FIX", "ME"), LATER),
    (concat!("XX", "X "), LATER),
];

const MACHINE: &str = "use a path relative to the repository, or one that the reader chooses";
const REGISTRY: &str = "leave the choice of a registry to the reader's cargo";
const LATER: &str = "do it, or write what is absent in a timeless sentence";

/// Written by tools, from names that are not ours.
const EXEMPT: &[&str] = &["Cargo.lock", "LICENSE"];

/// Forbidden words in any text of the repository.
#[must_use]
pub fn forbidden_words(house: &House) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in house.files() {
        if EXEMPT.iter().any(|exempt| file == Path::new(exempt)) {
            continue;
        }
        if let Some(text) = house.text(file) {
            found.extend(in_text(file, &text));
        }
    }
    found
}

fn in_text(file: &Path, text: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for (word, remedy) in FORBIDDEN {
            if line.contains(word) {
                found.push(Violation::new(file, index + 1, format!("`{word}`"), remedy));
            }
        }
        if let Some(reference) = issue_reference(line) {
            let remedy = "say what is the case; a number says it only to its tracker's readers";
            found.push(Violation::new(
                file,
                index + 1,
                format!("`{reference}`"),
                remedy,
            ));
        }
    }
    found
}

/// A word such as `issue` or `fixes`, followed by a number.
fn issue_reference(line: &str) -> Option<String> {
    let lower = line.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    words.windows(2).find_map(|pair| {
        let [verb, number] = pair else { return None };
        let verb = verb.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let speaks_of_one = matches!(
            verb,
            "issue" | "issues" | "fixes" | "closes" | "resolves" | "pr"
        );
        let digits = number.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        (speaks_of_one && is_number).then(|| format!("{verb} {digits}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, lines: &[usize]) {
        let found = in_text(Path::new("a.md"), text);
        assert_eq!(
            found.iter().map(Violation::line).collect::<Vec<_>>(),
            lines,
            "{text}"
        );
    }

    #[test]
    fn paths_of_one_machine_and_numbers_of_one_tracker_are_found() {
        check(&format!("fine\nsee {}main", FORBIDDEN[0].0), &[2]);
        check(concat!("see is", "sue #12"), &[1]);
        check(concat!("it fix", "es 12."), &[1]);
        check(
            "twelve issued tickets; the issue of a key; RFC 9420 section 12",
            &[],
        );
    }
}
