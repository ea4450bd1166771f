//! JSON as scripts get it: one object per line, ASCII wherever a terminal could be fooled.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

use super::inert::is_unsafe;

/// One value as one line of JSON, without a line break at the end. What [`is_unsafe`] names is written
/// as `\uXXXX`, which every JSON reader turns back into what was meant.
///
/// # Panics
/// When the value does not fit JSON; values are plain structs with text keys.
#[must_use]
pub fn line(value: &impl Serialize) -> String {
    let mut out = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut out, InertFormatter);
    value
        .serialize(&mut serializer)
        .expect("facts are structs with text keys");
    String::from_utf8(out).expect("JSON is UTF-8")
}

struct InertFormatter;

impl Formatter for InertFormatter {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + Write,
    {
        let mut plain = fragment;
        while let Some((at, c)) = plain.char_indices().find(|(_, c)| is_unsafe(*c)) {
            CompactFormatter.write_string_fragment(writer, &plain[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            plain = &plain[at + c.len_utf8()..];
        }
        CompactFormatter.write_string_fragment(writer, plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_says_the_same_in_harmless_characters() {
        let text = "é👍\"\\\n\u{1b}\u{7f}\u{9b}\u{202e}\u{200b}\u{e0041}";
        let json = line(&serde_json::json!({ "text": text }));
        let expect = r#"{"text":"é👍\"\\\n\u001b\u007f\u009b\u202e\u200b\udb40\udc41"}"#;
        assert_eq!(json, expect);
        let again: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(again["text"], text);
    }
}
