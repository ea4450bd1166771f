//! What is remembered of a network in containers, and the variables that the compose file takes from it.

use std::env;
use std::fmt::Write;

use anyhow::{Result, bail};
use clap::ValueEnum;
use rand::RngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};

use super::owner::Owner;
use crate::images::{POSTGRES_IMAGE, PROMETHEUS_IMAGE, homeserver_image, is_there};
use crate::network::{Folder, Plan, ServerPlan};

/// The image of Postgres, in place of the official one.
const POSTGRES_VARIABLE: &str = "ENTENTE_POSTGRES_IMAGE";
/// The image of Prometheus, in place of the official one.
const PROMETHEUS_VARIABLE: &str = "ENTENTE_PROMETHEUS_IMAGE";
/// The last number of the first server's address; what is below is Docker's own.
const FIRST_ADDRESS: u32 = 11;
/// How much higher the address of a second node is.
const SECOND_ADDRESS: u32 = 10;
/// The official image of Postgres.
const OFFICIAL_POSTGRES: &str = "postgres:15-alpine";
/// The official image of Prometheus.
const OFFICIAL_PROMETHEUS: &str = "prom/prometheus:v2.53.0";

/// In what a network's servers keep what they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum StoreChoice {
    /// A file of each server's.
    Sqlite,
    /// A database server of each organization's.
    Postgres,
}

/// A network in containers as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComposePlan {
    /// The name under which Compose knows it; nobody else has the same.
    pub project: String,
    /// The first three numbers of the addresses that servers have for each other.
    pub prefix: String,
    /// In what servers keep what they hold.
    pub store: StoreChoice,
    /// The image of the homeservers.
    pub homeserver_image: String,
    /// The image of the databases.
    pub postgres_image: String,
    /// The image of Prometheus.
    pub prometheus_image: String,
    /// The port of Prometheus on this machine, if it is started.
    pub prometheus_port: u16,
    /// Whether the servers have their keys.
    pub has_keys: bool,
}

impl StoreChoice {
    /// As the command line names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

impl ComposePlan {
    /// Plans a network with the images that are there or were named.
    ///
    /// # Errors
    /// When the homeserver's image is missing.
    pub async fn new(prefix: String, store: StoreChoice, prometheus_port: u16) -> Result<Self> {
        let named = |variable| env::var(variable).ok().filter(|name| !name.is_empty());
        let homeserver_image = homeserver_image();
        if !is_there(&homeserver_image).await {
            bail!("the image {homeserver_image} is not there; make it with `testnet images`");
        }
        let postgres_image = match named(POSTGRES_VARIABLE) {
            Some(name) => name,
            None => official_or(OFFICIAL_POSTGRES, POSTGRES_IMAGE).await,
        };
        let prometheus_image = match named(PROMETHEUS_VARIABLE) {
            Some(name) => name,
            None => official_or(OFFICIAL_PROMETHEUS, PROMETHEUS_IMAGE).await,
        };
        Ok(Self {
            project: format!("entente-{:08x}", OsRng.next_u32()),
            prefix,
            store,
            homeserver_image,
            postgres_image,
            prometheus_image,
            prometheus_port,
            has_keys: false,
        })
    }

    /// The address of a server among servers.
    ///
    /// # Panics
    /// Never for servers that [`Plan::new`] made.
    #[must_use]
    pub fn address(&self, server: &ServerPlan) -> String {
        format!("{}.{}", self.prefix, FIRST_ADDRESS + place(server))
    }

    /// The address of a server's second node among servers.
    ///
    /// # Panics
    /// Never for servers that [`Plan::new`] made.
    #[must_use]
    pub fn second_address(&self, server: &ServerPlan) -> String {
        let host = FIRST_ADDRESS + SECOND_ADDRESS + place(server);
        format!("{}.{host}", self.prefix)
    }

    /// The address of a server in the network of its organization: 64 further for each.
    ///
    /// # Panics
    /// Never for servers that [`Plan::new`] made.
    #[must_use]
    pub fn private_address(&self, server: &ServerPlan) -> String {
        let network = 64 * (1 + place(server));
        format!("{}.{}", self.prefix, network + FIRST_ADDRESS)
    }

    /// The variables of the compose file, as a file for `--env-file`.
    #[must_use]
    pub fn variables(&self, folder: &Folder, plan: &Plan) -> String {
        let owner = Owner::of_servers();
        let mut text = String::from("# Variables of docker-compose.yml, written by testnet.\n");
        let mut set = |name: &str, value: &dyn std::fmt::Display| {
            writeln!(text, "ENTENTE_{name}={value}").expect("a String takes everything");
        };
        set("TESTNET_DIR", &folder.root().display());
        set("PREFIX", &self.prefix);
        set("HOMESERVER_IMAGE", &self.homeserver_image);
        set("POSTGRES_IMAGE", &self.postgres_image);
        set("PROMETHEUS_IMAGE", &self.prometheus_image);
        set("PROMETHEUS_PORT", &self.prometheus_port);
        set("UID", &owner.uid);
        set("GID", &owner.gid);
        for server in &plan.servers {
            let letter = letter(server).to_ascii_uppercase();
            set(&format!("ORG_{letter}_QUIC_PORT"), &server.quic_port);
            set(&format!("ORG_{letter}_HTTPS_PORT"), &server.https_port);
            if let Some(second) = &server.second {
                set(&format!("ORG_{letter}2_QUIC_PORT"), &second.quic_port);
                set(&format!("ORG_{letter}2_HTTPS_PORT"), &second.https_port);
            }
        }
        text
    }
}

/// Which organization it is, counted from 0.
fn place(server: &ServerPlan) -> u32 {
    u32::from(letter(server)) - u32::from('a')
}

/// The letter by which the compose file knows an organization: `a` of `org-a.test`.
///
/// # Panics
/// Never for servers that [`Plan::new`] made.
#[must_use]
pub fn letter(server: &ServerPlan) -> char {
    let name = server.domain.strip_prefix("org-");
    let letter = name.and_then(|rest| rest.chars().next());
    letter.expect("organizations are called org-a.test and so on")
}

/// The official image if it was pulled, else the stand-in if it was made, else the official one, which
/// Compose then pulls.
async fn official_or(official: &str, stand_in: &str) -> String {
    let take_stand_in = !is_there(official).await && is_there(stand_in).await;
    if take_stand_in { stand_in } else { official }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::NodePlan;
    use entente_testnet_machine::PortClaim;

    #[test]
    fn the_variables_name_what_the_compose_file_asks_for() {
        let compose = ComposePlan {
            project: "entente-test".to_owned(),
            prefix: "10.213.5".to_owned(),
            store: StoreChoice::Postgres,
            homeserver_image: homeserver_image(),
            postgres_image: POSTGRES_IMAGE.to_owned(),
            prometheus_image: PROMETHEUS_IMAGE.to_owned(),
            prometheus_port: 29_090,
            has_keys: false,
        };
        let claim = PortClaim::any().unwrap();
        let mut plan = Plan::new(3, &claim).unwrap();
        plan.servers[0].second = Some(NodePlan::new(claim.of_server(4)));
        let folder = Folder::at(std::path::Path::new("net")).unwrap();
        let variables = compose.variables(&folder, &plan);
        let file = include_str!("../../../docker-compose.yml");
        let mut asked: Vec<&str> = file
            .split("${ENTENTE_")
            .skip(1)
            .filter_map(|rest| rest.split([':', '}']).next())
            .collect();
        asked.sort_unstable();
        asked.dedup();
        assert!(asked.len() > 8, "{asked:?}");
        for name in asked {
            assert!(variables.contains(&format!("\nENTENTE_{name}=")), "{name}");
        }
        for server in &plan.servers {
            for address in [compose.address(server), compose.private_address(server)] {
                let inside = address.replace("10.213.5", "${ENTENTE_PREFIX:-10.213.77}");
                assert!(file.contains(&format!("\"{inside}\"")), "{inside}");
            }
        }
        let second = compose.second_address(&plan.servers[0]);
        let inside = second.replace("10.213.5", "${ENTENTE_PREFIX:-10.213.77}");
        assert!(file.contains(&format!("\"{inside}\"")), "{inside}");
    }
}
