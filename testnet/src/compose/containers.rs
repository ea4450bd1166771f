//! The containers of one project: how they are, and what is done to single ones.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::docker::{docker, done, text};

/// How long a container may take until it is healthy, its first start included.
const HEALTH_LIMIT: Duration = Duration::from_secs(120);
/// How often it is looked at.
const POLL: Duration = Duration::from_millis(250);
/// How long a server may take to stop when asked politely, in seconds.
const STOP_LIMIT_S: &str = "15";
/// How much of a container's log is shown when it fails.
const SHOWN_LOG_LINES: &str = "15";
/// What is asked of each container.
const ASKED: &str = "{{index .Config.Labels \"com.docker.compose.service\"}} {{.Id}} \
                     {{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}";

/// The containers that one project has.
#[derive(Clone, Debug)]
pub struct Containers {
    project: String,
}

/// How a container is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContainerState {
    /// The service that it runs.
    pub service: String,
    /// Its id.
    #[serde(skip)]
    pub id: String,
    /// `running`, `exited` and so on, as Docker says.
    pub status: String,
    /// `healthy`, `unhealthy`, `starting`, or `none` where nobody asks.
    pub health: String,
}

impl ContainerState {
    /// Whether it runs, and well.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status == "running" && matches!(self.health.as_str(), "healthy" | "none")
    }

    fn has_failed(&self) -> bool {
        matches!(self.status.as_str(), "exited" | "dead") || self.health == "unhealthy"
    }
}

impl fmt::Display for ContainerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.is_ready() { "✓" } else { "✗" };
        let Self {
            service,
            status,
            health,
            ..
        } = self;
        write!(f, "{mark} {service}  {status}, {health}")
    }
}

impl Containers {
    /// The containers of a project.
    #[must_use]
    pub fn of(project: &str) -> Self {
        Self {
            project: project.to_owned(),
        }
    }

    /// How all of them are.
    ///
    /// # Errors
    /// When Docker cannot be asked.
    pub async fn states(&self) -> Result<Vec<ContainerState>> {
        let filter = format!("label=com.docker.compose.project={}", self.project);
        let mut list = docker();
        list.args(["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter]);
        let ids = text(&mut list).await?;
        let ids: Vec<&str> = ids.split_whitespace().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut inspect = docker();
        inspect.args(["inspect", "--format", ASKED]).args(ids);
        let mut states = parsed(&text(&mut inspect).await?);
        states.sort_by(|one, other| one.service.cmp(&other.service));
        Ok(states)
    }

    /// How the container of one service is.
    ///
    /// # Errors
    /// When Docker cannot be asked, or the service has no container.
    pub async fn state(&self, service: &str) -> Result<ContainerState> {
        let states = self.states().await?;
        let found = states.into_iter().find(|state| state.service == service);
        found.with_context(|| format!("{service} has no container"))
    }

    /// Waits until the containers of these services are healthy.
    ///
    /// # Errors
    /// When one of them fails or takes too long, with the end of its log.
    pub async fn wait_ready(&self, services: &[String]) -> Result<()> {
        let deadline = Instant::now() + HEALTH_LIMIT;
        loop {
            let states = self.states().await?;
            let of = |service: &String| states.iter().find(|state| state.service == *service);
            let waits: Vec<&String> = services
                .iter()
                .filter(|service| !of(service).is_some_and(ContainerState::is_ready))
                .collect();
            let Some(first) = waits.first() else {
                return Ok(());
            };
            let failed = waits
                .iter()
                .filter_map(|service| of(service))
                .find(|state| state.has_failed());
            if let Some(state) = failed {
                bail!("{state}{}", self.log_end(&state.id).await);
            }
            if Instant::now() >= deadline {
                let seconds = HEALTH_LIMIT.as_secs();
                let end = match of(first) {
                    Some(state) => self.log_end(&state.id).await,
                    None => String::new(),
                };
                bail!("{first} is not healthy after {seconds} s{end}");
            }
            sleep(POLL).await;
        }
    }

    /// Stops the containers of services politely.
    ///
    /// # Errors
    /// When Docker refuses, or one did not stop by itself or not with success.
    pub async fn stop(&self, services: &[String]) -> Result<()> {
        self.tell(services, &["stop", "--time", STOP_LIMIT_S])
            .await?;
        for service in services {
            self.ended_well(service).await?;
        }
        Ok(())
    }

    /// Kills the containers of services as a power cut would.
    ///
    /// # Errors
    /// When Docker refuses, or one does not run.
    pub async fn kill(&self, services: &[String]) -> Result<()> {
        self.tell(services, &["kill"]).await
    }

    /// Starts the containers of services and waits until they are healthy.
    ///
    /// # Errors
    /// When Docker refuses, or one does not get healthy.
    pub async fn start(&self, services: &[String]) -> Result<()> {
        self.tell(services, &["start"]).await?;
        self.wait_ready(services).await
    }

    /// Takes the container of a service off a network of the project.
    ///
    /// # Errors
    /// When Docker refuses.
    pub async fn disconnect(&self, service: &str, network: &str) -> Result<()> {
        let id = self.state(service).await?.id;
        let network = format!("{}_{network}", self.project);
        done(docker().args(["network", "disconnect", &network, &id])).await
    }

    /// Puts the container of a service back on a network of the project.
    ///
    /// # Errors
    /// When Docker refuses.
    pub async fn connect(&self, service: &str, network: &str, address: &str) -> Result<()> {
        let id = self.state(service).await?.id;
        let network = format!("{}_{network}", self.project);
        let mut command = docker();
        command.args(["network", "connect", "--ip", address, "--alias", service]);
        done(command.args([&network, &id])).await
    }

    async fn tell(&self, services: &[String], what: &[&str]) -> Result<()> {
        let mut command = docker();
        command.args(what);
        for service in services {
            command.arg(self.state(service).await?.id);
        }
        done(&mut command).await
    }

    /// The last lines that the container of a service printed.
    ///
    /// # Errors
    /// When Docker cannot be asked, or the service has no container.
    pub async fn last_log(&self, service: &str) -> Result<String> {
        last_log(&self.state(service).await?.id).await
    }

    /// The last lines that a container printed, as the end of an error.
    async fn log_end(&self, id: &str) -> String {
        match last_log(id).await {
            Ok(text) => {
                let lines: Vec<&str> = text.lines().collect();
                format!("; end of its log:\n  {}", lines.join("\n  "))
            }
            Err(_) => String::new(),
        }
    }

    /// Whether a container that was asked to stop ended as one that did.
    async fn ended_well(&self, service: &str) -> Result<()> {
        let id = self.state(service).await?.id;
        let mut inspect = docker();
        inspect.args(["inspect", "--format", "{{.State.ExitCode}}", &id]);
        let code = text(&mut inspect).await?;
        if code.trim() == "0" {
            return Ok(());
        }
        let end = self.log_end(&id).await;
        bail!(
            "{service} ended with {} when asked to stop{end}",
            code.trim()
        )
    }
}

async fn last_log(id: &str) -> Result<String> {
    let mut command = docker();
    command.args(["logs", "--tail", SHOWN_LOG_LINES, id]);
    let output = command.stdin(std::process::Stdio::null()).output().await;
    let output = output.context("cannot ask for a log")?;
    // Docker hands the container's two outputs on as they were.
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn parsed(told: &str) -> Vec<ContainerState> {
    let lines = told.lines().filter_map(|line| {
        let mut words = line.split_whitespace().map(str::to_owned);
        Some(ContainerState {
            service: words.next()?,
            id: words.next()?,
            status: words.next()?,
            health: words.next()?,
        })
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_running_and_healthy_is_ready() {
        let told = "homeserver-a 1f running healthy\ndatabase-a 2e running starting\n\
                    homeserver-b 3d exited unhealthy\nprometheus 4c running none\n";
        let states = parsed(told);
        let ready: Vec<bool> = states.iter().map(ContainerState::is_ready).collect();
        assert_eq!(ready, [true, false, false, true]);
        assert!(states[2].has_failed() && !states[1].has_failed());
        assert_eq!(states[0].to_string(), "✓ homeserver-a  running, healthy");
    }
}
