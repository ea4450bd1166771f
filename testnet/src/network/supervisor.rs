//! A network and its running processes.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use entente_identity::Handle;

use super::authority::Authority;
use super::binaries::{Binaries, hermetic};
use super::files::{write_host_table, write_server_config, write_server_hosts};
use super::folder::{Folder, private_folder};
use super::leftovers::stop_servers;
use super::plan::{Plan, ServerPlan};
use super::process::ServerProcess;
use entente_testnet_ports::PortClaim;

/// What servers log.
const LOG_FILTER: &str = "info";

/// A network that belongs to this process; dropping it kills every server.
#[derive(Debug)]
pub struct Network {
    folder: Folder,
    binaries: Binaries,
    plan: Plan,
    running: Vec<Option<ServerProcess>>,
    _claim: PortClaim,
}

impl Network {
    /// Makes a new network of `servers` organizations; nothing runs yet.
    ///
    /// # Errors
    /// When the folder is in use, no ports are free, or a server cannot be set up.
    pub async fn create(folder: Folder, binaries: Binaries, servers: usize) -> Result<Self> {
        let claim = PortClaim::any()?;
        let plan = Plan::new(servers, &claim)?;
        folder.create()?;
        plan.save(&folder)?;
        write_host_table(&folder, &plan)?;
        let authority = Authority::create(&folder)?;
        for server in &plan.servers {
            authority.certify(&folder, &server.domain())?;
            private_folder(&folder.server(&server.domain()))?;
            write_server_hosts(&folder, &plan, server, |other| {
                (other.https_port, other.quic_port)
            })?;
            initialize(&folder, &binaries.homeserver, server).await?;
        }
        Ok(Self::held(folder, binaries, plan, claim))
    }

    /// Takes up the network that was made in a folder, and stops what an earlier holder left running.
    ///
    /// # Errors
    /// When there is none, or it runs already.
    pub async fn open(folder: Folder, binaries: Binaries) -> Result<Self> {
        let mut plan = Plan::load(&folder)?.of_processes(&folder)?;
        let claim = PortClaim::again(plan.first_port).with_context(|| {
            let path = folder.root().display();
            format!("the network in {path} runs already, or another program has its ports")
        })?;
        stop_servers(&folder, &mut plan).await?;
        Ok(Self::held(folder, binaries, plan, claim))
    }

    fn held(folder: Folder, binaries: Binaries, mut plan: Plan, claim: PortClaim) -> Self {
        plan.supervisor = Some(std::process::id());
        let running = plan.servers.iter().map(|_| None).collect();
        Self {
            folder,
            binaries,
            plan,
            running,
            _claim: claim,
        }
    }

    /// Where everything lies.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The programs.
    #[must_use]
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The servers and the people.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Lets the servers keep what they hold in these databases, one for each, instead of in files. Only
    /// before they are started for the first time: nothing is carried over.
    ///
    /// # Errors
    /// When a configuration cannot be written.
    pub fn use_databases(&mut self, urls: Vec<String>) -> Result<()> {
        for (server, url) in self.plan.servers.iter_mut().zip(urls) {
            server.database_url = Some(url);
            write_server_config(&self.folder, server, LOG_FILTER)?;
        }
        self.plan.save(&self.folder)
    }

    /// Remembers that a person was registered.
    ///
    /// # Errors
    /// When the plan cannot be written.
    pub fn remember_person(&mut self, handle: &Handle) -> Result<()> {
        self.plan.people.push(handle.to_string());
        self.plan.save(&self.folder)
    }

    /// Starts all servers that do not run and waits until they are ready.
    ///
    /// # Errors
    /// When one of them does not come up.
    pub async fn start_all(&mut self) -> Result<()> {
        for index in 0..self.running.len() {
            if self.running[index].is_none() {
                self.launch_with(index, &[])?;
            }
        }
        for process in self.running.iter_mut().flatten() {
            process.wait_ready().await?;
        }
        Ok(())
    }

    /// Starts one server and waits until it is ready.
    ///
    /// # Errors
    /// When it runs already, or does not come up.
    pub async fn start(&mut self, index: usize) -> Result<()> {
        self.start_with(index, &[]).await
    }

    /// Starts one server with variables beside those of this process, and waits until it is ready.
    ///
    /// # Errors
    /// When it runs already, or does not come up.
    pub async fn start_with(&mut self, index: usize, variables: &[(&str, String)]) -> Result<()> {
        ensure!(self.running[index].is_none(), "that server runs already");
        self.launch_with(index, variables)?;
        let process = self.running[index].as_mut().expect("it was just launched");
        process.wait_ready().await
    }

    /// Waits until a server that runs is ready.
    ///
    /// # Errors
    /// When it does not run, or does not get ready in time.
    pub async fn wait_ready(&mut self, index: usize) -> Result<()> {
        let process = self.running[index].as_mut();
        let process = process.context("that server does not run")?;
        process.wait_ready().await
    }

    /// Stops one server politely.
    ///
    /// # Errors
    /// When it does not run, or did not stop by itself or not with success.
    pub async fn stop(&mut self, index: usize) -> Result<()> {
        let Some(process) = self.running[index].take() else {
            bail!("that server does not run");
        };
        process.stop().await
    }

    /// Kills one server as a power cut would.
    ///
    /// # Errors
    /// When it does not run, or the system refuses.
    pub async fn kill(&mut self, index: usize) -> Result<()> {
        let Some(process) = self.running[index].take() else {
            bail!("that server does not run");
        };
        process.kill().await
    }

    /// Stops all servers, politely first.
    ///
    /// # Errors
    /// When one did not stop by itself or not with success; the others are stopped all the same.
    pub async fn stop_all(&mut self) -> Result<()> {
        let running: Vec<_> = self.running.iter_mut().filter_map(Option::take).collect();
        let ends = futures::future::join_all(running.into_iter().map(ServerProcess::stop)).await;
        for server in &mut self.plan.servers {
            server.pid = None;
        }
        self.plan.supervisor = None;
        self.plan.save(&self.folder)?;
        ends.into_iter().collect()
    }

    /// Completes with an error when a server ends by itself.
    ///
    /// # Errors
    /// Always, at the end: servers are to run until they are stopped.
    pub async fn watch(&mut self) -> Result<()> {
        let ends = self.running.iter_mut().flatten().map(|process| {
            Box::pin(async move {
                let status = process.ended().await?;
                let end = process.log_end();
                bail!("{} ended by itself with {status}{end}", process.domain())
            })
        });
        futures::future::select_all(ends).await.0
    }

    fn launch_with(&mut self, index: usize, variables: &[(&str, String)]) -> Result<()> {
        let server = &mut self.plan.servers[index];
        let program = &self.binaries.homeserver;
        let process = ServerProcess::start(program, &self.folder, server, variables)?;
        server.pid = process.pid();
        self.running[index] = Some(process);
        self.plan.save(&self.folder)
    }
}

/// Lets the homeserver make its keys and database, then writes the configuration for this machine.
async fn initialize(folder: &Folder, program: &Path, server: &ServerPlan) -> Result<()> {
    let domain = server.domain();
    let output = hermetic(program)
        .args(["init", "--domain", domain.as_str()])
        .arg("--data-dir")
        .arg(folder.server_data(&domain))
        .arg("--config")
        .arg(folder.server_config(&domain))
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(
        output.status.success(),
        "setting up {domain} failed with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    write_server_config(folder, server, LOG_FILTER)
}
