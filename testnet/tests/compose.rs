//! The compose file, and a network in containers where Docker is there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use entente_testnet_machine::not_run;
use serde_json::Value;
use testnet::docker::Docker;
use testnet::images::{homeserver_image, is_there};
use tokio::process::Command;
use tokio::time::timeout;

/// How long anything here may take.
const LIMIT: Duration = Duration::from_secs(300);

fn file() -> &'static str {
    include_str!("../../docker-compose.yml")
}

/// The lines of one service, its own first.
fn service(name: &str) -> Vec<&'static str> {
    let begins = format!("  {name}:");
    let mut lines = file().lines().skip_while(|line| **line != *begins);
    let first = lines.next().expect("the service is there");
    let belongs = |line: &&str| line.is_empty() || line.starts_with("    ");
    std::iter::once(first)
        .chain(lines.take_while(belongs))
        .collect()
}

/// The lines of a shared part, such as `x-homeserver`.
fn shared(name: &str) -> String {
    let begins = format!("{name}:");
    let lines = file().lines().skip_while(|line| !line.starts_with(&begins));
    let lines = lines.take_while(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn nothing_is_privileged_and_every_root_is_read_only() {
    let hardened = shared("x-hardened");
    for wanted in [
        "read_only: true",
        "cap_drop: [ALL]",
        "no-new-privileges:true",
    ] {
        assert!(hardened.contains(wanted), "{wanted}");
    }
    for name in ["x-homeserver", "x-database"] {
        assert!(shared(name).contains("<<: *hardened"), "{name}");
    }
    let mut services = 0;
    for node in ["a", "a2", "b", "c"] {
        let homeserver = service(&format!("homeserver-{node}")).join("\n");
        assert!(homeserver.contains("<<: *homeserver"), "{homeserver}");
        assert!(
            homeserver.contains("condition: service_healthy"),
            "{homeserver}"
        );
        services += 1;
    }
    for letter in ['a', 'b', 'c'] {
        let database = service(&format!("database-{letter}")).join("\n");
        assert!(database.contains("<<: *database"), "{database}");
        assert!(
            !database.contains("ports:") && !database.contains("federation"),
            "{database}"
        );
        services += 1;
    }
    assert!(service("prometheus").join("\n").contains("<<: *hardened"));
    let merges = file().lines().filter(|line| line.starts_with("    <<: *"));
    assert_eq!(merges.count(), services + 1);
    let without_remarks = file().lines().filter(|line| !line.trim().starts_with('#'));
    let said = without_remarks.collect::<Vec<_>>().join("\n");
    let said = said.replace("no-new-privileges", "");
    for forbidden in [
        "privileged",
        "cap_add",
        "network_mode",
        "docker.sock",
        "pid: host",
    ] {
        assert!(!said.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn only_this_machine_reaches_what_is_published() {
    let (mut services, mut published) = (0, 0);
    let mut lines = file().lines().peekable();
    while let Some(line) = lines.next() {
        // Ports in any other form, such as a list within the line, are not looked into: they are wrong.
        if !line.trim_start().starts_with("ports:") {
            continue;
        }
        assert_eq!(line, "    ports:");
        services += 1;
        while let Some(port) = lines.next_if(|line| line.starts_with("      ")) {
            assert!(port.starts_with("      - \"127.0.0.1:"), "{port}");
            published += 1;
        }
    }
    // Of every homeserver QUIC and HTTPS, of Prometheus one.
    let homeservers = file().matches("    <<: *homeserver").count();
    assert_eq!(
        (services, published),
        (homeservers + 1, 2 * homeservers + 1)
    );
    assert!(!file().contains("host_ip") && !file().contains("published:"));
}

/// Removes what a test that breaks off leaves: containers and volumes would outlive it.
struct Removal<'p>(&'p Path);

impl Drop for Removal<'_> {
    fn drop(&mut self) {
        if self.0.exists() {
            let mut reset = testnet(self.0, &["compose", "reset"]);
            let _best_effort = reset.as_std_mut().output();
        }
    }
}

fn testnet(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_testnet"));
    command
        .args(["--no-build", "--json", "--dir"])
        .arg(dir)
        .args(args)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn output(dir: &Path, args: &[&str]) -> Output {
    let mut command = testnet(dir, args);
    timeout(LIMIT, command.output()).await.unwrap().unwrap()
}

async fn json(dir: &Path, args: &[&str]) -> Value {
    let output = output(dir, args).await;
    let story = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {story}");
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(text.trim()).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
}

/// Whether there is what the tests with containers take; says so where there is not.
async fn can_run() -> bool {
    if let Err(error) = Docker::find().await {
        not_run("containers", &format!("{error:#}"));
        return false;
    }
    let image = homeserver_image();
    if !is_there(&image).await {
        not_run("containers", &format!("no image {image}"));
        return false;
    }
    true
}

#[tokio::test]
async fn a_network_in_containers_comes_up_is_used_from_outside_and_goes() {
    if !can_run().await {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("net");
    let _removed_in_any_case = Removal(&dir);
    let up = json(&dir, &["compose", "up", "--store", "sqlite"]).await;
    assert_eq!(up["people"].as_array().unwrap().len(), 3);
    let services: BTreeSet<&str> = up["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|container| container["service"].as_str().unwrap())
        .collect();
    let expect = ["homeserver-a", "homeserver-b", "homeserver-c"];
    assert_eq!(services, BTreeSet::from(expect));
    let who = json(&dir, &["as", "bob@org-b.test", "--", "--json", "whoami"]).await;
    assert_eq!(who["handle"], "bob@org-b.test");
    let found = json(
        &dir,
        &[
            "as",
            "bob@org-b.test",
            "--",
            "--json",
            "resolve",
            "carol@org-c.test",
        ],
    )
    .await;
    assert_eq!(found["trust"], "confirmed");
    for wrong in [
        &["down"][..],
        &["reset"],
        &["up"],
        &["compose", "logs", "no-such"],
    ] {
        let refused = output(&dir, wrong).await;
        assert!(!refused.status.success(), "{wrong:?}");
    }
    json(&dir, &["compose", "down"]).await;
    let status = output(&dir, &["status"]).await;
    assert!(!status.status.success(), "nothing runs");
    let again = json(&dir, &["compose", "up"]).await;
    assert_eq!(again["project"], up["project"]);
    let who = json(&dir, &["as", "bob@org-b.test", "--", "--json", "sync"]).await;
    assert!(who.is_object(), "{who}");
    json(&dir, &["compose", "reset"]).await;
    assert!(!dir.exists());
    let filter = format!(
        "label=com.docker.compose.project={}",
        up["project"].as_str().unwrap()
    );
    for kind in [
        &["ps", "--all", "--quiet"][..],
        &["volume", "ls", "--quiet"],
    ] {
        let mut docker = Command::new("docker");
        let left = docker
            .args(kind)
            .args(["--filter", &filter])
            .output()
            .await
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&left.stdout), "", "{kind:?}");
    }
}

#[tokio::test]
async fn a_folder_of_something_else_is_left_alone() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("precious"), "x").unwrap();
    for wrong in [
        &["compose", "down"][..],
        &["compose", "reset"],
        &["compose", "logs"],
    ] {
        let refused = output(temp.path(), wrong).await;
        assert!(!refused.status.success(), "{wrong:?}");
    }
    assert!(temp.path().join("precious").exists());
}
