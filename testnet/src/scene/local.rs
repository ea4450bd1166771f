//! Processes on this machine as the ground of a scene. Servers reach each other through [`Crossing`]s.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use entente_testnet_postgres::Postgres;
use tokio::process::Command;

use super::clock;
use super::crossing::Crossing;
use super::script::Act;
use crate::compose::StoreChoice;
use crate::docker::text;
use crate::images::homeserver::fake_clock;
use crate::network::files::write_server_hosts;
use crate::network::{Binaries, Folder, Network};

/// Processes, and the ways between them.
#[derive(Debug)]
pub struct LocalGround {
    network: Network,
    /// The ways from a server to the nodes of another.
    ways: Vec<Way>,
    /// Each server's Postgres; none with SQLite. They end after the servers, which are dropped first.
    databases: Vec<Arc<Postgres>>,
}

#[derive(Debug)]
struct Way {
    from: usize,
    to: usize,
    crossing: Crossing,
}

/// How many organizations take part, as in containers.
const SERVERS: usize = crate::compose::network::ORGANIZATIONS;

/// Why a server of these programs cannot be shown another time; nothing if it can.
pub async fn lacks_clock(binaries: &Binaries) -> Option<String> {
    if fake_clock().is_none() {
        let missing = "libfaketime is not installed; on Debian or Ubuntu: apt-get install faketime";
        return Some(missing.to_owned());
    }
    let told = text(Command::new("ldd").arg(&binaries.homeserver)).await;
    let is_dynamic = told.is_ok_and(|told| told.contains("=>"));
    (!is_dynamic)
        .then(|| "the homeserver is linked statically and cannot be shown another time".to_owned())
}

impl LocalGround {
    /// Makes a network and starts it; the servers of the domains `two` have two nodes.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn raise(
        folder: Folder,
        binaries: Binaries,
        store: StoreChoice,
        two: &BTreeSet<&str>,
    ) -> Result<Self> {
        let mut network = Network::create(folder, binaries, SERVERS).await?;
        let databases = match store {
            StoreChoice::Sqlite => Vec::new(),
            StoreChoice::Postgres => blocking(clusters).await?,
        };
        network.use_databases(databases.iter().map(|(_, url)| url.clone()).collect())?;
        let databases = databases.into_iter().map(|(cluster, _)| cluster).collect();
        for of in 0..SERVERS {
            if two.contains(network.plan().servers[of].domain.as_str()) {
                network.add_node(of)?;
            }
        }
        let mut ways = Vec::new();
        for from in 0..SERVERS {
            for (to, server) in network.plan().servers.iter().enumerate() {
                if from == to {
                    continue;
                }
                for (https_port, quic_port) in server.doors() {
                    let crossing = Crossing::open(quic_port, https_port).await?;
                    ways.push(Way { from, to, crossing });
                }
            }
        }
        let mut ground = Self {
            network,
            ways,
            databases,
        };
        ground.write_hosts()?;
        ground.network.start_all().await?;
        Ok(ground)
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Does to a server what an act says.
    ///
    /// # Errors
    /// When it cannot be done.
    pub async fn strike(&mut self, act: &Act, server: usize) -> Result<()> {
        match act {
            Act::Stop { .. } => self.network.stop(server).await,
            Act::Kill { .. } => self.network.kill(server).await,
            Act::Start { .. } => self.network.start(server).await,
            Act::Restart { .. } => {
                self.network.stop(server).await?;
                self.network.start(server).await
            }
            Act::Cut { .. } => {
                self.ways_of(server).for_each(Crossing::cut);
                Ok(())
            }
            Act::Heal { .. } => {
                self.ways_of(server).for_each(Crossing::heal);
                Ok(())
            }
            Act::Clock { seconds, .. } => self.set_clock(server, *seconds).await,
            Act::RestartDatabase { .. } => {
                let database = self.databases.get(server);
                let database = database.context("with SQLite there is no database to restart")?;
                let database = Arc::clone(database);
                blocking(move || {
                    database.stop()?;
                    Ok(database.start_again()?)
                })
                .await?;
                self.network.wait_ready(server).await
            }
            Act::KillNode { node, .. } => self.network.kill_node(server, *node).await,
            Act::Gather { .. }
            | Act::Talk { .. }
            | Act::Settle {}
            | Act::Apart { .. }
            | Act::Pause { .. } => bail!("`{act}` cannot be done to a process"),
        }
    }

    /// Stops the servers; their folder goes with the one that it was made in.
    ///
    /// # Errors
    /// When a server does not stop.
    pub async fn strike_down(mut self, keep: bool) -> Result<()> {
        self.network.stop_all().await?;
        if keep {
            return Ok(());
        }
        self.network.folder().clear()
    }

    /// All ways that begin or end at a server.
    fn ways_of(&self, server: usize) -> impl Iterator<Item = &Crossing> {
        let touches = move |way: &&Way| way.from == server || way.to == server;
        self.ways.iter().filter(touches).map(|way| &way.crossing)
    }

    async fn set_clock(&mut self, server: usize, seconds: i64) -> Result<()> {
        self.network.stop(server).await?;
        let library = fake_clock().context("libfaketime is not installed")?;
        let variables = match seconds {
            0 => Vec::new(),
            _ => clock::variables(&library.to_string_lossy(), seconds).to_vec(),
        };
        self.network.start_with(server, &variables).await?;
        let domain = self.network.plan().servers[server].domain();
        let log = read(&self.network.folder().server_log(&domain))?;
        clock::check(&log, seconds)
    }

    /// Every server reaches itself directly and the others over their ways.
    fn write_hosts(&self) -> Result<()> {
        let plan = self.network.plan();
        for (from, server) in plan.servers.iter().enumerate() {
            write_server_hosts(self.network.folder(), plan, server, |other| {
                if other == server {
                    return other.doors();
                }
                let leads = |way: &&Way| way.from == from && plan.servers[way.to] == *other;
                let ways = self.ways.iter().filter(leads);
                ways.map(|way| (way.crossing.https_port, way.crossing.quic_port))
                    .collect()
            })?;
        }
        Ok(())
    }
}

/// A Postgres for each server, each with an empty database and its URL.
fn clusters() -> Result<Vec<(Arc<Postgres>, String)>> {
    let each = (0..SERVERS).map(|_| {
        let cluster = Postgres::start(&[])?;
        let database = cluster.database()?;
        let url = cluster.url(&database);
        Ok((Arc::new(cluster), url))
    });
    each.collect()
}

/// Does what waits for other programs, where waiting holds up nothing else.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.context("waiting for Postgres broke down")?
}

fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
