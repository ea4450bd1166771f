//! Text of people who would like to write more than their text: nothing of it obeys them.

mod shown;

use std::collections::HashSet;

use entente_sdk::{Content, Handle, UnixMillis};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use self::shown::{NOW, Shown, message};
use super::inert;
use super::message::MessageFact;
use super::screen::{Fact, Row, table_text};

/// What a terminal obeys or does not show (Unicode categories Cc, Cf, Zl, Zp; default ignorables).
fn obeys(c: char) -> bool {
    let bidi = matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let nothing = matches!(c, '\u{ad}' | '\u{34f}' | '\u{200b}'..='\u{200c}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fe00}'..='\u{fe0e}' | '\u{e0000}'..='\u{e0fff}');
    let lines = matches!(c, '\u{2028}'..='\u{2029}' | '\u{85}');
    (c.is_control() && c != '\n') || bidi || nothing || lines
}

/// The text without the styles that the program itself puts around it.
fn unstyled(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        plain.push_str(&rest[..at]);
        let style = &rest[at + 2..];
        let end = style.find(|c: char| !c.is_ascii_digit() && c != ';');
        let end = end.expect("a style ends");
        assert_eq!(&style[end..=end], "m", "a style, and nothing else");
        rest = &style[end + 1..];
    }
    plain + rest
}

/// How many escapes the program's own styles take.
fn styles(texts: &[String]) -> Vec<usize> {
    let count = |text: &String| text.matches('\u{1b}').count();
    texts.iter().map(count).collect()
}

/// Joiners and selectors are left where they make one emoji of several characters, nowhere else.
fn joins_only_emoji(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let emoji = |c: Option<&char>| c.is_some_and(|c| !c.is_ascii() && !c.is_alphabetic());
    chars.iter().enumerate().all(|(at, c)| match c {
        '\u{200d}' => at > 0 && emoji(chars.get(at - 1)) && emoji(chars.get(at + 1)),
        '\u{fe0f}' => {
            at > 0 && (emoji(chars.get(at - 1)) || chars.get(at + 1) == Some(&'\u{20e3}'))
        }
        _ => true,
    })
}

/// Nothing of `text` obeys its author, wherever it is shown.
fn check(text: &str) {
    let harmless = if text.is_empty() { "" } else { "x" };
    let (shown, plain) = (Shown::of(text), Shown::of(harmless));
    assert_eq!(
        styles(&shown.texts),
        styles(&plain.texts),
        "no style but ours: {text:?}"
    );
    for out in &shown.texts {
        let out = unstyled(out);
        let bad = out.chars().find(|c| obeys(*c));
        assert_eq!(bad, None, "{out:?}");
        assert!(joins_only_emoji(&out), "{out:?}");
    }
    for line in &shown.lines {
        let bad = line
            .chars()
            .find(|c| obeys(*c) || matches!(c, '\n' | '\u{200d}' | '\u{fe0f}'));
        assert_eq!(bad, None, "{line}");
        let read: serde_json::Value = serde_json::from_str(line).unwrap();
        let again = read.to_string();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&again).unwrap(),
            read
        );
    }
}

/// Things that have fooled terminals and their readers, each in the middle of a word.
const KNOWN: [&str; 34] = [
    "\u{1b}[2J",
    "\u{1b}[31mred",
    "\u{1b}]0;title\u{7}",
    "\u{1b}]8;;https://evil.example\u{1b}\\",
    "\u{1b}]52;c;ZXZpbA==\u{7}",
    "\u{1b}P+q544e\u{1b}\\",
    "\u{1b}_G\u{1b}\\",
    "\u{1b}c",
    "\u{9b}2J",
    "\u{9d}52;c;ZXZpbA==\u{9c}",
    "\u{90}q\u{9c}",
    "\u{8}\u{8}\u{8}",
    "\u{7}",
    "\u{0}",
    "\u{7f}",
    "\r",
    "\n",
    "\r\n",
    "\t",
    "\u{b}\u{c}",
    "\u{85}",
    "\u{2028}",
    "\u{202e}gnp.exe",
    "\u{202d}",
    "\u{2066}\u{2067}\u{2068}\u{2069}",
    "\u{200e}\u{200f}\u{61c}",
    "\u{200b}\u{200c}\u{200d}",
    "\u{2060}\u{feff}\u{ad}",
    "\u{fe0e}\u{fe0f}",
    "\u{e0065}\u{e007f}",
    "\u{e0100}",
    "\u{115f}\u{1160}\u{3164}\u{ffa0}",
    "o\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}\u{308}\u{309}\u{30a}\u{30b}",
    "\u{fff9}\u{fffa}\u{fffb}",
];

#[test]
fn f8_known_tricks_are_shown_and_not_obeyed() {
    for trick in KNOWN {
        check(&format!("in{trick}voice"));
        check(trick);
    }
    check(&KNOWN.concat());
}

#[test]
fn f8_a_text_is_still_told_apart_after_it_was_made_inert() {
    let mut seen = HashSet::new();
    for trick in KNOWN {
        assert!(
            seen.insert(inert::line(&format!("in{trick}voice"))),
            "{trick:?}"
        );
    }
    assert!(!seen.contains("invoice"));
}

fn hostile_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => any::<char>().prop_map(String::from),
        2 => proptest::sample::select(&KNOWN[..]).prop_map(str::to_owned),
        2 => proptest::sample::select(vec!["a", " ", "1", "👍", "👩", "ש", "é", "\u{301}", "\u{20e3}", "\u{200d}", "\u{fe0f}"])
            .prop_map(str::to_owned),
        1 => proptest::char::range('\u{0}', '\u{ff}').prop_map(String::from),
        1 => proptest::char::range('\u{2000}', '\u{206f}').prop_map(String::from),
        1 => proptest::char::range('\u{e0000}', '\u{e0fff}').prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn f8_whatever_comes_in_terminals_obey_nothing(text in hostile_text()) {
        check(&text);
    }

    #[test]
    fn f8_a_name_never_pushes_others_out_of_sight(text in hostile_text(), times in 1usize..50) {
        let name = inert::name(&text.repeat(times));
        prop_assert!(name.width() <= 65, "{name}");
        prop_assert!(!name.chars().any(obeys), "{name:?}");
        prop_assert!(joins_only_emoji(&name), "{name:?}");
    }

    #[test]
    fn f8_a_message_has_no_line_without_its_margin(text in hostile_text()) {
        let shown = MessageFact::live(&message(Content::text(&text, &mut StdRng::seed_from_u64(1))), None);
        let plain = unstyled(&shown.text(NOW));
        let mut lines = plain.split('\n');
        prop_assert!(lines.next().is_some_and(|first| first.starts_with("alice@org-a.test: ")));
        prop_assert!(lines.all(|line| line.starts_with("  │ ")));
    }

    #[test]
    fn f8_a_handle_has_no_letter_that_looks_like_another(text in hostile_text()) {
        for handle in [format!("{text}@org-a.test"), format!("alice@{text}"), text] {
            if let Ok(parsed) = handle.parse::<Handle>() {
                prop_assert!(parsed.to_string().is_ascii());
                prop_assert_eq!(parsed.to_string(), handle);
            }
        }
    }
}

#[test]
fn f8_mixed_scripts_make_no_handle_and_hide_behind_no_mask() {
    // Cyrillic, Greek, full width, a dotless i, a ligature, a long s, a Kelvin sign.
    for local in [
        "аlice",
        "alicе",
        "αlice",
        "ａlice",
        "alıce",
        "aﬁce",
        "aliſe",
        "\u{212a}alice",
    ] {
        assert!(
            format!("{local}@org-a.test").parse::<Handle>().is_err(),
            "{local}"
        );
        assert!(
            format!("bob@{local}.test").parse::<Handle>().is_err(),
            "{local}"
        );
    }
    // A masked domain is shown as it is on the wire, if it is one at all.
    let masked = "alice@xn--80ak6aa92e.test".parse::<Handle>();
    if let Ok(handle) = masked {
        assert_eq!(handle.to_string(), "alice@xn--80ak6aa92e.test");
    }
}

#[derive(Serialize)]
struct Pair<'a>(&'a str, &'a str);

impl Row for Pair<'_> {
    const HEADER: &'static [&'static str] = &["ROOM", "HUB"];
    fn cells(&self, _: UnixMillis) -> Vec<String> {
        vec![inert::name(self.0), self.1.to_owned()]
    }
}

#[test]
fn f8_a_row_of_a_table_stays_one_row() {
    let rows = [
        Pair("Tea\nMoney  trusted.example", "org-a.test"),
        Pair("Tea", "b"),
    ];
    let text = table_text(&rows);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[1].starts_with("Tea\\nMoney"), "{text}");
}
