//! The program itself: what `init` writes, what is refused, what scripts read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_entente-homeserver"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ENTENTE_")) {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    program(arguments).output().expect("the program runs")
}

fn init(folder: &Path) -> Output {
    let data = folder.join("data");
    run(&[
        "init",
        "--domain",
        "org-a.test",
        "--data-dir",
        data.to_str().expect("UTF-8"),
        "--json",
    ])
}

fn error_of(output: &Output) -> String {
    assert!(!output.status.success(), "it should have failed");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json_of(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[test]
fn init_writes_secrets_for_the_owner_only_and_nothing_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = json_of(&init(folder.path()));
    assert_eq!(made["did"], "did:web:org-a.test");
    let data = folder.path().join("data");
    assert_eq!(mode(&data), 0o700);
    for secret in ["federation.key", "next-federation.key"] {
        assert_eq!(mode(&data.join(secret)), 0o600, "{secret}");
    }
    let key = fs::read_to_string(data.join("federation.key")).expect("there");
    assert!(error_of(&init(folder.path())).contains("exists already"));
    let config = folder.path().join("other.toml");
    let again = run(&[
        "init",
        "--domain",
        "org-a.test",
        "--data-dir",
        data.to_str().expect("UTF-8"),
        "--config",
        config.to_str().expect("UTF-8"),
    ]);
    assert!(error_of(&again).contains("federation.key exists already"));
    assert!(!config.exists());
    let unchanged = fs::read_to_string(data.join("federation.key")).expect("there");
    assert_eq!(unchanged, key);
}

#[test]
fn the_written_configuration_is_read_and_names_what_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = json_of(&init(folder.path()));
    let config = made["config"].as_str().expect("a path");
    let shown = json_of(&run(&["keys", "show", "--config", config, "--json"]));
    assert_eq!(shown["federation_key"], made["federation_key"]);
    assert_eq!(
        shown["first_key_document_sha256"].as_str().map(str::len),
        Some(64)
    );
    let check = run(&["config", "check", "--config", config]);
    assert!(error_of(&check).contains("tls.certificate"));
    let check = json_of(&run(&["config", "check", "--config", config, "--json"]));
    assert_eq!(check["ok"], false);
    let health = run(&["health", "--config", config]);
    assert!(!health.status.success());
}

#[test]
fn a_folder_or_key_that_others_can_read_stops_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = json_of(&init(folder.path()));
    let config = made["config"].as_str().expect("a path");
    let data = folder.path().join("data");
    let set = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("changed");
    };
    set(&data.join("federation.key"), 0o644);
    let serve = error_of(&run(&["serve", "--config", config]));
    assert!(serve.contains("chmod go-rwx"), "{serve}");
    set(&data.join("federation.key"), 0o600);
    set(&data, 0o755);
    let serve = error_of(&run(&["serve", "--config", config]));
    assert!(serve.contains("chmod go-rwx"), "{serve}");
}

#[test]
fn a_faulty_configuration_is_named_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.toml");
    fs::write(
        &file,
        "domain = \"org-a.test\"\ndata_dir = \".\"\n[listen]\nquik = 1\n",
    )
    .expect("ok");
    let path = file.to_str().expect("UTF-8");
    let text = error_of(&run(&["config", "check", "--config", path]));
    assert!(
        text.contains(&format!("{path}:4:1: unknown key `quik`")),
        "{text}"
    );
    let mut command = program(&["config", "check", "--config", path]);
    let text = error_of(
        &command
            .env("ENTENTE_LISTEN_QUIC", "x")
            .output()
            .expect("runs"),
    );
    assert!(
        text.contains("environment variable ENTENTE_LISTEN_QUIC"),
        "{text}"
    );
}

#[test]
fn the_example_is_printed() {
    let output = run(&["config", "example"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("[registration]"));
}
