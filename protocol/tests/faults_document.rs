//! `docs/protocol/faults.md` says what the code says. Run with `UPDATE_DOCS=1` to write it anew.

use std::fmt::Write as _;
use std::path::Path;

use entente_protocol::fault::{Blame, FaultCode};

fn document() -> String {
    let mut text = String::from(
        "# Faults\n\nEvery code with which a request is refused. Codes are stable; new ones are only added. \
         Generated from\n`protocol/src/fault.rs` (`UPDATE_DOCS=1 cargo test -p entente-protocol --test faults_document`).\n\n\
         | code | name | whose fault | does trying again help | meaning |\n|---|---|---|---|---|\n",
    );
    for code in FaultCode::ALL {
        let blame = match code.blame() {
            Blame::Caller => "the caller's",
            Blame::Peer => "another server's",
            Blame::Busy => "nobody's",
            Blame::Bug => "a bug",
        };
        let retry = if code.retry_helps() { "yes" } else { "no" };
        let number = *code as u16;
        let meaning = code.meaning();
        writeln!(
            text,
            "| {number} | `{code}` | {blame} | {retry} | {meaning} |"
        )
        .expect("writing to a String cannot fail");
    }
    text
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the switch that writes the document anew comes from whoever runs the test"
)]
fn the_document_lists_every_fault() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol/faults.md");
    let expect = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expect).expect("docs/protocol can be written");
    }
    let found = std::fs::read_to_string(&path).expect("docs/protocol/faults.md");
    assert_eq!(found, expect, "run with UPDATE_DOCS=1");
}
