//! How long files and functions may be, and how long they are.

use crate::source::{Function, RustFile};
use crate::violation::Violation;

/// Longest file, in lines.
pub const FILE_LINES_MAX: usize = 700;

/// Longest function outside of tests, in lines from its signature to its closing brace.
pub const FUNCTION_LINES_MAX: usize = 70;

/// Most parameters of a function, `self` included.
pub const ARGUMENTS_MAX: usize = 6;

/// Length from which a file is worth a look.
const FILE_LINES_SOFT: usize = 400;

/// Length from which a function is worth a look.
const FUNCTION_LINES_SOFT: usize = 40;

/// Files that are too long; tests are no exception.
#[must_use]
pub fn long_files(files: &[RustFile]) -> Vec<Violation> {
    files
        .iter()
        .filter(|file| file.line_count() > FILE_LINES_MAX)
        .map(|file| {
            let what = format!("{} lines, at most {FILE_LINES_MAX}", file.line_count());
            let remedy = "split it along what changes together: one operation, one file";
            Violation::new(file.path(), FILE_LINES_MAX + 1, what, remedy)
        })
        .collect()
}

/// Functions that are too long; tests may tell a long story.
#[must_use]
pub fn long_functions(files: &[RustFile]) -> Vec<Violation> {
    functions(files)
        .filter(|(_, function)| !function.is_test && function.length > FUNCTION_LINES_MAX)
        .map(|(file, function)| {
            let Function {
                name, length, line, ..
            } = function;
            let what = format!("fn {name} has {length} lines, at most {FUNCTION_LINES_MAX}");
            let remedy = "keep the control flow, move the computation to pure leaves";
            Violation::new(file.path(), line, what, remedy)
        })
        .collect()
}

/// Functions with too many parameters.
#[must_use]
pub fn many_arguments(files: &[RustFile]) -> Vec<Violation> {
    functions(files)
        .filter(|(_, function)| function.arguments > ARGUMENTS_MAX)
        .map(|(file, function)| {
            let Function {
                name,
                arguments,
                line,
                ..
            } = function;
            let what = format!("fn {name} takes {arguments} arguments, at most {ARGUMENTS_MAX}");
            Violation::new(
                file.path(),
                line,
                what,
                "gather what belongs together in a struct",
            )
        })
        .collect()
}

/// Medians, the longest, and what is beyond the soft limits, as text for people.
#[must_use]
pub fn report(files: &[RustFile]) -> String {
    let mut file_lines: Vec<(usize, String)> = files
        .iter()
        .map(|file| (file.line_count(), file.path().display().to_string()))
        .collect();
    let mut function_lines: Vec<(usize, String)> = functions(files)
        .filter(|(_, function)| !function.is_test)
        .map(|(file, function)| {
            let place = format!(
                "{}:{} {}",
                file.path().display(),
                function.line,
                function.name
            );
            (function.length, place)
        })
        .collect();
    let mut text = section("files", &mut file_lines, FILE_LINES_SOFT);
    text += &section("functions", &mut function_lines, FUNCTION_LINES_SOFT);
    text
}

fn section(title: &str, sizes: &mut [(usize, String)], soft: usize) -> String {
    sizes.sort_by(|a, b| b.cmp(a));
    let median = sizes.get(sizes.len() / 2).map_or(0, |(length, _)| *length);
    let ninetieth = sizes.get(sizes.len() / 10).map_or(0, |(length, _)| *length);
    let longest = sizes.first().map_or(0, |(length, _)| *length);
    let mut text = format!(
        "{title}: {} in all, median {median} lines, p90 {ninetieth}, longest {longest}\n",
        sizes.len()
    );
    for (length, place) in sizes.iter().filter(|(length, _)| *length > soft) {
        text += &format!("  {length:>4} {place}\n");
    }
    text
}

fn functions(files: &[RustFile]) -> impl Iterator<Item = (&RustFile, Function)> {
    files
        .iter()
        .flat_map(|file| file.functions().map(move |function| (file, function)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn sample(text: &str) -> [RustFile; 1] {
        [RustFile::parse(Path::new("x/src/lib.rs"), text)]
    }

    #[test]
    fn what_is_too_big_is_found_at_its_line() {
        let long = format!(
            "\nfn long() {{\n{}}}\n",
            "    step();\n".repeat(FUNCTION_LINES_MAX)
        );
        assert_eq!(long_functions(&sample(&long))[0].line(), 2);
        assert!(long_functions(&sample(&format!("#[test]{long}"))).is_empty());
        let wide = "fn wide(a: A, b: A, c: A, d: A, e: A, f: A, g: A) {}";
        assert_eq!(many_arguments(&sample(wide)).len(), 1);
        assert_eq!(
            long_files(&sample(&"\n".repeat(FILE_LINES_MAX + 1))).len(),
            1
        );
    }

    #[test]
    fn the_report_names_the_longest() {
        let text = report(&sample("fn one() {\n}\nfn two() {}\n"));
        assert!(
            text.contains("functions: 2 in all, median 1 lines, p90 2, longest 2"),
            "{text}"
        );
    }
}
