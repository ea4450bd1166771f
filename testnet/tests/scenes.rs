//! Scenes, played on processes.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use testnet::network::{Binaries, BuildChoice};
use tokio::process::Command;
use tokio::time::timeout;

/// How long a scene may take here, building included.
const LIMIT: Duration = Duration::from_secs(300);

/// Plays and returns the exit code and what was printed for scripts.
async fn play(args: &[&str]) -> (Option<i32>, Vec<Value>, String) {
    Binaries::find(BuildChoice::Build).await.unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_testnet"));
    command
        .args(["--no-build", "--json", "scene"])
        .args(args)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(LIMIT, command.output()).await.unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let story = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), lines.collect(), story)
}

#[tokio::test]
async fn what_is_cut_off_misses_something_and_gets_it_after_all() {
    let (code, lines, story) = play(&["network-cut"]).await;
    assert_eq!(code, Some(0), "{story}");
    let report = &lines[0];
    assert_eq!(report["name"], "network-cut");
    assert_eq!(report["passed"], true, "{report}");
    assert_eq!(report["sent"], report["delivered"]);
    assert_eq!(
        (&report["lost"], &report["duplicated"]),
        (&0.into(), &0.into())
    );
}

#[tokio::test]
async fn what_cannot_be_played_is_skipped_and_has_not_passed() {
    let (code, lines, story) = play(&["database-restart", "node-killed"]).await;
    assert_eq!(code, Some(1), "nothing was played: {story}");
    for report in lines {
        assert_eq!(report["passed"], false);
        assert!(report["skipped"].is_string(), "{report}");
    }
}

#[tokio::test]
async fn a_scene_that_does_not_come_out_fails() {
    let temp = tempfile::tempdir().unwrap();
    let hurried = temp.path().join("hurried.toml");
    let text = "about = \"Nobody is that quick\"\n\
                people = { \"org-a.test\" = 1, \"org-b.test\" = 1 }\n\
                acts = [{ gather = { how = \"add\" } }, { talk = { messages = 1 } }]\n\
                expect = { sent = 2, within_seconds = 0.001 }\n";
    std::fs::write(&hurried, text).unwrap();
    let (code, lines, story) = play(&[hurried.to_str().unwrap()]).await;
    assert_eq!(code, Some(1), "{story}");
    assert_eq!(lines[0]["passed"], false);
    let failure = lines[0]["failure"].as_str().unwrap();
    assert!(failure.contains("it took"), "{failure}");
    let wrong = temp.path().join("wrong.toml");
    std::fs::write(&wrong, text.replace("sent = 2", "sent = 3")).unwrap();
    let (code, lines, story) = play(&[wrong.to_str().unwrap()]).await;
    assert_eq!((code, lines.len()), (Some(1), 0));
    assert!(story.contains("wrong.toml:4: `sent` is 3"), "{story}");
}

#[tokio::test]
async fn who_is_not_separated_is_not_apart_and_the_figures_stay_true() {
    let temp = tempfile::tempdir().unwrap();
    let together = temp.path().join("together.toml");
    let text = "about = \"Nothing was said after the cut\"\n\
                people = { \"org-a.test\" = 1, \"org-b.test\" = 1 }\n\
                acts = [{ gather = { how = \"add\" } }, { talk = { messages = 3 } }, { settle = {} },\n\
                { cut = { server = \"org-b.test\" } }, { apart = { server = \"org-b.test\" } },\n\
                { heal = { server = \"org-b.test\" } }, { settle = {} }]\n\
                expect = { sent = 6, within_seconds = 60 }\n";
    std::fs::write(&together, text).unwrap();
    let (code, lines, story) = play(&[together.to_str().unwrap()]).await;
    assert_eq!((code, lines.len()), (Some(1), 1), "{story}");
    let failure = lines[0]["failure"].as_str().unwrap();
    assert!(failure.contains("nothing separates"), "{failure}");
    for (figure, value) in [
        ("sent", 6),
        ("delivered", 6),
        ("lost", 0),
        ("duplicated", 0),
    ] {
        assert_eq!(lines[0][figure], value, "{}", lines[0]);
    }
}
