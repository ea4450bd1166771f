//! `status`: how the servers are.

use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;

use crate::args::Options;
use crate::compose::containers::{ContainerState, Containers};
use crate::narrator::Narrator;
use crate::network::Plan;
use crate::network::ready::{Readiness, readiness};

/// A network as scripts see it.
#[derive(Serialize)]
struct NetworkStatus {
    dir: String,
    servers: Vec<ServerStatus>,
    people: Vec<String>,
}

#[derive(Serialize)]
struct ServerStatus {
    server: String,
    state: &'static str,
    pid: Option<u32>,
    quic_port: u16,
    https_port: u16,
    admin_port: u16,
}

/// Asks every server; the exit code says whether all are ready.
pub async fn run(options: &Options) -> Result<ExitCode> {
    let folder = options.folder()?;
    let plan = Plan::load(&folder)?;
    if let Some(compose) = &plan.compose {
        return containers(options, &compose.project).await;
    }
    let mut servers = Vec::new();
    for server in &plan.servers {
        let state = match readiness(server.admin()).await {
            Readiness::Ready => "ready",
            Readiness::NotReady => "not ready",
            Readiness::Silent => "down",
        };
        servers.push(ServerStatus {
            server: server.domain.clone(),
            state,
            pid: server.pid,
            quic_port: server.quic_port,
            https_port: server.https_port,
            admin_port: server.admin_port,
        });
    }
    let all_ready = servers.iter().all(|server| server.state == "ready");
    let status = NetworkStatus {
        dir: folder.root().display().to_string(),
        servers,
        people: plan.people,
    };
    Narrator::new(options.json).result(&status, &text(&status));
    Ok(ExitCode::from(u8::from(!all_ready)))
}

/// A network in containers: how each of them is.
async fn containers(options: &Options, project: &str) -> Result<ExitCode> {
    let states = Containers::of(project).states().await?;
    let all_ready = !states.is_empty() && states.iter().all(ContainerState::is_ready);
    let mut lines = vec![format!("network in containers, project {project}")];
    lines.extend(states.iter().map(ToString::to_string));
    if states.is_empty() {
        lines.push("no container; `testnet compose up` starts it".to_owned());
    }
    let status = serde_json::json!({ "project": project, "containers": states });
    Narrator::new(options.json).result(&status, &lines.join("\n"));
    Ok(ExitCode::from(u8::from(!all_ready)))
}

fn text(status: &NetworkStatus) -> String {
    let mut lines = vec![format!("network in {}", status.dir)];
    for server in &status.servers {
        let mark = if server.state == "ready" {
            "✓"
        } else {
            "✗"
        };
        lines.push(format!("{mark} {}  {}", server.server, server.state));
    }
    lines.push(format!("people: {}", status.people.join(", ")));
    lines.join("\n")
}
