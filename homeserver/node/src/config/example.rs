//! The example configuration, written from the declaration of the settings.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::declare::{KeyShape, SectionShape};

const HEADER: &str = "\
# Configuration of an Entente homeserver. `entente-homeserver config example` prints this text.
#
# A line that begins with `#` and a name shows the default, or an example where it says so. Every
# setting can also come from the environment variable ENTENTE_<SECTION>_<KEY> (ENTENTE_<KEY> at the top
# level), which goes before this file; lists are then separated by commas. Relative paths are relative
# to the folder of this file. Unknown keys are refused.
";

/// Settings to write instead of the shown ones: (section, key) → TOML.
pub type Overrides = BTreeMap<(&'static str, &'static str), String>;

/// The configuration file with every setting, its documentation, and the given values.
#[must_use]
pub fn render(shape: &[SectionShape], overrides: &Overrides) -> String {
    let mut text = HEADER.to_owned();
    for section in shape {
        text.push('\n');
        for line in section.doc {
            if !section.name.is_empty() {
                push_comment(&mut text, line);
            }
        }
        if !section.name.is_empty() {
            let _ = writeln!(text, "[{}]", section.name);
        }
        for (index, key) in section.keys.iter().enumerate() {
            if index > 0 || !section.name.is_empty() {
                text.push('\n');
            }
            push_key(&mut text, section, key, overrides);
        }
    }
    text
}

fn push_key(text: &mut String, section: &SectionShape, key: &KeyShape, overrides: &Overrides) {
    for line in key.doc {
        push_comment(text, line);
    }
    let given = overrides.get(&(section.name, key.name));
    let mark = if given.is_some() || key.presence.must_be_written() {
        ""
    } else {
        "#"
    };
    let value = given.map_or(key.shown, String::as_str);
    let _ = writeln!(text, "{mark}{} = {value}", key.name);
}

fn push_comment(text: &mut String, line: &str) {
    let line = line.strip_prefix(' ').unwrap_or(line);
    let _ = writeln!(text, "{}", format!("# {line}").trim_end());
}

/// A text as a TOML string.
#[must_use]
pub fn toml_string(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
