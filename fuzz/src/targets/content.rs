//! What a message says, and how its text reaches a terminal.

use entente_protocol::content::{Content, Meaning};

use crate::inert;
use crate::input::text;
use crate::target::{Target, Verdict};

pub(super) const CONTENTS: Target = Target {
    name: "contents",
    run: contents,
    checks: "What is read is written, and from then on has one form; every content has a meaning and a \
             name.",
    smoke_runs: 8_000,
};

pub(super) const INERT_TEXT: Target = Target {
    name: "inert_text",
    run: inert_text,
    checks: "No control character, direction mark or line break of others comes through, in a line, a \
             name or a message; a text without them stays as it is.",
    smoke_runs: 20_000,
};

fn contents(input: &[u8]) -> Verdict {
    let read = Content::from_cbor(input);
    if let Ok(content) = &read {
        let written = content.to_cbor();
        let again = Content::from_cbor(&written).expect("what was written");
        // Compared as bytes: a number that is none does not equal itself.
        assert_eq!(again.to_cbor(), written, "written, a content has one form");
        let (one, other) = ("mimi://org-a.example/u/alice", "mimi://org-a.example/r/tea");
        assert_eq!(again.id(one, other), content.id(one, other));
        assert_eq!(again.meaning(), content.meaning());
        if let Meaning::Deleted = content.meaning() {
            assert!(
                content.replaces.is_some(),
                "a deletion names what it deletes"
            );
        }
    }
    Verdict::of(&read)
}

fn inert_text(input: &[u8]) -> Verdict {
    let Some(text) = text(input) else {
        return Verdict::Refused;
    };
    let line = inert::line(text);
    assert!(
        !line.chars().any(|c| c.is_control() || is_turning(c)),
        "{line:?}"
    );
    assert_eq!(inert::line(&line), line, "what is harmless stays as it is");
    for part in inert::block(text, "| ").split('\n').skip(1) {
        assert!(
            part.starts_with("| "),
            "no message pretends to be the next one"
        );
    }
    let name = inert::name(text);
    assert!(
        name.chars().count() <= line.chars().count() + 1,
        "a name is cut, not grown"
    );
    assert_eq!(
        inert::line(&name),
        name,
        "a name that was cut is harmless still"
    );
    let plain = text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    assert!(!plain || line == text, "plain text is shown as it is");
    Verdict::Accepted
}

/// Marks that turn the reading direction round (UAX #9 §2).
fn is_turning(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{061c}')
}
