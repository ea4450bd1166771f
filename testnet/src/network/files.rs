//! The host table and the servers' configuration files.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use super::folder::Folder;
use super::plan::{ADDRESS, Plan, ServerPlan};

/// A homeserver's configuration, as far as a test network sets it.
#[derive(Serialize)]
pub(crate) struct ServerConfig {
    pub(crate) domain: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) listen: Listen,
    pub(crate) public: Public,
    pub(crate) tls: Tls,
    pub(crate) store: Store,
    pub(crate) registration: Registration,
    pub(crate) federation: Federation,
    pub(crate) testnet: Testnet,
    pub(crate) log: Log,
}

#[derive(Serialize)]
pub(crate) struct Listen {
    pub(crate) quic: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) admin: SocketAddr,
}

#[derive(Serialize)]
pub(crate) struct Public {
    pub(crate) host: String,
    pub(crate) quic_port: u16,
}

#[derive(Serialize)]
pub(crate) struct Tls {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Store {
    Sqlite {
        path: PathBuf,
    },
    Postgres {
        url: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        password_file: Option<PathBuf>,
    },
}

#[derive(Serialize)]
pub(crate) struct Registration {
    pub(crate) mode: &'static str,
}

#[derive(Serialize)]
pub(crate) struct Federation {
    pub(crate) policy: &'static str,
}

#[derive(Serialize)]
pub(crate) struct Testnet {
    pub(crate) host_table: PathBuf,
    pub(crate) extra_ca: PathBuf,
}

#[derive(Serialize)]
pub(crate) struct Log {
    pub(crate) format: &'static str,
    pub(crate) filter: String,
}

impl Registration {
    pub(crate) fn open() -> Self {
        Self { mode: "open" }
    }
}

impl Federation {
    pub(crate) fn open() -> Self {
        Self { policy: "open" }
    }
}

impl Log {
    pub(crate) fn text(filter: &str) -> Self {
        Self {
            format: "text",
            filter: filter.to_owned(),
        }
    }
}

/// Writes the host table of the people: where this machine reaches each server.
///
/// # Errors
/// When it cannot be written.
pub fn write_host_table(folder: &Folder, plan: &Plan) -> Result<()> {
    write_table(&folder.host_table(), plan, ServerPlan::doors)
}

/// Writes the host table of one server. `doors_of` says at which HTTPS and QUIC ports it reaches the nodes of
/// another.
///
/// # Errors
/// When it cannot be written.
pub fn write_server_hosts(
    folder: &Folder,
    plan: &Plan,
    server: &ServerPlan,
    doors_of: impl Fn(&ServerPlan) -> Vec<(u16, u16)>,
) -> Result<()> {
    write_table(&folder.server_hosts(&server.domain()), plan, doors_of)
}

/// A line of a host table.
#[must_use]
pub fn host_line(name: &str, address: &str, https_port: u16, quic_port: u16) -> String {
    format!("{name} {address} {https_port} {quic_port}\n")
}

fn write_table(
    path: &Path,
    plan: &Plan,
    doors_of: impl Fn(&ServerPlan) -> Vec<(u16, u16)>,
) -> Result<()> {
    let table = host_table(plan, doors_of);
    fs::write(path, table).with_context(|| format!("cannot write {}", path.display()))
}

/// A host table. `doors_of` says at which HTTPS and QUIC ports the nodes of a server are reached, in the order
/// to try.
#[must_use]
pub fn host_table(plan: &Plan, doors_of: impl Fn(&ServerPlan) -> Vec<(u16, u16)>) -> String {
    let mut table = String::from("# name ip https_port quic_port\n");
    for server in &plan.servers {
        for (https, quic) in doors_of(server) {
            let address = ADDRESS.to_string();
            table.push_str(&host_line(&server.domain, &address, https, quic));
        }
    }
    table
}

/// Writes one server's configuration. `log_filter` is a filter as in `RUST_LOG`.
///
/// # Errors
/// When it cannot be written.
pub fn write_server_config(folder: &Folder, server: &ServerPlan, log_filter: &str) -> Result<()> {
    let config = server_config(folder, server, log_filter);
    let text = toml::to_string(&config).context("the configuration does not fit TOML")?;
    let path = folder.server_config(&server.domain());
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn server_config(folder: &Folder, server: &ServerPlan, log_filter: &str) -> ServerConfig {
    let domain = server.domain();
    let (certificate, key) = folder.server_tls(&domain);
    ServerConfig {
        domain: server.domain.clone(),
        data_dir: folder.server_data(&domain),
        listen: Listen {
            quic: SocketAddr::from((ADDRESS, server.quic_port)),
            https: SocketAddr::from((ADDRESS, server.https_port)),
            admin: server.admin(),
        },
        public: Public {
            host: server.domain.clone(),
            quic_port: server.quic_port,
        },
        tls: Tls { certificate, key },
        store: match &server.database_url {
            None => Store::Sqlite {
                path: folder.server_database(&domain),
            },
            Some(url) => Store::Postgres {
                url: url.clone(),
                password_file: None,
            },
        },
        registration: Registration::open(),
        federation: Federation::open(),
        testnet: Testnet {
            host_table: folder.server_hosts(&domain),
            extra_ca: folder.authority(),
        },
        log: Log::text(log_filter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use entente_testnet_machine::PortClaim;

    #[test]
    fn the_files_name_the_planned_ports() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::at(&temp.path().join("net")).unwrap();
        folder.create().unwrap();
        let plan = Plan::new(2, &PortClaim::any().unwrap()).unwrap();
        write_host_table(&folder, &plan).unwrap();
        let table = fs::read_to_string(folder.host_table()).unwrap();
        let server = &plan.servers[1];
        let (https, quic) = (server.https_port, server.quic_port);
        let wanted = format!("org-b.test 127.0.0.1 {https} {quic}\n");
        assert!(table.ends_with(&wanted), "{table}");
        let config = toml::to_string(&server_config(&folder, server, "info")).unwrap();
        assert!(config.starts_with("domain = \"org-b.test\""), "{config}");
        assert!(config.contains(&format!("admin = \"127.0.0.1:{}\"", server.admin_port)));
    }
}
