//! The program `testnet` itself.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

/// How long bringing a network up may take, building included.
const UP_LIMIT: Duration = Duration::from_secs(300);

fn testnet(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_testnet"));
    command
        .arg("--dir")
        .arg(dir)
        .args(args)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn json(dir: &Path, args: &[&str]) -> (bool, Vec<Value>) {
    let output = testnet(dir, args).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    (output.status.success(), lines.collect())
}

#[tokio::test]
async fn a_network_comes_up_goes_down_and_comes_back() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("net");
    for round in 0..2 {
        let mut command = testnet(&dir, &["up", "--servers", "2"]);
        let mut up = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(up.stdout.take().unwrap()).lines();
        let story = async {
            let mut story = String::new();
            while let Some(line) = lines.next_line().await.unwrap() {
                story.push_str(&line);
                if line.contains("Ctrl-C stops") {
                    break;
                }
            }
            story
        };
        let story = timeout(UP_LIMIT, story).await.unwrap();
        assert!(story.contains("bob@org-b.test"), "{story}");
        let (ready, status) = json(&dir, &["status", "--json"]).await;
        assert!(ready, "{status:?}");
        let who = ["as", "bob@org-b.test", "--", "whoami", "--json"];
        let (known, me) = json(&dir, &who).await;
        assert!(
            known && me[0]["handle"] == "bob@org-b.test",
            "round {round}: {me:?}"
        );
        let reset = testnet(&dir, &["reset"]).output().await.unwrap();
        assert!(!reset.status.success(), "a running network is not removed");
        let down = testnet(&dir, &["down"]).output().await.unwrap();
        assert!(
            down.status.success(),
            "{}",
            String::from_utf8_lossy(&down.stderr)
        );
        drop(lines);
        assert!(up.wait().await.unwrap().success(), "round {round}");
        let (ready, _) = json(&dir, &["status", "--json"]).await;
        assert!(!ready);
    }
    let reset = testnet(&dir, &["reset"]).output().await.unwrap();
    assert!(reset.status.success() && !dir.exists());
}

#[tokio::test]
async fn the_demo_ends_well() {
    let temp = tempfile::tempdir().unwrap();
    let output = testnet(&temp.path().join("net"), &["demo", "--json"]);
    let output = timeout(2 * UP_LIMIT, { output }.output())
        .await
        .unwrap()
        .unwrap();
    let story = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{story}");
    let text = String::from_utf8(output.stdout).unwrap();
    let verdict: Value = serde_json::from_str(&text).unwrap();
    let keys = [
        "sent",
        "delivered",
        "lost",
        "duplicated",
        "order_agrees",
        "suite",
    ];
    for key in keys.iter().chain(&["tls_group", "servers", "store"]) {
        assert!(!verdict[key].is_null(), "{key} in {verdict}");
    }
    assert_eq!(verdict["sent"], verdict["delivered"]);
    assert_eq!(verdict["servers"], 3);
}
