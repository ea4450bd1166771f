//! Where results go: people get text, scripts get one JSON object per line.

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets};
use entente_sdk::UnixMillis;
use serde::Serialize;

use super::{inert, json};
use crate::failure::Failure;

/// What stands out.
pub const STRONG: Style = Style::new().bold();
/// What is there for who looks closely.
pub const FAINT: Style = Style::new().dimmed();
/// What went well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What deserves a look.
pub const WARNING: Style = AnsiColor::Yellow.on_default();
/// What went wrong.
pub const BAD: Style = AnsiColor::Red.on_default().bold();

/// A result.
pub trait Fact: Serialize {
    /// The result as people read it, without a line break at the end. Text of others is made inert.
    fn text(&self, now: UnixMillis) -> String;
}

/// A result that comes in tables.
pub trait Row: Serialize {
    /// What stands over the columns.
    const HEADER: &'static [&'static str];
    /// The columns as people read them. Text of others is made inert.
    fn cells(&self, now: UnixMillis) -> Vec<String>;
}

/// Where results go.
#[derive(Clone, Copy, Debug)]
pub enum Screen {
    /// To people.
    Text,
    /// To scripts.
    Json,
}

impl Screen {
    /// Whether scripts read along.
    #[must_use]
    pub fn is_json(self) -> bool {
        matches!(self, Self::Json)
    }

    /// Shows a result.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub fn show(self, fact: &impl Fact) -> Result<(), Failure> {
        print(&self.line(fact))
    }

    /// A result as it would be shown, without a line break at the end.
    #[must_use]
    pub fn line(self, fact: &impl Fact) -> String {
        match self {
            Self::Text => fact.text(now()),
            Self::Json => json::line(fact),
        }
    }

    /// Shows results below each other; `nothing` is what people read when there are none.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub fn table<R: Row>(self, rows: &[R], nothing: &str) -> Result<(), Failure> {
        match self {
            Self::Json => rows.iter().try_for_each(|row| print(&json::line(row))),
            Self::Text if rows.is_empty() => print(nothing),
            Self::Text => print(&table_text(rows)),
        }
    }

    /// Tells people, not scripts, something besides the result.
    pub fn remark(self, text: &str) {
        if !self.is_json() {
            complain(&format!("{FAINT}{text}{FAINT:#}"));
        }
    }

    /// Tells why the command failed.
    pub fn fail(self, failure: &Failure) {
        let Some(told) = failure.told() else { return };
        match self {
            Self::Json => complain(&json::line(&told.report())),
            Self::Text => {
                let message = inert::block(told.message(), "  ");
                complain(&format!("{BAD}error:{BAD:#} {message}"));
            }
        }
    }
}

/// Prints a line to standard output; colors are dropped where nobody sees them.
///
/// # Errors
/// When the output cannot be written.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|error| Failure::io("cannot write to standard output", &error))
}

/// The clock.
#[must_use]
pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    UnixMillis(u64::try_from(ms).unwrap_or(u64::MAX))
}

/// Standard error is the last resort: when it is gone too, there is nobody to tell.
fn complain(text: &str) {
    let _: io::Result<()> = writeln!(anstream::stderr().lock(), "{text}");
}

pub(super) fn table_text<R: Row>(rows: &[R]) -> String {
    let now = now();
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(R::HEADER);
    for row in rows {
        table.add_row(row.cells(now));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Pair(&'static str, &'static str);

    impl Row for Pair {
        const HEADER: &'static [&'static str] = &["ROOM", "HUB"];
        fn cells(&self, _: UnixMillis) -> Vec<String> {
            vec![self.0.to_owned(), self.1.to_owned()]
        }
    }

    #[test]
    fn tables_align_without_lines() {
        let text = table_text(&[Pair("Tea", "org-a.test"), Pair("Long walks", "b")]);
        assert_eq!(
            text,
            "ROOM        HUB\nTea         org-a.test\nLong walks  b"
        );
    }
}
