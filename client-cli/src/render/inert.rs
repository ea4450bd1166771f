//! Text of others, made harmless for a terminal.
//!
//! Names and messages may hold escape sequences that repaint the screen, marks that turn the reading
//! direction round, characters that nobody sees, and accents piled up over the lines around them. All
//! of them are shown as `\u{…}` instead of being obeyed. What people really write stays as it is: letters
//! of every script, emoji, and the joiners inside emoji.
//!
//! What looks alike stays alike: a room's name proves nothing. Handles are ASCII by their grammar, and
//! domains are shown as they are on the wire.

use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How many columns a tab is worth in a message.
const TAB: &str = "    ";
/// Most marks on one letter; no language's spelling needs more.
const MAX_MARKS: usize = 8;
/// Most columns of a name, so that none pushes what follows it out of sight.
const MAX_NAME_COLUMNS: usize = 64;

/// A single line: topics, handles, explanations. Line breaks are shown, not made.
#[must_use]
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_inert(text, &mut out);
    out
}

/// A name: a single line that ends with `…` where it would be too long.
#[must_use]
pub fn name(text: &str) -> String {
    let whole = line(text);
    let mut ends = whole.char_indices().map(|(at, c)| at + c.len_utf8());
    let Some(end) = ends.find(|end| columns(&whole[..*end]) > MAX_NAME_COLUMNS) else {
        return whole;
    };
    let end = whole.floor_char_boundary(end - 1);
    let cut = whole[..end].trim_end_matches(['\u{200D}', '\u{FE0F}']);
    format!("{cut}…")
}

/// How many columns a text may take: terminals differ in what they make of joined emoji.
fn columns(text: &str) -> usize {
    let apart: usize = text.chars().filter_map(UnicodeWidthChar::width).sum();
    apart.max(text.width())
}

/// A message: its own line breaks are kept, and every further line begins with `margin`, so that no
/// message can pretend to be the next one.
#[must_use]
pub fn block(text: &str, margin: &str) -> String {
    let normal = text.replace("\r\n", "\n");
    let mut out = String::with_capacity(text.len());
    for (index, part) in normal.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
            out.push_str(margin);
        }
        push_inert(&part.replace('\t', TAB), &mut out);
    }
    out
}

/// Whether a character is never to reach a terminal or a log as it is.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control() || is_invisible(c)
}

fn push_inert(text: &str, out: &mut String) {
    let mut before: Option<char> = None;
    // A mark without a letter would sit on whatever stands before the text.
    let mut marks = MAX_MARKS;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let joins = joins_emoji(before, c, rest.peek().copied());
        let is_mark = UnicodeWidthChar::width(c) == Some(0) && !joins;
        marks = if is_mark { marks + 1 } else { 0 };
        // Nothing joins on to what is shown as an escape.
        before = if (is_unsafe(c) && !joins) || marks > MAX_MARKS {
            push_escape(c, out);
            None
        } else {
            out.push(c);
            Some(c)
        };
    }
}

fn push_escape(c: char, out: &mut String) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        _ => write!(out, "\\u{{{:x}}}", u32::from(c)).expect("a String takes all text"),
    }
}

/// Characters without a shape of their own that are not controls (Unicode categories Cf, Zl and Zp,
/// fillers, and selectors of variants).
fn is_invisible(c: char) -> bool {
    matches!(u32::from(c),
        0x00AD | 0x034F | 0x061C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F
        | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0x2800 | 0x3164 | 0xFE00..=0xFE0F
        | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB | 0x13430..=0x1345F | 0x16FE4 | 0x1BCA0..=0x1BCA3
        | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF)
}

/// Whether a joiner or selector stands where emoji need it (Unicode Technical Standard 51 §1.4).
fn joins_emoji(before: Option<char>, c: char, after: Option<char>) -> bool {
    let after_emoji = before.is_some_and(|b| is_emoji(b) || b == '\u{FE0F}');
    match c {
        '\u{FE0F}' if before.is_some_and(is_keycap_base) => after == Some('\u{20E3}'),
        '\u{FE0F}' => before.is_some_and(is_emoji),
        '\u{200D}' => after_emoji && after.is_some_and(is_emoji),
        _ => false,
    }
}

fn is_emoji(c: char) -> bool {
    matches!(u32::from(c),
        0x00A9 | 0x00AE | 0x203C | 0x2049 | 0x2122 | 0x2139 | 0x2190..=0x21FF | 0x2300..=0x23FF
        | 0x25A0..=0x27BF | 0x2900..=0x297F | 0x2B00..=0x2BFF | 0x3030 | 0x303D
        | 0x1F000..=0x1FAFF)
}

fn is_keycap_base(c: char) -> bool {
    matches!(c, '0'..='9' | '#' | '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        assert_eq!(line(text), expect);
        assert!(line(text).chars().all(|c| !c.is_control()));
    }

    #[test]
    fn f8_a_joiner_behind_an_escape_is_escaped() {
        check("a\u{fe0f}\u{200d}👍", "a\\u{fe0f}\\u{200d}👍");
    }

    #[test]
    fn what_people_write_stays() {
        for text in [
            "héllo wörld",
            "日本語 עברית عربى",
            "👍🏽 ❤️ 👨‍👩‍👧 1️⃣ 🏳️‍🌈",
            "C:\\new",
            "e\u{301}",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn what_terminals_obey_is_shown() {
        check("\u{1b}[2J\u{7}", "\\u{1b}[2J\\u{7}");
        check("a\nb\r\tc", "a\\nb\\r\\tc");
        check("\u{9b}31m\u{7f}\0", "\\u{9b}31m\\u{7f}\\u{0}");
        check("user\u{202e}txt.exe", "user\\u{202e}txt.exe");
        check("\u{2066}x\u{2069}\u{200f}", "\\u{2066}x\\u{2069}\\u{200f}");
        check(
            "ad\u{200b}min\u{feff}\u{ad}",
            "ad\\u{200b}min\\u{feff}\\u{ad}",
        );
        check("a\u{200d}b", "a\\u{200d}b");
        check("a\u{fe0f}", "a\\u{fe0f}");
        check("room 1\u{fe0f}", "room 1\\u{fe0f}");
        check("\u{e0041}\u{3164}\u{2028}", "\\u{e0041}\\u{3164}\\u{2028}");
    }

    #[test]
    fn marks_sit_on_letters_and_not_too_many_on_one() {
        let acute = "\u{301}";
        let piled = format!("o{}", acute.repeat(20));
        let shown = format!("o{}{}", acute.repeat(8), "\\u{301}".repeat(12));
        assert_eq!(line(&piled), shown);
        check("\u{338}x", "\\u{338}x");
        assert_eq!(block("a\n\u{338}", "| "), "a\n| \\u{338}");
        for text in ["Tiếng Việt", "הַשָּׁמַ֖יִם", "ที่นี่", "བརྒྱུད", "နှုန်း"]
        {
            check(text, text);
        }
    }

    #[test]
    fn long_names_end_where_others_still_fit() {
        assert_eq!(name("Tea"), "Tea");
        let exact = "x".repeat(64);
        assert_eq!(name(&exact), exact);
        assert_eq!(name(&format!("{exact}x")), format!("{exact}…"));
        let wide = name(&"茶".repeat(100));
        assert_eq!(wide, format!("{}…", "茶".repeat(32)));
        let family = name(&"👩\u{200d}".repeat(100));
        assert!(family.ends_with("👩…"), "{family}");
        let marks = name(&"®\u{fe0f}".repeat(100));
        assert!(columns(&marks) <= MAX_NAME_COLUMNS + 1, "{marks}");
        let keycap = name(&format!("{}1\u{fe0f}\u{20e3}", "x".repeat(63)));
        assert_eq!(keycap, format!("{}1…", "x".repeat(63)));
    }

    #[test]
    fn a_message_keeps_its_lines_behind_a_margin() {
        let text = "one\r\n\ttwo\nmallory: \u{1b}[1m";
        assert_eq!(
            block(text, "  | "),
            "one\n  |     two\n  | mallory: \\u{1b}[1m"
        );
    }
}
