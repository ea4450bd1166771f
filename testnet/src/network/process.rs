//! One homeserver process: started, watched until ready, killed or stopped, always by its own id.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use entente_identity::Domain;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};

use super::binaries::hermetic;
use super::folder::Folder;
use super::plan::ServerPlan;
use super::ready::{Readiness, readiness};

/// How long a server may take from its start until it is ready, on a slow machine in a debug build.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// How often a starting server is asked.
const READY_POLL: Duration = Duration::from_millis(20);
/// How long a server may take to stop when asked politely.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// How much of a log is shown when a server fails.
const SHOWN_LOG_LINES: usize = 12;

/// A running homeserver; dropping it kills the process.
#[derive(Debug)]
pub struct ServerProcess {
    domain: Domain,
    child: Child,
    log: PathBuf,
    admin: SocketAddr,
}

impl ServerProcess {
    /// Starts a server, with variables beside those of this process; it is not ready yet. `admin` is where
    /// it will say so.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(
        program: &Path,
        folder: &Folder,
        (server, admin): (&ServerPlan, SocketAddr),
        variables: &[(&str, String)],
    ) -> Result<Self> {
        let domain = server.domain();
        let log = folder.server_log(&domain);
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let errors = output.try_clone().context("cannot share the log")?;
        let child = hermetic(program)
            .arg("serve")
            .arg("--config")
            .arg(folder.server_config(&domain))
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self {
            domain,
            child,
            log,
            admin,
        })
    }

    /// The organization's domain.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The process id, while the process lives.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until the server is ready.
    ///
    /// # Errors
    /// When it ends or is not ready in time; the error shows the end of its log.
    pub async fn wait_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_LIMIT;
        while readiness(self.admin).await != Readiness::Ready {
            if let Some(status) = self.child.try_wait().context("cannot watch a server")? {
                bail!("{} ended with {status}{}", self.domain, self.log_end());
            }
            if Instant::now() >= deadline {
                let waited = READY_LIMIT.as_secs();
                bail!(
                    "{} was not ready after {waited} s{}",
                    self.domain,
                    self.log_end()
                );
            }
            sleep(READY_POLL).await;
        }
        Ok(())
    }

    /// Kills the process as a power cut would, and waits until it is gone.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(mut self) -> Result<()> {
        self.child
            .kill()
            .await
            .with_context(|| format!("cannot kill {}", self.domain))
    }

    /// Asks the process to stop, and kills it when it does not.
    ///
    /// # Errors
    /// When the system refuses, or the server did not stop by itself or not with success.
    pub async fn stop(mut self) -> Result<()> {
        let Some(pid) = self.child.id() else {
            let status = self.ended().await?;
            return self.judge_end(status);
        };
        terminate(pid)?;
        match timeout(STOP_LIMIT, self.child.wait()).await {
            Ok(status) => self.judge_end(status.context("cannot wait for a server")?),
            Err(_) => {
                self.child.kill().await.context("cannot kill a server")?;
                let waited = STOP_LIMIT.as_secs();
                bail!(
                    "{} did not stop within {waited} s and was killed",
                    self.domain
                )
            }
        }
    }

    /// Completes when the process ends, which a server does not do by itself.
    ///
    /// # Errors
    /// When the system refuses to watch it.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        self.child.wait().await.context("cannot watch a server")
    }

    fn judge_end(&self, status: ExitStatus) -> Result<()> {
        if status.success() {
            return Ok(());
        }
        bail!("{} ended with {status}{}", self.domain, self.log_end())
    }

    /// The last lines of the log, as the end of an error.
    #[must_use]
    pub fn log_end(&self) -> String {
        let text = match fs::read(&self.log) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => format!("(cannot be read: {error})"),
        };
        let lines: Vec<&str> = text.lines().collect();
        let shown = &lines[lines.len().saturating_sub(SHOWN_LOG_LINES)..];
        format!("; end of {}:\n  {}", self.log.display(), shown.join("\n  "))
    }
}

/// Asks a process to stop. One that has ended meanwhile needs nothing more.
///
/// # Errors
/// When it is no process id, or a process that is not ours to stop.
pub fn terminate(pid: u32) -> Result<()> {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let process = raw.with_context(|| format!("{pid} is no process id"))?;
    let told = match kill_process(process, Signal::TERM) {
        Err(Errno::SRCH) => Ok(()),
        told => told,
    };
    told.map_err(io::Error::from)
        .with_context(|| format!("cannot stop process {pid}"))
}
