//! What is remembered of a network: its servers, their ports and the people on them.

use std::fs;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use entente_identity::{Domain, Handle};
pub use entente_testnet_machine::ADDRESS;
use entente_testnet_machine::{MAX_SERVERS, PortClaim};
use serde::{Deserialize, Serialize};

use super::folder::Folder;
use crate::compose::ComposePlan;

/// The form of the plan that this program writes and reads.
const FORMAT: u32 = 1;

/// A network as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    format: u32,
    /// First port of the block that belongs to this network.
    pub first_port: u16,
    /// The servers, in order.
    pub servers: Vec<ServerPlan>,
    /// The handles of the people who were registered.
    pub people: Vec<String>,
    /// The process that holds the network up, if any.
    pub supervisor: Option<u32>,
    /// What is to be known of a network in containers; nothing for one of processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compose: Option<ComposePlan>,
}

/// One server as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerPlan {
    /// The organization's domain.
    pub domain: String,
    /// UDP port of clients and peers.
    pub quic_port: u16,
    /// TCP port of the DID documents.
    pub https_port: u16,
    /// TCP port of health and readiness.
    pub admin_port: u16,
    /// The process that was started last, if any.
    pub pid: Option<u32>,
    /// The Postgres database in which it keeps what it holds; a file of its own if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_url: Option<String>,
    /// Its second node; most have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<NodePlan>,
}

/// The second node of a server, which has the same keys and database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodePlan {
    /// UDP port of clients and peers.
    pub quic_port: u16,
    /// TCP port of the DID documents.
    pub https_port: u16,
    /// TCP port of health and readiness.
    pub admin_port: u16,
    /// The process that was started last, if any.
    pub pid: Option<u32>,
}

impl Plan {
    /// Plans a network of `servers` organizations, `org-a.test` and so on.
    ///
    /// # Errors
    /// When the number of servers is zero or too large.
    pub fn new(servers: usize, claim: &PortClaim) -> Result<Self> {
        ensure!(
            (1..=MAX_SERVERS).contains(&servers),
            "a test network has 1 to {MAX_SERVERS} servers"
        );
        let letters = ('a'..='z').take(servers);
        let servers = letters
            .enumerate()
            .map(|(index, letter)| {
                let [quic_port, https_port, admin_port] = claim.of_server(index);
                ServerPlan {
                    domain: format!("org-{letter}.test"),
                    quic_port,
                    https_port,
                    admin_port,
                    pid: None,
                    database_url: None,
                    second: None,
                }
            })
            .collect();
        Ok(Self {
            format: FORMAT,
            first_port: claim.first(),
            servers,
            people: Vec::new(),
            supervisor: None,
            compose: None,
        })
    }

    /// Reads the plan of a folder.
    ///
    /// # Errors
    /// When no network was made there, or by another version of this program.
    pub fn load(folder: &Folder) -> Result<Self> {
        let path = folder.marker();
        if !folder.is_network() {
            bail!(
                "there is no test network in {}; make one with `testnet up`",
                folder.root().display()
            );
        }
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let plan: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} is not a plan of this version", path.display()))?;
        ensure!(
            plan.format == FORMAT,
            "{} has format {}, this program knows {FORMAT}; clear it with `testnet reset`",
            path.display(),
            plan.format
        );
        Ok(plan)
    }

    /// Writes the plan; a reader sees the old one or the new one, never a part.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, folder: &Folder) -> Result<()> {
        let path = folder.marker();
        let fresh = path.with_extension("json.new");
        let text = serde_json::to_string_pretty(self).expect("a plan has only plain fields");
        fs::write(&fresh, text + "\n")
            .with_context(|| format!("cannot write {}", fresh.display()))?;
        fs::rename(&fresh, &path).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Refuses a network in containers, for what is only done with processes.
    ///
    /// # Errors
    /// When it is one, with what to call instead.
    pub fn of_processes(self, folder: &Folder) -> Result<Self> {
        ensure!(
            self.compose.is_none(),
            "the network in {} runs in containers: use `testnet compose up|down|reset|logs`, or another \
             folder with --dir",
            folder.root().display()
        );
        Ok(self)
    }

    /// One server by its domain.
    ///
    /// # Errors
    /// When the network has no such server.
    pub fn server(&self, domain: &str) -> Result<&ServerPlan> {
        self.servers
            .iter()
            .find(|server| server.domain == domain)
            .with_context(|| format!("this network has no server {domain}"))
    }

    /// A person's handle, if that person was registered here.
    ///
    /// # Errors
    /// When it is no handle, or nobody of that name was registered.
    pub fn person(&self, text: &str) -> Result<Handle> {
        if self.people.iter().any(|known| known == text) {
            return Ok(text.parse()?);
        }
        let known = self.people.join(", ");
        bail!("{text} is not registered here; known are: {known}")
    }
}

impl ServerPlan {
    /// The organization's domain, as a checked word.
    #[must_use]
    pub fn domain(&self) -> Domain {
        self.domain
            .parse()
            .expect("plans hold only names made by Plan::new")
    }

    /// The HTTPS and the QUIC port of each of its nodes.
    #[must_use]
    pub fn doors(&self) -> Vec<(u16, u16)> {
        let second = self.second.iter();
        let second = second.map(|node| (node.https_port, node.quic_port));
        let first = (self.https_port, self.quic_port);
        std::iter::once(first).chain(second).collect()
    }

    /// Where health and readiness are asked.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        SocketAddr::from((ADDRESS, self.admin_port))
    }
}

impl NodePlan {
    /// A node with these ports: QUIC, HTTPS, admin.
    #[must_use]
    pub fn new([quic_port, https_port, admin_port]: [u16; 3]) -> Self {
        Self {
            quic_port,
            https_port,
            admin_port,
            pid: None,
        }
    }

    /// Where health and readiness are asked.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        SocketAddr::from((ADDRESS, self.admin_port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_back() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::at(&temp.path().join("net")).unwrap();
        folder.create().unwrap();
        let claim = PortClaim::any().unwrap();
        let mut plan = Plan::new(3, &claim).unwrap();
        plan.people.push("alice@org-a.test".to_owned());
        plan.servers[1].second = Some(NodePlan::new(claim.of_server(3)));
        plan.save(&folder).unwrap();
        let again = Plan::load(&folder).unwrap();
        assert_eq!(again, plan);
        assert_eq!(again.server("org-c.test").unwrap(), &plan.servers[2]);
        assert!(again.person("alice@org-a.test").is_ok());
        assert!(again.person("mallory@org-a.test").is_err());
        assert!(Plan::new(0, &claim).is_err());
    }
}
