//! `down` and `reset`: the end of a network that this process does not hold.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep};

use crate::args::Options;
use crate::narrator::Narrator;
use crate::network::Plan;
use crate::network::leftovers::{stop_servers, supervisor};
use crate::network::process::terminate;
use entente_testnet_machine::PortClaim;

/// How long a supervisor may take to stop its servers.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// How often it is looked whether it did.
const POLL: Duration = Duration::from_millis(100);

/// Stops the network, wherever it was started.
pub async fn run(options: &Options, narrator: Narrator) -> Result<()> {
    let folder = options.folder()?;
    let plan = Plan::load(&folder)?.of_processes(&folder)?;
    if let Some(pid) = supervisor(&plan) {
        terminate(pid)?;
    }
    let deadline = Instant::now() + STOP_LIMIT;
    let claim = loop {
        match PortClaim::again(plan.first_port) {
            Ok(claim) => break claim,
            Err(error) if Instant::now() >= deadline => {
                return Err(error).context("the network does not stop");
            }
            Err(_) => sleep(POLL).await,
        }
    };
    let mut plan = Plan::load(&folder)?;
    let stopped = stop_servers(&folder, &mut plan).await?;
    drop(claim);
    if stopped > 0 {
        narrator.line(&format!("stopped {stopped} servers that were left running"));
    }
    narrator.line("the network is down");
    Ok(())
}

/// Removes a network that does not run.
pub fn reset(options: &Options, narrator: Narrator) -> Result<()> {
    let folder = options.folder()?;
    let plan = Plan::load(&folder)?.of_processes(&folder)?;
    let runs = PortClaim::again(plan.first_port).is_err() || supervisor(&plan).is_some();
    if runs || plan.servers.iter().any(|server| server.pid.is_some()) {
        bail!("the network runs or was left running; stop it first: `testnet down`");
    }
    folder.clear()?;
    narrator.line(&format!("removed {}", folder.root().display()));
    Ok(())
}
