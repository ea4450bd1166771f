//! The whole network: made, started, stopped, forgotten.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use tokio::process::Command;

use super::addresses::free_prefix;
use super::containers::Containers;
use super::files::{DATA, variables_file, write_all};
use super::owner::Owner;
use super::plan::{ComposePlan, StoreChoice, letter};
use crate::docker::{Docker, docker, done, text};
use crate::network::binaries::source_root;
use crate::network::{Folder, NodePlan, Plan, ServerPlan};
use entente_testnet_machine::PortClaim;

/// The compose file knows three organizations.
pub const ORGANIZATIONS: usize = 3;
/// The organization that has two nodes, where it has.
pub const OF_TWO_NODES: &str = "org-a.test";
/// The network that the servers share.
const FEDERATION: &str = "federation";
/// What of the compose file is started only when asked for; whatever stops it has to name it again.
const PROFILES: &[&str] = &[PROMETHEUS];
/// Profile and service of Prometheus.
const PROMETHEUS: &str = "prometheus";

/// A network in containers. Unlike one of processes it goes on when this program ends.
#[derive(Debug)]
pub struct ComposeNetwork {
    docker: Docker,
    folder: Folder,
    plan: Plan,
    compose_file: PathBuf,
}

/// How many nodes the first organization has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nodes {
    /// One, as the others.
    One,
    /// Two on its database.
    Two,
}

/// What is started beside the organizations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metrics {
    /// Nothing.
    Without,
    /// Prometheus.
    With,
}

/// Environment of one service that differs from the compose file, as Compose reads it.
#[derive(Serialize)]
struct Override<'s> {
    services: std::collections::BTreeMap<&'s str, Environment<'s>>,
}

#[derive(Serialize)]
struct Environment<'s> {
    environment: std::collections::BTreeMap<&'s str, &'s str>,
}

impl ComposeNetwork {
    /// Makes a new network; nothing runs yet.
    ///
    /// # Errors
    /// When the folder is in use, an image is missing, or something cannot be written.
    pub async fn create(
        docker: Docker,
        folder: Folder,
        store: StoreChoice,
        nodes: Nodes,
    ) -> Result<Self> {
        let claim = PortClaim::any()?;
        let [prometheus_port, ..] = claim.of_server(ORGANIZATIONS);
        let compose = ComposePlan::new(free_prefix().await?, store, prometheus_port).await?;
        let compose_file = compose_file()?;
        let mut plan = Plan::new(ORGANIZATIONS, &claim)?;
        if nodes == Nodes::Two {
            ensure!(
                store == StoreChoice::Postgres,
                "with SQLite a server is one process"
            );
            let ports = claim.of_server(ORGANIZATIONS + 1);
            plan.servers[0].second = Some(NodePlan::new(ports));
        }
        folder.create()?;
        write_all(&folder, &plan, &compose)?;
        plan.compose = Some(compose);
        plan.save(&folder)?;
        Ok(Self {
            docker,
            folder,
            plan,
            compose_file,
        })
    }

    /// Takes up the network that was made in a folder.
    ///
    /// # Errors
    /// When there is none, or one of processes.
    pub fn open(docker: Docker, folder: Folder) -> Result<Self> {
        let plan = Plan::load(&folder)?;
        ensure!(
            plan.compose.is_some(),
            "the network in {} is one of processes, made by `testnet up`; choose another folder with \
             --dir, or remove it with `testnet reset`",
            folder.root().display()
        );
        Ok(Self {
            docker,
            folder,
            plan,
            compose_file: compose_file()?,
        })
    }

    /// Where everything lies that is not in a volume.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The servers and the people.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What is special to a network in containers.
    ///
    /// # Panics
    /// Never: such a network has a plan of it.
    #[must_use]
    pub fn compose_plan(&self) -> &ComposePlan {
        let compose = self.plan.compose.as_ref();
        compose.expect("only such networks are opened here")
    }

    /// Its containers.
    #[must_use]
    pub fn containers(&self) -> Containers {
        Containers::of(&self.compose_plan().project)
    }

    /// Remembers that people were registered.
    ///
    /// # Errors
    /// When the plan cannot be written.
    pub fn remember_person(&mut self, handle: &entente_identity::Handle) -> Result<()> {
        self.plan.people.push(handle.to_string());
        self.plan.save(&self.folder)
    }

    /// Starts everything and waits until it is healthy. Returns how long that took.
    ///
    /// # Errors
    /// When an image cannot be had, or a container does not get healthy.
    pub async fn up(&mut self, metrics: Metrics) -> Result<Duration> {
        let began = Instant::now();
        if !self.compose_plan().has_keys {
            self.make_keys().await?;
        }
        let mut command = self.command();
        if metrics == Metrics::With {
            command.args(["--profile", PROMETHEUS]);
        }
        command.args(["up", "--detach"]);
        let mut services = self.services();
        if metrics == Metrics::With {
            services.push(PROMETHEUS.to_owned());
        }
        if self.compose_plan().store == StoreChoice::Sqlite {
            // Without the databases that nobody would use.
            command.arg("--no-deps");
        }
        command.args(&services);
        done(&mut command).await.map_err(|error| {
            error.context(
                "the containers do not start; where images cannot be pulled, `testnet images` makes \
                 stand-ins",
            )
        })?;
        self.containers().wait_ready(&services).await?;
        Ok(began.elapsed())
    }

    /// Stops and removes the containers; volumes and folder stay.
    ///
    /// # Errors
    /// When Docker refuses.
    pub async fn down(&self) -> Result<()> {
        let mut command = self.command();
        for profile in PROFILES {
            command.args(["--profile", profile]);
        }
        done(command.args(["down", "--remove-orphans"])).await
    }

    /// Removes the network with everything in it: containers, volumes, folder.
    ///
    /// # Errors
    /// When Docker refuses or the folder cannot be removed.
    pub async fn reset(&self) -> Result<()> {
        done(&mut self.removal()).await?;
        self.folder.clear()
    }

    /// The same for a network that nobody waits for any more. What cannot be removed stays, with its folder,
    /// for `testnet compose reset`.
    pub fn abandon(&self) {
        let mut removal = self.removal();
        let removal = removal.as_std_mut();
        removal
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if removal.status().is_ok_and(|status| status.success()) {
            // The folder is a temporary one or a named one: both may be gone or not by now.
            let _gone: Result<()> = self.folder.clear();
        }
    }

    fn removal(&self) -> Command {
        let mut command = self.command();
        for profile in PROFILES {
            command.args(["--profile", profile]);
        }
        command.args(["down", "--volumes", "--remove-orphans"]);
        command
    }

    /// What a service printed, or all of them; the output goes where `stdout` says.
    ///
    /// # Errors
    /// When the service is not known.
    pub async fn logs(&self, follow: bool, service: Option<&str>) -> Result<Command> {
        let mut known = self.command();
        for profile in PROFILES {
            known.args(["--profile", profile]);
        }
        let known = text(known.args(["config", "--services"])).await?;
        let mut command = self.command();
        for profile in PROFILES {
            command.args(["--profile", profile]);
        }
        command.args(["logs", "--no-color"]);
        if follow {
            command.arg("--follow");
        }
        if let Some(service) = service {
            let mut services: Vec<&str> = known.split_whitespace().collect();
            services.sort_unstable();
            ensure!(
                services.contains(&service),
                "there is no service {service}; there are: {}",
                services.join(", ")
            );
            command.arg(service);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        Ok(command)
    }

    /// Takes one organization's server off the network that the servers share.
    ///
    /// # Errors
    /// When Docker refuses.
    pub async fn cut_off(&self, server: usize) -> Result<()> {
        for service in services(&self.plan.servers[server]) {
            self.containers().disconnect(&service, FEDERATION).await?;
        }
        Ok(())
    }

    /// Puts one organization's server back on the network that the servers share.
    ///
    /// # Errors
    /// When Docker refuses.
    pub async fn reconnect(&self, server: usize) -> Result<()> {
        let server = &self.plan.servers[server];
        let compose = self.compose_plan();
        let addresses = [compose.address(server), compose.second_address(server)];
        let containers = self.containers();
        for (service, address) in services(server).iter().zip(addresses) {
            containers.connect(service, FEDERATION, &address).await?;
        }
        Ok(())
    }

    /// Starts a service anew, with other variables beside those of the compose file.
    ///
    /// # Errors
    /// When Docker refuses, or it does not get healthy.
    pub async fn recreate(&self, service: &str, variables: &[(&str, &str)]) -> Result<()> {
        let environment = variables.iter().copied().collect();
        let services = [(service, Environment { environment })].into();
        // JSON is YAML.
        let text = serde_json::to_string(&Override { services }).expect("plain text in plain maps");
        let path = self.folder.root().join("compose.override.yml");
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        let mut command = self.command_with(&[&self.compose_file, &path]);
        done(command.args(["up", "--detach", "--no-deps", service])).await?;
        self.containers().wait_ready(&[service.to_owned()]).await
    }

    /// Lets every server make its keys, in its own volume.
    async fn make_keys(&mut self) -> Result<()> {
        let mut command = self.command();
        command.args(["up", "--no-start"]);
        if self.compose_plan().store == StoreChoice::Sqlite {
            command.arg("--no-deps");
        }
        command.args(self.services());
        done(&mut command).await.context(
            "the containers cannot be made; where images cannot be pulled, `testnet images` \
                      makes stand-ins",
        )?;
        let servers = self.plan.servers.iter();
        let made = servers.map(|server| init(self.compose_plan(), server));
        futures::future::try_join_all(made).await?;
        if let Some(compose) = &mut self.plan.compose {
            compose.has_keys = true;
        }
        self.plan.save(&self.folder)
    }

    /// The services without which the network is not whole.
    fn services(&self) -> Vec<String> {
        let servers = self.plan.servers.iter();
        servers.flat_map(services).collect()
    }

    /// The Compose tool for this project, its command still to come.
    fn command(&self) -> Command {
        self.command_with(&[&self.compose_file])
    }

    fn command_with(&self, files: &[&Path]) -> Command {
        let mut command = self.docker.compose();
        for file in files {
            command.arg("--file").arg(file);
        }
        command
            .args(["--project-name", &self.compose_plan().project])
            .arg("--env-file")
            .arg(variables_file(&self.folder))
            .current_dir(self.folder.root());
        command
    }
}

/// The service of an organization's first homeserver.
#[must_use]
pub fn service(server: &ServerPlan) -> String {
    format!("homeserver-{}", letter(server))
}

/// The services of all of an organization's homeservers.
#[must_use]
pub fn services(server: &ServerPlan) -> Vec<String> {
    let first = service(server);
    let second = server.second.as_ref().map(|_| format!("{first}2"));
    std::iter::once(first).chain(second).collect()
}

/// The service of an organization's database.
#[must_use]
pub fn database_service(server: &ServerPlan) -> String {
    format!("database-{}", letter(server))
}

/// The homeserver's own `init`, as the user that it runs as, with its volume and nothing else.
async fn init(compose: &ComposePlan, server: &ServerPlan) -> Result<()> {
    let owner = Owner::of_servers();
    let volume = format!("{}_{}", compose.project, service(server));
    let mut command = docker();
    command
        .args(["run", "--rm", "--read-only", "--network", "none"])
        .args(["--cap-drop", "ALL", "--security-opt", "no-new-privileges"])
        .args(["--user", &format!("{}:{}", owner.uid, owner.gid)])
        .args(["--volume", &format!("{volume}:{DATA}")])
        .arg(&compose.homeserver_image)
        .args(["init", "--domain", &server.domain, "--data-dir", DATA]);
    let made = done(&mut command).await;
    made.with_context(|| {
        let domain = &server.domain;
        format!("{domain} cannot make its keys; begin anew with `testnet compose reset`")
    })
}

fn compose_file() -> Result<PathBuf> {
    let file = source_root()?.join("docker-compose.yml");
    ensure!(file.is_file(), "{} is not there", file.display());
    Ok(file)
}
