//! Docker and its Compose tool, called as the programs that they are.
//!
//! Invariant: what is started here is bounded in time, and what it prints goes into the error when it
//! fails. Which containers are meant is the caller's part: every caller names its own project.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;
use tokio::time::timeout;

use crate::network::binaries;

/// No single call of Docker takes longer.
const CALL_LIMIT: Duration = Duration::from_secs(600);
/// How much of what a failed program printed is shown.
const SHOWN_LINES: usize = 15;

/// The programs that were found.
#[derive(Clone, Copy, Debug)]
pub struct Docker {
    compose: ComposeProgram,
}

/// Which form the Compose tool has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ComposeProgram {
    /// `docker compose`.
    Plugin,
    /// `docker-compose`.
    Standalone,
}

impl Docker {
    /// Finds Docker, whose daemon has to answer, and the Compose tool.
    ///
    /// # Errors
    /// When one of them is missing, with what to install or to start.
    pub async fn find() -> Result<Self> {
        Self::engine().await?;
        let mut plugin = Command::new("docker");
        plugin.args(["compose", "version"]);
        if succeeds(plugin).await {
            let compose = ComposeProgram::Plugin;
            return Ok(Self { compose });
        }
        let mut standalone = Command::new("docker-compose");
        standalone.arg("version");
        ensure!(
            succeeds(standalone).await,
            "neither `docker compose` nor `docker-compose` is there; on Debian or Ubuntu: \
             apt-get install docker-compose"
        );
        let compose = ComposeProgram::Standalone;
        Ok(Self { compose })
    }

    /// Whether Docker alone is there and its daemon answers.
    ///
    /// # Errors
    /// When not, with what to install or to start.
    pub async fn engine() -> Result<()> {
        let mut version = Command::new("docker");
        version.arg("--version");
        ensure!(
            succeeds(version).await,
            "the program `docker` is not there; on Debian or Ubuntu: apt-get install docker.io"
        );
        let asked = text(docker().args(["info", "--format", "{{.ServerVersion}}"])).await;
        asked.context(
            "Docker's daemon does not answer; start it (`systemctl start docker`), and see that this \
             user may use it (the group `docker`)",
        )?;
        Ok(())
    }

    /// The Compose tool, the arguments still to come.
    #[must_use]
    pub fn compose(self) -> Command {
        match self.compose {
            ComposeProgram::Plugin => {
                let mut command = docker();
                command.arg("compose");
                command
            }
            ComposeProgram::Standalone => hermetic("docker-compose"),
        }
    }
}

/// The program `docker`, the arguments still to come.
#[must_use]
pub fn docker() -> Command {
    hermetic("docker")
}

/// Runs a command to its end and returns what it printed to standard output.
///
/// # Errors
/// When it cannot be started, takes too long or fails; the end of what it printed is in the error.
pub async fn text(command: &mut Command) -> Result<String> {
    let output = finished(command).await?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command to its end, for what it does.
///
/// # Errors
/// As for [`text`].
pub async fn done(command: &mut Command) -> Result<()> {
    finished(command).await.map(drop)
}

async fn finished(command: &mut Command) -> Result<Output> {
    let name = shown(command);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let running = command.output();
    let Ok(output) = timeout(CALL_LIMIT, running).await else {
        bail!("`{name}` took longer than {} s", CALL_LIMIT.as_secs());
    };
    let output = output.with_context(|| format!("cannot start `{name}`"))?;
    ensure!(
        output.status.success(),
        "`{name}` ended with {}:\n{}",
        output.status,
        ending(&output)
    );
    Ok(output)
}

async fn succeeds(mut command: Command) -> bool {
    done(&mut command).await.is_ok()
}

/// The program and its first arguments, enough to know what was asked.
fn shown(command: &Command) -> String {
    let command = command.as_std();
    let program = command.get_program().to_string_lossy();
    let arguments = command
        .get_args()
        .map(|argument| argument.to_string_lossy());
    let words: Vec<_> = std::iter::once(program).chain(arguments).collect();
    words.join(" ")
}

/// The last lines of what a program printed, errors preferred.
fn ending(output: &Output) -> String {
    let printed = if output.stderr.is_empty() {
        &output.stdout
    } else {
        &output.stderr
    };
    let text = String::from_utf8_lossy(printed);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

/// Without settings of the surrounding shell that would get between a network and its compose file.
fn hermetic(program: &str) -> Command {
    let mut command = binaries::hermetic(Path::new(program));
    command.env_remove("COMPOSE_FILE");
    command.env_remove("COMPOSE_PROJECT_NAME");
    command.env_remove("COMPOSE_PROFILES");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_fails_says_what_it_printed() {
        let mut failing = Command::new("sh");
        failing.args(["-c", "echo begun; echo broken >&2; exit 3"]);
        let error = text(&mut failing).await.unwrap_err().to_string();
        assert!(error.contains("broken") && error.contains('3'), "{error}");
        let mut missing = Command::new("no-such-program-here");
        let error = text(&mut missing).await.unwrap_err().to_string();
        assert!(error.contains("no-such-program-here"), "{error}");
        let mut fine = Command::new("echo");
        assert_eq!(text(fine.arg("hello")).await.unwrap(), "hello\n");
    }
}
