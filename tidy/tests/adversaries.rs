//! The table of adversaries in `docs/threat-model.md` names the tests that there are. Run with `UPDATE_DOCS=1`
//! to write it anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use entente_tidy::House;

const DOCUMENT: &str = "docs/threat-model.md";
/// Most tests of a line that are named; the others are counted.
const NAMED: usize = 4;
/// Lines about features that are not built yet: they need no test.
const LATER: [&str; 3] = ["C4", "C5", "F1"];

/// Tests by line, each with its crate.
fn tests(house: &House) -> BTreeMap<String, Vec<(String, String)>> {
    let mut tests: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for file in house.rust_files() {
        let package = package_of(file.path());
        for function in file.functions().filter(|function| function.is_test) {
            if let Some(line) = line_of(&function.name) {
                let test = (package.clone(), function.name.clone());
                tests.entry(line).or_default().push(test);
            }
        }
    }
    for found in tests.values_mut() {
        found.sort();
        found.dedup();
    }
    tests
}

/// The line that a test's name begins with: `a1_replayed_…` is of A1.
fn line_of(name: &str) -> Option<String> {
    let (line, rest) = name.split_once('_')?;
    let digits = line.strip_prefix(|c: char| ('a'..='f').contains(&c))?;
    let numbered = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    (numbered && !rest.is_empty()).then(|| line.to_ascii_uppercase())
}

/// The crate's folder: what stands before `src`, `tests` or `benches`.
fn package_of(path: &Path) -> String {
    let parts = path.iter().map(|part| part.to_string_lossy());
    let folders = parts.take_while(|part| !["src", "tests", "benches"].contains(&&**part));
    folders.collect::<Vec<_>>().join("/")
}

fn cell(tests: &[(String, String)]) -> String {
    let mut text = String::new();
    for (index, (package, name)) in tests.iter().take(NAMED).enumerate() {
        let between = if index > 0 { "<br>" } else { "" };
        write!(text, "{between}`{name}` ({package})").expect("a String takes everything");
    }
    if tests.len() > NAMED {
        write!(text, "<br>and {} more", tests.len() - NAMED).expect("a String takes everything");
    }
    text
}

/// The document with the last column of the table as the tests are.
fn renewed(document: &str, tests: &BTreeMap<String, Vec<(String, String)>>) -> String {
    let mut lines = Vec::new();
    for line in document.lines() {
        let columns: Vec<&str> = line.split(" | ").collect();
        let number = columns[0].trim_start_matches("| ");
        if line_of(&format!("{}_x", number.to_ascii_lowercase())).is_some() {
            assert_eq!(columns.len(), 3, "a row of three columns: {line}");
            let found = tests.get(number).map_or("none", |_| "");
            let cell = tests
                .get(number)
                .map_or_else(|| found.to_owned(), |t| cell(t));
            lines.push(format!("{} | {} | {cell} |", columns[0], columns[1]));
        } else {
            lines.push(line.to_owned());
        }
    }
    lines.join("\n") + "\n"
}

#[test]
fn the_threat_model_names_the_tests_of_every_line() {
    let house = House::open();
    let tests = tests(&house);
    let document = house.text(Path::new(DOCUMENT)).expect(DOCUMENT);
    let expected = renewed(&document, &tests);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(house.root().join(DOCUMENT), &expected).expect("docs can be written");
    } else {
        assert_eq!(document, expected, "run with UPDATE_DOCS=1");
    }
    for line in tests.keys() {
        let row = format!("\n| {line} | ");
        assert!(expected.contains(&row), "{DOCUMENT} lacks line {line}");
    }
}

#[test]
fn every_line_but_those_of_later_features_has_a_test() {
    let house = House::open();
    let tested = tests(&house);
    let document = house.text(Path::new(DOCUMENT)).expect(DOCUMENT);
    let rows = document.lines().filter_map(|line| line.strip_prefix("| "));
    let numbers = rows.filter_map(|row| row.split(" | ").next());
    let lines = numbers.filter(|n| line_of(&format!("{}_x", n.to_ascii_lowercase())).is_some());
    let lines: Vec<&str> = lines.collect();
    assert!(lines.len() >= 48, "{} lines", lines.len());
    let untested = lines
        .into_iter()
        .filter(|line| !tested.contains_key(*line) && !LATER.contains(line));
    assert_eq!(untested.collect::<Vec<_>>(), [""; 0]);
}
