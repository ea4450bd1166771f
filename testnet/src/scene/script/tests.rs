//! What can be wrong with a scene, each with the line that is told.

use super::*;

const GOOD: &str = r#"
about = "Two people talk"
people = { "org-a.test" = 1, "org-b.test" = 1 }

[[acts]]
gather = { how = "invite" }

[[acts]]
talk = { messages = 3, over_seconds = 1.5, meanwhile = true }

[[acts]]
cut = { server = "org-b.test" }

[[acts]]
heal = { server = "org-b.test" }

[[acts]]
settle = {}

[expect]
sent = 6
within_seconds = 60
"#;

fn parse(text: &str) -> Result<Script, ScriptFault> {
    Script::parse(Path::new("scenes/a-scene.toml"), text)
}

/// Replaces a part of the good scene and expects the fault in a line.
fn check(part: &str, by: &str, line: usize, says: &str) {
    assert!(GOOD.contains(part), "{part}");
    let fault = parse(&GOOD.replacen(part, by, 1)).unwrap_err();
    let text = fault.to_string();
    assert!(
        text.starts_with(&format!("scenes/a-scene.toml:{line}: ")),
        "{text}"
    );
    assert!(text.contains(says), "{text}");
}

#[test]
fn a_scene_reads_as_it_is_written() {
    let script = parse(GOOD).unwrap();
    assert_eq!(script.name, "a-scene");
    assert_eq!(script.crowd(), 2);
    assert_eq!(script.acts.len(), 5);
    assert_eq!(
        script.acts[0],
        Act::Gather {
            how: Coming::Invite
        }
    );
    assert_eq!(script.acts[4], Act::Settle {});
    assert_eq!(script.expect.sent, 6);
}

#[test]
fn each_fault_names_its_line() {
    check("about = \"Two people talk\"", "about = ", 2, "string");
    check(
        "org-b.test\" = 1",
        "org-x.test\" = 1",
        3,
        "no organization `org-x.test`",
    );
    check(
        "org-b.test\" = 1",
        "org-b.test\" = 0",
        3,
        "leave `org-b.test` out",
    );
    check(
        "org-b.test\" = 1",
        "org-b.test\" = 500",
        3,
        "at most 200 people",
    );
    check(", \"org-b.test\" = 1", "", 3, "two people");
    check("\"invite\"", "\"shout\"", 6, "unknown variant `shout`");
    check("gather", "assemble", 6, "unknown variant `assemble`");
    check("meanwhile", "meanwhiles", 9, "meanwhiles");
    check("messages = 3", "messages = 0", 8, "`messages` is 1 to");
    check("over_seconds = 1.5", "over_seconds = -1", 8, "more than 0");
    check(
        "over_seconds = 1.5",
        "of = \"org-c.test\"",
        8,
        "nobody of `org-c.test`",
    );
    check(
        "cut = { server = \"org-b.test\" }",
        "cut = {}",
        12,
        "missing field `server`",
    );
    check(
        "heal = { server = \"org-b.test\" }",
        "pause = { seconds = 1 }",
        17,
        "away",
    );
    check(
        "heal = { server = \"org-b.test\" }",
        "heal = { server = \"org-a.test\" }",
        14,
        "not cut off",
    );
    check(
        "[[acts]]\nheal",
        "[[acts]]\nclock = { server = \"org-b.test\", seconds = 60 }\n\n[[acts]]\nheal",
        14,
        "add the act `heal` before",
    );
    check(
        "sent = 6",
        "sent = 7",
        20,
        "`sent` is 7, but the acts say 6",
    );
    check(
        "within_seconds = 60",
        "within_seconds = 0",
        20,
        "more than 0",
    );
    check(
        "within_seconds = 60",
        "within_second = 60",
        22,
        "unknown field `within_second`",
    );
}

#[test]
fn only_who_is_separated_is_looked_at_for_it() {
    let apart = "apart = { server = \"org-b.test\" }";
    let separated = GOOD.replace(
        "[[acts]]\nheal",
        &format!("[[acts]]\n{apart}\n\n[[acts]]\nheal"),
    );
    assert_eq!(parse(&separated).unwrap().acts.len(), 6);
    check(
        "cut = { server = \"org-b.test\" }",
        apart,
        11,
        "nothing separates",
    );
}

#[test]
fn who_is_away_has_to_come_back() {
    let without = GOOD
        .replace("cut = {", "stop = {")
        .replace("heal = {", "pause = { seconds = 1 } #")
        .replace("settle = {}", "pause = { seconds = 1 }");
    let text = parse(&without).unwrap_err().to_string();
    assert!(text.contains(":11: org-b.test is not back"), "{text}");
    let twice = GOOD
        .replace("heal = {", "restart = {")
        .replace("cut = {", "kill = {");
    let text = parse(&twice).unwrap_err().to_string();
    assert!(text.contains(":14: org-b.test is down"), "{text}");
    let silent = GOOD.replace("gather = { how = \"invite\" }", "settle = {}");
    let text = parse(&silent).unwrap_err().to_string();
    assert!(text.contains(":8: nobody can talk before"), "{text}");
}

#[test]
fn no_text_makes_the_reader_panic() {
    for end in 0..GOOD.len() {
        let _ = parse(&GOOD[..end]);
        let mangled = format!("{}\u{0}é{}", &GOOD[..end], &GOOD[end..]);
        let _ = parse(&mangled);
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let text = Script::load(Path::new("no/such.toml"))
        .unwrap_err()
        .to_string();
    assert!(text.starts_with("no/such.toml: cannot be read"), "{text}");
}
