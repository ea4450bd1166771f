//! Containers as the ground of a scene.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

use super::clock;
use super::script::Act;
use crate::compose::network::{Metrics, Nodes, database_service, services};
use crate::compose::{ComposeNetwork, StoreChoice};
use crate::docker::Docker;
use crate::images;
use crate::network::Folder;
use crate::stage::Afterwards;

/// A network in containers, of a project of its own. Dropping it removes it, as a scene may be interrupted.
#[derive(Debug)]
pub struct ContainedGround {
    network: ComposeNetwork,
    afterwards: Afterwards,
}

impl Drop for ContainedGround {
    fn drop(&mut self) {
        if self.afterwards == Afterwards::Remove {
            self.network.abandon();
        }
    }
}

/// Why a server of the image cannot be shown another time; nothing if it can.
///
/// # Errors
/// When Docker cannot be asked.
pub async fn lacks_clock() -> Result<Option<String>> {
    let library = images::fake_clock_of(&images::homeserver_image()).await?;
    let lacks = "the homeserver's image holds no libfaketime, as one that is linked statically never does; \
                 install faketime (on Debian or Ubuntu: apt-get install faketime) and make the image \
                 with `testnet images --quick`";
    Ok(library.is_none().then(|| lacks.to_owned()))
}

impl ContainedGround {
    /// Makes a network and starts it; the servers of the domains `two` have two nodes.
    ///
    /// # Errors
    /// When it does not come up; what was started is removed again.
    pub async fn raise(
        folder: Folder,
        docker: Docker,
        store: StoreChoice,
        two: &BTreeSet<&str>,
    ) -> Result<Self> {
        let nodes = match two.is_empty() {
            true => Nodes::One,
            false => Nodes::Two,
        };
        let mut ground = Self {
            network: ComposeNetwork::create(docker, folder, store, nodes).await?,
            afterwards: Afterwards::Remove,
        };
        ground.network.up(Metrics::Without).await?;
        Ok(ground)
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &ComposeNetwork {
        &self.network
    }

    /// Does to a server what an act says.
    ///
    /// # Errors
    /// When it cannot be done.
    pub async fn strike(&mut self, act: &Act, server: usize) -> Result<()> {
        let network = &self.network;
        let containers = network.containers();
        let nodes = services(&network.plan().servers[server]);
        match act {
            Act::Stop { .. } => containers.stop(&nodes).await,
            Act::Kill { .. } => containers.kill(&nodes).await,
            Act::Start { .. } => containers.start(&nodes).await,
            Act::Restart { .. } => {
                containers.stop(&nodes).await?;
                containers.start(&nodes).await
            }
            Act::Cut { .. } => network.cut_off(server).await,
            Act::Heal { .. } => network.reconnect(server).await,
            Act::RestartDatabase { .. } => {
                let database = [database_service(&network.plan().servers[server])];
                containers.stop(&database).await?;
                containers.start(&database).await?;
                containers.wait_ready(&nodes).await
            }
            Act::KillNode { node, .. } => {
                let place = node.checked_sub(1);
                let killed = place.and_then(|place| nodes.get(place));
                let killed = killed.with_context(|| format!("there is no node {node}"))?;
                containers.kill(std::slice::from_ref(killed)).await
            }
            Act::Clock { seconds, .. } => {
                for node in &nodes {
                    self.set_clock(node, *seconds).await?;
                }
                Ok(())
            }
            Act::Gather { .. }
            | Act::Talk { .. }
            | Act::Settle {}
            | Act::Apart { .. }
            | Act::Pause { .. } => bail!("`{act}` cannot be done to a container"),
        }
    }

    /// Removes the network, or leaves its containers and volumes for a closer look.
    ///
    /// # Errors
    /// When Docker refuses.
    pub async fn strike_down(mut self, keep: bool) -> Result<()> {
        self.afterwards = Afterwards::Keep;
        if keep {
            return Ok(());
        }
        self.network.reset().await
    }

    async fn set_clock(&self, homeserver: &str, seconds: i64) -> Result<()> {
        let library = images::fake_clock_of(&self.network.compose_plan().homeserver_image).await?;
        let library = library.context("the homeserver's image holds no libfaketime")?;
        let variables = match seconds {
            0 => Vec::new(),
            _ => clock::variables(&library, seconds).to_vec(),
        };
        let variables = variables.iter();
        let variables: Vec<_> = variables
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        self.network.recreate(homeserver, &variables).await?;
        let log = self.network.containers().last_log(homeserver).await?;
        clock::check(&log, seconds)
    }
}
