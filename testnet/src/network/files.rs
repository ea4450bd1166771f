//! The host table and the servers' configuration files.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Serialize;

use super::folder::Folder;
use super::plan::{ADDRESS, Plan, ServerPlan};

/// A homeserver's configuration, as far as a test network sets it.
#[derive(Serialize)]
struct ServerConfig {
    domain: String,
    data_dir: PathBuf,
    listen: Listen,
    public: Public,
    tls: Tls,
    store: Store,
    registration: Registration,
    federation: Federation,
    testnet: Testnet,
    log: Log,
}

#[derive(Serialize)]
struct Listen {
    quic: SocketAddr,
    https: SocketAddr,
    admin: SocketAddr,
}

#[derive(Serialize)]
struct Public {
    host: String,
    quic_port: u16,
}

#[derive(Serialize)]
struct Tls {
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Serialize)]
struct Store {
    kind: &'static str,
    path: PathBuf,
}

#[derive(Serialize)]
struct Registration {
    mode: &'static str,
}

#[derive(Serialize)]
struct Federation {
    policy: &'static str,
}

#[derive(Serialize)]
struct Testnet {
    host_table: PathBuf,
    extra_ca: PathBuf,
}

#[derive(Serialize)]
struct Log {
    format: &'static str,
    filter: String,
}

/// Writes the host table: one line `name ip https_port quic_port` per server.
///
/// # Errors
/// When it cannot be written.
pub fn write_host_table(folder: &Folder, plan: &Plan) -> Result<()> {
    let mut table = String::from("# name ip https_port quic_port\n");
    for server in &plan.servers {
        let (https, quic) = (server.https_port, server.quic_port);
        table.push_str(&format!("{} {ADDRESS} {https} {quic}\n", server.domain));
    }
    let path = folder.host_table();
    fs::write(&path, table).with_context(|| format!("cannot write {}", path.display()))
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
        store: Store {
            kind: "sqlite",
            path: folder.server_database(&domain),
        },
        registration: Registration { mode: "open" },
        federation: Federation { policy: "open" },
        testnet: Testnet {
            host_table: folder.host_table(),
            extra_ca: folder.authority(),
        },
        log: Log {
            format: "text",
            filter: log_filter.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::ports::PortClaim;

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
