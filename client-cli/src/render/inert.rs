//! Text of others, made harmless for a terminal.
//!
//! Names and messages may hold escape sequences that repaint the screen, marks that turn the reading
//! direction round, and characters that nobody sees. All of them are shown as `\u{…}` instead of being
//! obeyed. What people really write stays as it is: letters of every script, emoji, and the joiners
//! inside emoji.

use std::fmt::Write as _;

/// How many columns a tab is worth in a message.
const TAB: &str = "    ";

/// A single line: names, topics, handles. Line breaks are shown, not made.
#[must_use]
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_inert(text, &mut out);
    out
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
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let joins = joins_emoji(before, c, rest.peek().copied());
        if is_unsafe(c) && !joins {
            push_escape(c, out);
        } else {
            out.push(c);
        }
        before = Some(c);
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
        | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0x3164 | 0xFE00..=0xFE0F | 0xFEFF
        | 0xFFA0 | 0xFFF0..=0xFFFB | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF)
}

/// Whether a joiner or selector stands where emoji need it (Unicode Technical Standard 51 §1.4).
fn joins_emoji(before: Option<char>, c: char, after: Option<char>) -> bool {
    let after_emoji = before.is_some_and(|b| is_emoji(b) || b == '\u{FE0F}');
    match c {
        '\u{FE0F}' => before.is_some_and(|b| is_emoji(b) || is_keycap_base(b)),
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
        check("\u{e0041}\u{3164}\u{2028}", "\\u{e0041}\\u{3164}\\u{2028}");
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
