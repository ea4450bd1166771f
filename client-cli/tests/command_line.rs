//! The program as scripts meet it, where no homeserver is needed.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn entente(home: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_entente"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ENTENTE_") {
            command.env_remove(name);
        }
    }
    command
        .args(args)
        .env("ENTENTE_HOME", home)
        .stdin(std::process::Stdio::null());
    command.output().unwrap()
}

/// Runs a command that has to fail, in JSON mode.
fn check(args: &[&str], exit: i32, code: &str) -> Value {
    let home = tempfile::tempdir().unwrap();
    check_in(home.path(), args, exit, code)
}

fn check_in(home: &Path, args: &[&str], exit: i32, code: &str) -> Value {
    let output = entente(home, &[args, &["--json"]].concat());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(exit), "{args:?}: {errors}");
    assert!(output.stdout.is_empty(), "{args:?}");
    let report: Value = serde_json::from_str(errors.lines().last().unwrap()).unwrap();
    assert_eq!(report["error"]["code"], code, "{errors}");
    report
}

#[test]
fn usage_errors_are_told_as_json() {
    let report = check(&["send"], 2, "usage");
    assert!(
        report["error"]["message"]
            .as_str()
            .unwrap()
            .contains("<ROOM>")
    );
    check(&["register", "Alice@org-a.test", "--key-file"], 2, "usage");
    check(&["--profile", "../x", "whoami"], 2, "usage");
}

#[test]
fn without_an_account_there_is_no_profile() {
    let report = check(&["whoami"], 3, "profile");
    let message = report["error"]["message"].as_str().unwrap();
    assert!(message.contains("entente register"), "{message}");
    check(&["--profile", "nobody", "room", "list"], 3, "profile");
}

#[test]
fn a_passphrase_is_asked_for_on_terminals_only_and_is_long_enough() {
    check(&["register", "alice@org-a.test"], 3, "profile");
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("passphrase");
    fs::write(&file, "short\n").unwrap();
    let file = file.to_str().unwrap();
    let args = ["register", "alice@org-a.test", "--passphrase-file", file];
    check_in(home.path(), &args, 2, "usage");
}

#[test]
fn help_and_completions_are_results() {
    let home = tempfile::tempdir().unwrap();
    let help = entente(home.path(), &["--help"]);
    assert!(help.status.success());
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(text.contains("Exit codes:"), "{text}");
    for shell in ["bash", "zsh", "fish"] {
        let script = entente(home.path(), &["completions", shell]);
        assert!(script.status.success());
        assert!(
            String::from_utf8(script.stdout)
                .unwrap()
                .contains("register")
        );
    }
}

#[test]
fn a_server_that_is_not_there_is_unreachable() {
    let home = tempfile::tempdir().unwrap();
    let hosts = home.path().join("hosts");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    fs::write(&hosts, format!("org-a.test 127.0.0.1 {port} {port}\n")).unwrap();
    let hosts = hosts.to_str().unwrap();
    let args = [
        "register",
        "alice@org-a.test",
        "--key-file",
        "--host-table",
        hosts,
    ];
    let output = entente(
        home.path(),
        &[&args[..], &["--json", "--timeout", "2"]].concat(),
    );
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{errors}");
    let report: Value = serde_json::from_str(errors.lines().last().unwrap()).unwrap();
    assert_eq!(report["error"]["retry"], true);
}
