//! Runs the client program once, and reads what it prints for scripts.

use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// No single command of a person takes longer, even on a slow machine with servers down.
const COMMAND_LIMIT: Duration = Duration::from_secs(180);

/// A command that the client refused or could not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFailure {
    /// Its exit code.
    pub exit: i32,
    /// The stable code of its error.
    pub code: String,
    /// What it told people.
    pub message: String,
    /// What was asked of it.
    pub asked: String,
}

impl fmt::Display for ClientFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            exit,
            code,
            message,
            asked,
        } = self;
        write!(f, "`entente {asked}` ended with {exit} ({code}): {message}")
    }
}

impl std::error::Error for ClientFailure {}

/// Runs a command to its end and reads its lines of JSON.
///
/// # Errors
/// A [`ClientFailure`] when it did not succeed; otherwise when it took too long or printed no JSON.
pub async fn finish(
    mut command: Command,
    asked: String,
    input: Option<String>,
) -> Result<Vec<Value>> {
    let stdin = if input.is_some() {
        Stdio::piped()
    } else {
        Stdio::null()
    };
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start the client")?;
    let running = async {
        if let Some(input) = input {
            feed(&mut child, input).await?;
        }
        child.wait_with_output().await.context("the client broke")
    };
    let Ok(output) = timeout(COMMAND_LIMIT, running).await else {
        bail!(
            "`entente {asked}` took longer than {} s",
            COMMAND_LIMIT.as_secs()
        );
    };
    let output = output?;
    if !output.status.success() {
        let exit = output.status.code().unwrap_or(-1);
        return Err(failure(exit, &output.stderr, asked).into());
    }
    values(&output.stdout).with_context(|| format!("`entente {asked}` printed no JSON"))
}

async fn feed(child: &mut Child, input: String) -> Result<()> {
    let mut stdin = child.stdin.take().context("the client takes no input")?;
    stdin.write_all(input.as_bytes()).await?;
    Ok(stdin.shutdown().await?)
}

/// One JSON value per line.
fn values(output: &[u8]) -> Result<Vec<Value>> {
    let text = std::str::from_utf8(output)?;
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| line.to_owned()))
        .collect()
}

/// The last line on standard error is the error; lines before are logs.
fn failure(exit: i32, errors: &[u8], asked: String) -> ClientFailure {
    let text = String::from_utf8_lossy(errors);
    let last = text.lines().last().unwrap_or_default();
    let report: Value = serde_json::from_str(last).unwrap_or_default();
    let field = |name: &str| report["error"][name].as_str().map(str::to_owned);
    ClientFailure {
        exit,
        code: field("code").unwrap_or_else(|| "unknown".to_owned()),
        message: field("message").unwrap_or_else(|| text.trim().to_owned()),
        asked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::binaries::hermetic;

    #[test]
    fn failures_are_read_from_the_last_line() {
        let errors =
            b"a log\n{\"error\":{\"code\":\"not-found\",\"message\":\"no\",\"retry\":false}}\n";
        let failure = failure(6, errors, "send x".to_owned());
        assert_eq!((failure.exit, failure.code.as_str()), (6, "not-found"));
        assert_eq!(failure.message, "no");
    }

    #[tokio::test]
    async fn what_is_printed_comes_back() {
        let command = hermetic(std::path::Path::new("cat"));
        let input = Some("{\"a\":1}\n{\"b\":2}\n".to_owned());
        let lines = finish(command, "cat".to_owned(), input).await.unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1]["b"], 2);
        let end = finish(
            hermetic(std::path::Path::new("false")),
            "x".to_owned(),
            None,
        )
        .await;
        let failure = end.unwrap_err().downcast::<ClientFailure>().unwrap();
        assert_eq!(failure.exit, 1);
    }
}
