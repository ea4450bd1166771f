//! Habits of the house that clippy does not know, or that an attribute could switch off.

use std::path::{Path, PathBuf};

use crate::chart::ROOMS;
use crate::house::House;
use crate::source::RustFile;
use crate::tokens::{Token, lines_with};
use crate::violation::Violation;

/// Names that tell nothing about what is inside.
const EMPTY_NAMES: &[&str] = &[
    "common", "util", "utils", "helper", "helpers", "manager", "managers", "misc", "types",
    "shared",
];

/// Macros that leave work behind.
const LEFTOVERS: &[&str] = &["todo !", "unimplemented !", "dbg !"];

/// Switched-off lints: `expect` says so when its reason is gone, `allow` stays for ever.
#[must_use]
pub fn allowed_lints(files: &[RustFile]) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in files {
        for attribute in attributes(file.tokens()) {
            let line = attribute.first().map_or(1, |token| token.line);
            if !lines_with(attribute, "allow (").is_empty() {
                let what = "a lint is allowed";
                let remedy = "use #[expect(lint, reason = \"...\")]";
                found.push(Violation::new(file.path(), line, what, remedy));
            }
            let expects = !lines_with(attribute, "expect (").is_empty();
            if expects && lines_with(attribute, "reason =").is_empty() {
                let what = "a lint is expected without a reason";
                found.push(Violation::new(
                    file.path(),
                    line,
                    what,
                    "add reason = \"...\"",
                ));
            }
        }
    }
    found
}

/// `unwrap()` outside of tests.
#[must_use]
pub fn unwraps(files: &[RustFile]) -> Vec<Violation> {
    let remedy = "return an error, or say why it holds: expect(\"...\")";
    outside_tests(files, &[". unwrap ( )", ". expect ( \"\" )"], remedy)
}

/// Work left behind.
#[must_use]
pub fn leftovers(files: &[RustFile]) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in files {
        for leftover in LEFTOVERS {
            for line in lines_with(file.tokens(), leftover) {
                let what = format!("`{}` is left", leftover.replace(' ', ""));
                found.push(Violation::new(
                    file.path(),
                    line,
                    what,
                    "finish it or take it out",
                ));
            }
        }
    }
    found
}

/// Files that do not begin by saying what they are for.
#[must_use]
pub fn headless_files(files: &[RustFile]) -> Vec<Violation> {
    files
        .iter()
        .filter(|file| !file.text().starts_with("//! "))
        .map(|file| {
            let remedy = "begin with `//!`: purpose, invariants, what is absent";
            Violation::new(file.path(), 1, "no header", remedy)
        })
        .collect()
}

/// Folders, files and modules whose name tells nothing.
#[must_use]
pub fn empty_names(paths: &[PathBuf], files: &[RustFile]) -> Vec<Violation> {
    let remedy = "name it after what it is about";
    let mut found = Vec::new();
    for path in paths {
        let told = path.with_extension("");
        if let Some(name) = told
            .iter()
            .filter_map(|part| part.to_str())
            .find(|n| is_empty(n))
        {
            found.push(Violation::new(
                path,
                1,
                format!("the name `{name}`"),
                remedy,
            ));
        }
    }
    for file in files {
        for (name, line) in file.modules().iter().filter(|(name, _)| is_empty(name)) {
            found.push(Violation::new(
                file.path(),
                *line,
                format!("mod {name}"),
                remedy,
            ));
        }
    }
    found
}

/// Pure crates whose clippy configuration differs from the first one's. clippy reads one file per
/// crate and merges nothing, so each has a copy.
#[must_use]
pub fn differing_clippy_files(house: &House) -> Vec<Violation> {
    let pure = ROOMS.iter().filter(|room| room.family.is_pure());
    let files: Vec<PathBuf> = pure
        .map(|room| Path::new(room.folder).join("clippy.toml"))
        .collect();
    let model = files.first().and_then(|file| house.text(file));
    files
        .iter()
        .filter(|file| model.is_none() || house.text(file) != model)
        .map(|file| {
            let what = "the pure crates' clippy.toml is missing or differs";
            Violation::new(
                file,
                1,
                what,
                "copy schemas/clippy.toml to every words and rules crate",
            )
        })
        .collect()
}

/// Files that every checkout has to have.
#[must_use]
pub fn missing_files(house: &House, wanted: &[&str]) -> Vec<Violation> {
    wanted
        .iter()
        .filter(|name| {
            house
                .text(Path::new(name))
                .is_none_or(|text| text.trim().is_empty())
        })
        .map(|name| Violation::new(Path::new(name), 1, "missing or empty", "write it"))
        .collect()
}

fn outside_tests(files: &[RustFile], sequences: &[&str], remedy: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in files {
        for sequence in sequences {
            for line in lines_with(file.tokens(), sequence) {
                if !file.is_test_line(line) {
                    let what = format!("`{}`", sequence.replace(' ', ""));
                    found.push(Violation::new(file.path(), line, what, remedy));
                }
            }
        }
    }
    found
}

/// The tokens of each attribute, from its `#` to its closing bracket.
fn attributes(tokens: &[Token]) -> Vec<&[Token]> {
    let mut found = Vec::new();
    for (start, token) in tokens.iter().enumerate() {
        let rest = &tokens[start..];
        let opens = rest.iter().skip(1).take(2).any(|t| t.text == "[")
            && rest.get(1).is_some_and(|t| t.text == "[" || t.text == "!");
        if token.text == "#" && opens {
            found.push(&rest[..attribute_length(rest)]);
        }
    }
    found
}

fn attribute_length(tokens: &[Token]) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "[" => depth += 1,
            "]" if depth == 1 => return index + 1,
            "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    tokens.len()
}

fn is_empty(name: &str) -> bool {
    EMPTY_NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(text: &str) -> [RustFile; 1] {
        [RustFile::parse(Path::new("x/src/lib.rs"), text)]
    }

    fn lines(found: &[Violation]) -> Vec<usize> {
        found.iter().map(Violation::line).collect()
    }

    #[test]
    fn allow_is_found_in_attributes_and_not_in_calls() {
        let text =
            "//! A.\n#![allow(dead_code)]\n#[cfg_attr(test, allow(x))]\nfn f() { p.allow(1) }";
        assert_eq!(lines(&allowed_lints(&sample(text))), [2, 3]);
        let text = "#[expect(dead_code)]\nfn f() {}\n#[expect(x, reason = \"why\")]\nfn g() {}";
        assert_eq!(lines(&allowed_lints(&sample(text))), [1]);
    }

    #[test]
    fn unwrap_is_left_to_tests() {
        let text = "fn f() { a.unwrap(); }\n#[test]\nfn t() { a.unwrap(); }";
        assert_eq!(lines(&unwraps(&sample(text))), [1]);
    }

    #[test]
    fn empty_names_are_found_in_paths_and_modules() {
        let paths = [
            PathBuf::from("x/src/utils.rs"),
            PathBuf::from("x/tests/common/mod.rs"),
        ];
        assert_eq!(empty_names(&paths, &sample("\nmod manager {}")).len(), 3);
        assert!(empty_names(&[PathBuf::from("docs/commonplace.md")], &[]).is_empty());
    }

    #[test]
    fn a_header_is_the_first_line() {
        assert!(headless_files(&sample("//! What.\nfn f() {}")).is_empty());
        assert_eq!(headless_files(&sample("// What.\nfn f() {}")).len(), 1);
    }

    #[test]
    fn leftovers_are_found_in_tests_too() {
        assert_eq!(
            lines(&leftovers(&sample("#[test]\nfn t() {\n todo!() }"))),
            [3]
        );
    }
}
