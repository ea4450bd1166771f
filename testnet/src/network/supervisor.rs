//! A network and its running processes.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use entente_identity::Handle;

use super::authority::Authority;
use super::binaries::{Binaries, hermetic};
use super::files::{host_table, write_host_table, write_server_config, write_server_hosts};
use super::folder::{Folder, private_folder};
use super::leftovers::stop_servers;
use super::plan::{ADDRESS, NodePlan, Plan, ServerPlan};
use super::process::ServerProcess;
use entente_testnet_machine::PortClaim;

/// Most nodes of a server.
const NODES: usize = 2;
/// The keys that the nodes of a server share.
const KEYS: [&str; 3] = ["federation.key", "next-federation.key", "key-document-0"];
/// What servers log.
const LOG_FILTER: &str = "info";

/// A network that belongs to this process; dropping it kills every server.
#[derive(Debug)]
pub struct Network {
    folder: Folder,
    binaries: Binaries,
    plan: Plan,
    /// The nodes of each server that run.
    running: Vec<[Option<ServerProcess>; NODES]>,
    claim: PortClaim,
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
            write_server_hosts(&folder, &plan, server, ServerPlan::doors)?;
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
        let running = plan.servers.iter().map(|_| [None, None]).collect();
        Self {
            folder,
            binaries,
            plan,
            running,
            claim,
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

    /// Gives a server that keeps what it holds in a database a second node: with copies of its keys, and a
    /// folder and addresses of its own. Before the servers are started: they read the host tables then.
    ///
    /// # Errors
    /// When the server has no database, or a file cannot be written.
    pub fn add_node(&mut self, of: usize) -> Result<()> {
        let seconds = self.plan.servers.iter().filter(|s| s.second.is_some());
        let place = self.plan.servers.len() + seconds.count();
        let ports = self.claim.of_server(place);
        let server = &mut self.plan.servers[of];
        ensure!(
            server.database_url.is_some() && server.second.is_none(),
            "a server on a database has one node or two"
        );
        server.second = Some(NodePlan::new(ports));
        let domain = server.domain();
        let (from, to) = (
            self.folder.server_data(&domain),
            self.folder.second_data(&domain),
        );
        private_folder(&to)?;
        for key in KEYS {
            fs::copy(from.join(key), to.join(key))
                .with_context(|| format!("cannot copy {key} to {}", to.display()))?;
        }
        write_host_table(&self.folder, &self.plan)?;
        for server in &self.plan.servers {
            write_server_hosts(&self.folder, &self.plan, server, ServerPlan::doors)?;
        }
        self.plan.save(&self.folder)
    }

    /// The host table of people who try a server's second node first.
    #[must_use]
    pub fn hosts_second_first(&self) -> String {
        host_table(&self.plan, |server| {
            server.doors().into_iter().rev().collect()
        })
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
            self.launch_all_of(index, &[])?;
        }
        for process in self.running.iter_mut().flatten().flatten() {
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
        let runs = self.running[index].iter().flatten().count() > 0;
        ensure!(!runs, "that server runs already");
        self.launch_all_of(index, variables)?;
        self.wait_ready(index).await
    }

    /// Waits until a server that runs is ready.
    ///
    /// # Errors
    /// When it does not run, or does not get ready in time.
    pub async fn wait_ready(&mut self, index: usize) -> Result<()> {
        let mut nodes = self.running[index].iter_mut().flatten().peekable();
        ensure!(nodes.peek().is_some(), "that server does not run");
        for process in nodes {
            process.wait_ready().await?;
        }
        Ok(())
    }

    /// Stops one server politely.
    ///
    /// # Errors
    /// When it does not run, or did not stop by itself or not with success.
    pub async fn stop(&mut self, index: usize) -> Result<()> {
        for process in self.take_nodes(index)? {
            process.stop().await?;
        }
        Ok(())
    }

    /// Kills one server as a power cut would.
    ///
    /// # Errors
    /// When it does not run, or the system refuses.
    pub async fn kill(&mut self, index: usize) -> Result<()> {
        for process in self.take_nodes(index)? {
            process.kill().await?;
        }
        Ok(())
    }

    /// Kills one node of a server as a power cut would; `node` is counted from 1.
    ///
    /// # Errors
    /// When it does not run, or the system refuses.
    pub async fn kill_node(&mut self, index: usize, node: usize) -> Result<()> {
        let place = node.checked_sub(1);
        let running = place.and_then(|place| self.running[index].get_mut(place));
        let process = running.and_then(Option::take);
        let process = process.with_context(|| format!("node {node} does not run"))?;
        process.kill().await
    }

    fn take_nodes(&mut self, index: usize) -> Result<Vec<ServerProcess>> {
        let nodes = self.running[index].iter_mut().filter_map(Option::take);
        let nodes: Vec<ServerProcess> = nodes.collect();
        ensure!(!nodes.is_empty(), "that server does not run");
        Ok(nodes)
    }

    /// Stops all servers, politely first.
    ///
    /// # Errors
    /// When one did not stop by itself or not with success; the others are stopped all the same.
    pub async fn stop_all(&mut self) -> Result<()> {
        let nodes = self.running.iter_mut().flatten();
        let running: Vec<_> = nodes.filter_map(Option::take).collect();
        let ends = futures::future::join_all(running.into_iter().map(ServerProcess::stop)).await;
        for server in &mut self.plan.servers {
            server.pid = None;
            if let Some(second) = &mut server.second {
                second.pid = None;
            }
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
        let ends = self.running.iter_mut().flatten().flatten().map(|process| {
            Box::pin(async move {
                let status = process.ended().await?;
                let end = process.log_end();
                bail!("{} ended by itself with {status}{end}", process.domain())
            })
        });
        futures::future::select_all(ends).await.0
    }

    /// Launches the nodes of a server that do not run.
    fn launch_all_of(&mut self, index: usize, variables: &[(&str, String)]) -> Result<()> {
        let server = &mut self.plan.servers[index];
        let program = &self.binaries.homeserver;
        let start = |server: &ServerPlan, admin, variables: &[(&str, String)]| {
            ServerProcess::start(program, &self.folder, (server, admin), variables)
        };
        let [first, second] = &mut self.running[index];
        if first.is_none() {
            let process = start(server, server.admin(), variables)?;
            server.pid = process.pid();
            *first = Some(process);
        }
        if second.is_none()
            && let Some(node) = &server.second
        {
            let mut variables = variables.to_vec();
            variables.extend(second_variables(&self.folder, server, node));
            let process = start(server, node.admin(), &variables)?;
            let pid = process.pid();
            *second = Some(process);
            server.second = Some(NodePlan {
                pid,
                ..node.clone()
            });
        }
        self.plan.save(&self.folder)
    }
}

/// What a second node has of its own.
fn second_variables(
    folder: &Folder,
    server: &ServerPlan,
    node: &NodePlan,
) -> [(&'static str, String); 5] {
    let address = |port: u16| SocketAddr::from((ADDRESS, port)).to_string();
    let data = folder.second_data(&server.domain());
    [
        ("ENTENTE_DATA_DIR", data.display().to_string()),
        ("ENTENTE_LISTEN_QUIC", address(node.quic_port)),
        ("ENTENTE_LISTEN_HTTPS", address(node.https_port)),
        ("ENTENTE_LISTEN_ADMIN", address(node.admin_port)),
        ("ENTENTE_NODE_NAME", "second".to_owned()),
    ]
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
