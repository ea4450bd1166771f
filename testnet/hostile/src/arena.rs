//! Where attacks take place: two real organizations and two hostile ones, all on loopback.
//!
//! org-a.test and org-b.test are real processes; org-c.test (Mallory's) and org-d.test (Trudy's) are
//! inside this program, at the places that the network planned for them, and in everybody's host table.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use entente_identity::{Domain, ServerDid};
use tempfile::TempDir;
use testnet::network::plan::ADDRESS;
use testnet::network::{Binaries, Folder, Network, Plan, ServerPlan};
use tokio::sync::Mutex;

use crate::device::Device;
use crate::dice::Dice;
use crate::door::Door;
use crate::health::{Memory, never_panicked};
use crate::peer::Peer;
use crate::web::Web;

/// The real servers, which come first in the plan.
pub const REAL: usize = 2;
/// All servers that are planned.
const PLANNED: usize = 4;

/// Where attacks take place.
pub struct Arena {
    /// org-a.test.
    pub a: Door,
    /// org-b.test.
    pub b: Door,
    /// Speaks HTTPS to all of them.
    pub web: Web,
    /// From what chance is drawn.
    pub seed: u64,
    folder: Folder,
    plan: Plan,
    hostile: Option<[Peer; 2]>,
    network: Option<Mutex<Network>>,
    names: AtomicU64,
    _temporary: Option<TempDir>,
}

impl Arena {
    /// Makes a network in a temporary folder and starts its servers.
    ///
    /// # Errors
    /// A server does not come up, or a socket cannot be had.
    pub async fn open(binaries: Binaries, seed: u64) -> Result<Self> {
        let temporary = TempDir::with_prefix("entente-hostile-")?;
        let folder = Folder::at(&temporary.path().join("network"))?;
        let mut network = Network::create(folder.clone(), binaries, PLANNED).await?;
        let plan = network.plan().clone();
        let mut dice = Dice::of(seed, "arena");
        let mallory = Peer::open(&folder, &plan.servers[REAL], &mut dice).await?;
        let trudy = Peer::open(&folder, &plan.servers[REAL + 1], &mut dice).await?;
        for index in 0..REAL {
            network.start(index).await?;
        }
        let mut arena = Self::around(folder, network.plan().clone(), seed).await?;
        arena.hostile = Some([mallory, trudy]);
        arena.network = Some(Mutex::new(network));
        arena._temporary = Some(temporary);
        Ok(arena)
    }

    /// Takes the running network of a folder, without hostile organizations: its servers know none.
    ///
    /// # Errors
    /// No network runs there.
    pub async fn visit(path: &Path, seed: u64) -> Result<Self> {
        let folder = Folder::at(path)?;
        let plan = Plan::load(&folder)?;
        ensure!(
            plan.servers.len() >= REAL && plan.servers.iter().all(|server| server.pid.is_some()),
            "a network of at least {REAL} running servers is needed"
        );
        Self::around(folder, plan, seed).await
    }

    async fn around(folder: Folder, plan: Plan, seed: u64) -> Result<Self> {
        let web = Web::trusting(&folder.authority())?;
        let a = door(&plan.servers[0], &web).await?;
        let b = door(&plan.servers[1], &web).await?;
        Ok(Self {
            a,
            b,
            web,
            seed,
            folder,
            plan,
            hostile: None,
            network: None,
            names: AtomicU64::new(0),
            _temporary: None,
        })
    }

    /// Mallory's organization.
    ///
    /// # Errors
    /// There is none in this network.
    pub fn mallory(&self) -> Result<&Peer> {
        self.hostile().map(|[mallory, _]| mallory)
    }

    /// Trudy's organization.
    ///
    /// # Errors
    /// There is none in this network.
    pub fn trudy(&self) -> Result<&Peer> {
        self.hostile().map(|[_, trudy]| trudy)
    }

    /// Whether there are hostile organizations.
    #[must_use]
    pub fn has_peers(&self) -> bool {
        self.hostile.is_some()
    }

    fn hostile(&self) -> Result<&[Peer; 2]> {
        let peers = self.hostile.as_ref();
        peers.context("this network knows no hostile organization")
    }

    /// Registers somebody new at a server; the name is new each time.
    ///
    /// # Errors
    /// The server does not take it.
    pub async fn newcomer(&self, door: &Door, name: &str, dice: &mut Dice) -> Result<Device> {
        let local = self.fresh(name);
        let handle = format!("{local}@{}", door.did.domain()).parse()?;
        Device::register(door, handle, dice).await
    }

    /// A name that nobody has yet, on any visit.
    #[must_use]
    pub fn fresh(&self, name: &str) -> String {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        let visit = u64::from(std::process::id());
        format!("{name}-{visit}-{number}")
    }

    /// The domain of one of the servers.
    #[must_use]
    pub fn domain(&self, index: usize) -> Domain {
        self.plan.servers[index].domain()
    }

    /// The network's folder.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Where a server is asked whether it is ready.
    #[must_use]
    pub fn admin(&self, index: usize) -> std::net::SocketAddr {
        self.plan.servers[index].admin()
    }

    /// The process of a real server.
    ///
    /// # Errors
    /// It does not run.
    pub async fn pid(&self, index: usize) -> Result<u32> {
        let pid = match &self.network {
            Some(network) => network.lock().await.plan().servers[index].pid,
            None => self.plan.servers[index].pid,
        };
        pid.context("that server does not run")
    }

    /// The memory of the real servers.
    ///
    /// # Errors
    /// One of them is gone.
    pub async fn memory(&self) -> Result<[Memory; REAL]> {
        Ok([
            Memory::of(self.pid(0).await?)?,
            Memory::of(self.pid(1).await?)?,
        ])
    }

    /// Kills a real server as a power cut would.
    ///
    /// # Errors
    /// It is not this program's.
    pub async fn kill(&self, index: usize) -> Result<()> {
        self.network()?.lock().await.kill(index).await
    }

    /// Starts a real server that was killed.
    ///
    /// # Errors
    /// It is not this program's, or does not come up.
    pub async fn start(&self, index: usize) -> Result<()> {
        self.network()?.lock().await.start(index).await
    }

    /// Checks that the real servers live and never panicked.
    ///
    /// # Errors
    /// One of them does not, or did.
    pub async fn check_servers(&self) -> Result<()> {
        self.memory().await?;
        for index in 0..REAL {
            never_panicked(&self.folder.server_log(&self.domain(index)))?;
        }
        Ok(())
    }

    fn network(&self) -> Result<&Mutex<Network>> {
        let network = self.network.as_ref();
        network.context("this network is somebody else's: its servers are not stopped")
    }
}

async fn door(plan: &ServerPlan, web: &Web) -> Result<Door> {
    let did = ServerDid::new(plan.domain());
    let quic = (ADDRESS, plan.quic_port).into();
    let https = (ADDRESS, plan.https_port).into();
    Door::find(did, quic, https, web).await
}
