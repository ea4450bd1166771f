//! `docs/operations/limits.md` says what the declaration says. Run with `UPDATE_DOCS=1` to write it anew.

use std::fmt::Write as _;
use std::path::Path;

use super::Limits;

const BEGIN: &str = "<!-- generated from homeserver/node/src/config/limits.rs: begin -->\n";
const END: &str = "<!-- generated: end -->\n";

fn table() -> String {
    let mut text = "| setting | default | what is counted |\n|---|---|---|\n".to_owned();
    for key in Limits::SHAPE.keys {
        let doc: Vec<&str> = key.doc.iter().map(|line| line.trim()).collect();
        let (name, shown, doc) = (key.name, key.shown.trim_matches('"'), doc.join(" "));
        writeln!(text, "| `{name}` | {shown} | {doc} |").expect("a String takes everything");
    }
    text
}

#[test]
fn the_document_lists_every_setting_with_its_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations/limits.md");
    let found = std::fs::read_to_string(&path).expect("docs/operations/limits.md");
    let (before, rest) = found.split_once(BEGIN).expect("the table's beginning");
    let (_, after) = rest.split_once(END).expect("the table's end");
    let expected = [before, BEGIN, &table(), END, after].concat();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).expect("docs/operations can be written");
    } else {
        assert_eq!(found, expected, "run with UPDATE_DOCS=1");
    }
}
