//! `compose`: a network in containers.

use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::show_people;
use crate::args::{Compose, ComposeLogs, ComposeUp, Options};
use crate::cast::{Person, names};
use crate::compose::containers::ContainerState;
use crate::compose::network::{Metrics, Nodes};
use crate::compose::{ComposeNetwork, StoreChoice};
use crate::docker::Docker;
use crate::narrator::Narrator;
use crate::network::Binaries;

/// A network that is up, as scripts see it.
#[derive(Serialize)]
struct Up {
    project: String,
    store: &'static str,
    /// How long it took until all containers were healthy.
    healthy_seconds: f64,
    /// How long it took until everybody was registered too.
    seconds: f64,
    people: Vec<String>,
    /// The port of Prometheus, if it runs.
    prometheus: Option<u16>,
    containers: Vec<ContainerState>,
}

/// Does what the command line says.
pub async fn run(options: &Options, what: &Compose) -> Result<ExitCode> {
    let narrator = Narrator::new(options.json);
    let docker = Docker::find().await?;
    match what {
        Compose::Up(what) => up(options, what, docker).await?,
        Compose::Down => {
            let network = ComposeNetwork::open(docker, options.folder()?)?;
            {
                let _busy = narrator.busy("stopping the containers");
                network.down().await?;
            }
            let project = &network.compose_plan().project;
            let text = "the network is down; `testnet compose up` continues, `testnet compose reset` \
                        removes all";
            narrator.result(&json!({ "project": project, "down": true }), text);
        }
        Compose::Reset => {
            let network = ComposeNetwork::open(docker, options.folder()?)?;
            let project = network.compose_plan().project.clone();
            let path = network.folder().root().display().to_string();
            {
                let _busy = narrator.busy("removing containers and volumes");
                network.reset().await?;
            }
            let text = format!("removed {path}, the containers and their volumes");
            narrator.result(&json!({ "project": project, "removed": path }), &text);
        }
        Compose::Logs(what) => logs(options, what, docker).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn up(options: &Options, what: &ComposeUp, docker: Docker) -> Result<()> {
    let narrator = Narrator::new(options.json);
    let binaries = Binaries::find(options.build_choice()).await?;
    let began = std::time::Instant::now();
    let folder = options.folder()?;
    let mut network = if folder.is_network() {
        ComposeNetwork::open(docker, folder)?
    } else {
        narrator.act("Making a new network in containers");
        let nodes = match what.store {
            StoreChoice::Postgres => Nodes::Two,
            StoreChoice::Sqlite => Nodes::One,
        };
        ComposeNetwork::create(docker, folder, what.store, nodes).await?
    };
    let metrics = if what.prometheus {
        Metrics::With
    } else {
        Metrics::Without
    };
    let healthy = {
        let _busy = narrator.busy("starting the containers");
        network.up(metrics).await?
    };
    seed(&mut network, what, &binaries, narrator).await?;
    tell(&network, healthy, began.elapsed(), narrator).await
}

async fn seed(
    network: &mut ComposeNetwork,
    what: &ComposeUp,
    binaries: &Binaries,
    narrator: Narrator,
) -> Result<()> {
    let new = names::newcomers(network.plan(), what.seed_people.as_deref())?;
    let busy = narrator.progress("registering people", new.len());
    for handle in new {
        let folder = network.folder().clone();
        let person = Person::with_client(binaries.client.clone(), folder, handle.clone());
        person.register().await?;
        network.remember_person(&handle)?;
        busy.step();
    }
    Ok(())
}

async fn tell(
    network: &ComposeNetwork,
    healthy: Duration,
    whole: Duration,
    narrator: Narrator,
) -> Result<()> {
    let compose = network.compose_plan();
    let containers = network.containers().states().await?;
    let has_prometheus = containers.iter().any(|state| state.service == "prometheus");
    let up = Up {
        project: compose.project.clone(),
        store: compose.store.name(),
        healthy_seconds: healthy.as_secs_f64(),
        seconds: whole.as_secs_f64(),
        people: network.plan().people.clone(),
        prometheus: has_prometheus.then_some(compose.prometheus_port),
        containers,
    };
    narrator.act("Containers");
    for state in &up.containers {
        narrator.line(&state.to_string());
    }
    show_people(&up.people, "Talk", narrator);
    if let Some(metrics) = up.prometheus {
        narrator.act(&format!("Prometheus answers on http://127.0.0.1:{metrics}"));
    }
    let text = format!(
        "healthy after {:.1} s on {}; `testnet compose down` stops it, `testnet compose reset` removes all",
        up.healthy_seconds, up.store
    );
    narrator.result(&up, &text);
    Ok(())
}

/// Hands on what the containers print; for scripts as one JSON object per line.
async fn logs(options: &Options, what: &ComposeLogs, docker: Docker) -> Result<()> {
    let network = ComposeNetwork::open(docker, options.folder()?)?;
    let service = what.service.as_deref();
    let mut command = network.logs(what.follow, service).await?;
    command.stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start the Compose tool")?;
    let output = child
        .stdout
        .take()
        .context("the Compose tool has no output")?;
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await? {
        if options.json {
            println!("{}", log_line(&line));
        } else {
            println!("{line}");
        }
    }
    let status = child.wait().await?;
    ensure!(status.success(), "the Compose tool ended with {status}");
    Ok(())
}

/// `homeserver-a_1  | text`, as the Compose tool prints it.
fn log_line(line: &str) -> serde_json::Value {
    match line.split_once('|') {
        Some((container, text)) => json!({
            "container": container.trim(),
            "text": text.strip_prefix(' ').unwrap_or(text),
        }),
        None => json!({ "container": null, "text": line }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_log_is_taken_apart() {
        let line = log_line("homeserver-a_1  | ready | steady");
        assert_eq!(line["container"], "homeserver-a_1");
        assert_eq!(line["text"], "ready | steady");
        assert_eq!(log_line("Attaching")["text"], "Attaching");
    }
}
