//! What a container finds mounted: a server's configuration, host table, certificates and password; a
//! database's password.
//!
//! ```text
//! servers/<domain>/etc/        the homeserver's: homeserver.toml, hosts, authority.pem, fullchain.pem,
//!                              key.pem, database-password
//! servers/<domain>/database/   the database's: password
//! ```

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use data_encoding::BASE32_NOPAD;
use rand::RngCore;
use rand::rngs::OsRng;

use super::owner::Owner;
use super::plan::{ComposePlan, StoreChoice, letter};
use crate::network::authority::Authority;
use crate::network::files::{
    Federation, Listen, Log, Public, Registration, ServerConfig, Store, Testnet, Tls, host_line,
    write_host_table,
};
use crate::network::folder::{private_file, private_folder};
use crate::network::{Folder, Plan, ServerPlan};

/// The UDP port of clients and peers, inside of a container.
const QUIC_PORT: u16 = 8448;
/// The TCP port of the DID documents, inside of a container.
const HTTPS_PORT: u16 = 8443;
/// The TCP port of health and metrics, inside of a container.
pub const ADMIN_PORT: u16 = 9448;
/// Where a homeserver's files are mounted.
const ETC: &str = "/etc/entente";
/// Where a homeserver's keys and file database lie.
pub const DATA: &str = "/var/lib/entente";
/// How long a password is: 160 bits.
const PASSWORD_BYTES: usize = 20;

/// Writes everything that is mounted, and the host table of the people outside.
///
/// # Errors
/// When a file cannot be written or not be given to its reader.
pub fn write_all(folder: &Folder, plan: &Plan, compose: &ComposePlan) -> Result<()> {
    write_host_table(folder, plan)?;
    fs::write(variables_file(folder), compose.variables(folder, plan))
        .context("cannot write the compose file's variables")?;
    let authority = Authority::create(folder)?;
    let hosts = host_table(plan, compose);
    for server in &plan.servers {
        authority.certify(folder, &server.domain())?;
        write_server(folder, server, compose, &hosts)?;
    }
    Ok(())
}

/// The file that Compose reads variables from.
#[must_use]
pub fn variables_file(folder: &Folder) -> PathBuf {
    folder.root().join("compose.env")
}

fn write_server(
    folder: &Folder,
    server: &ServerPlan,
    compose: &ComposePlan,
    hosts: &str,
) -> Result<()> {
    let domain = server.domain();
    let mine = Mount::new(folder.server(&domain).join("etc"), Owner::of_servers())?;
    let config = config(server, compose);
    let config = toml::to_string(&config).context("the configuration does not fit TOML")?;
    let (chain, key) = folder.server_tls(&domain);
    let password = password();
    mine.put("homeserver.toml", config.as_bytes())?;
    mine.put("hosts", hosts.as_bytes())?;
    mine.put("authority.pem", &read(&folder.authority())?)?;
    mine.put("fullchain.pem", &read(&chain)?)?;
    mine.put("key.pem", &read(&key)?)?;
    mine.put("database-password", password.as_bytes())?;
    let databases = Mount::new(
        folder.server(&domain).join("database"),
        Owner::of_databases(),
    )?;
    databases.put("password", password.as_bytes())
}

fn config(server: &ServerPlan, compose: &ComposePlan) -> ServerConfig {
    let any = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let etc = |name: &str| Path::new(ETC).join(name);
    let store = match compose.store {
        StoreChoice::Sqlite => Store::Sqlite {
            path: PathBuf::from("homeserver.sqlite"),
        },
        StoreChoice::Postgres => Store::Postgres {
            // The organization's own network carries it, which nobody else is on.
            url: format!(
                "postgres://entente@database-{}:5432/entente?sslmode=disable",
                letter(server)
            ),
            password_file: Some(etc("database-password")),
        },
    };
    ServerConfig {
        domain: server.domain.clone(),
        data_dir: PathBuf::from(DATA),
        listen: Listen {
            quic: any(QUIC_PORT),
            https: any(HTTPS_PORT),
            admin: SocketAddr::from((address(&compose.private_address(server)), ADMIN_PORT)),
        },
        public: Public {
            host: server.domain.clone(),
            quic_port: QUIC_PORT,
        },
        tls: Tls {
            certificate: etc("fullchain.pem"),
            key: etc("key.pem"),
        },
        store,
        registration: Registration::open(),
        federation: Federation::open(),
        testnet: Testnet {
            host_table: etc("hosts"),
            extra_ca: etc("authority.pem"),
        },
        log: Log::text("info"),
    }
}

/// The host table of servers: where they find each other in the network that they share.
fn host_table(plan: &Plan, compose: &ComposePlan) -> String {
    let mut table = String::new();
    for server in &plan.servers {
        let second = server
            .second
            .as_ref()
            .map(|_| compose.second_address(server));
        for address in std::iter::once(compose.address(server)).chain(second) {
            table += &host_line(&server.domain, &address, HTTPS_PORT, QUIC_PORT);
        }
    }
    table
}

fn address(text: &str) -> Ipv4Addr {
    text.parse().expect("plans make addresses of numbers")
}

fn password() -> String {
    let mut bytes = [0; PASSWORD_BYTES];
    OsRng.fill_bytes(&mut bytes);
    BASE32_NOPAD.encode(&bytes).to_lowercase()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A folder that one container mounts.
struct Mount {
    folder: PathBuf,
    owner: Owner,
}

impl Mount {
    fn new(folder: PathBuf, owner: Owner) -> Result<Self> {
        private_folder(&folder)?;
        owner.give(&folder)?;
        Ok(Self { folder, owner })
    }

    fn put(&self, name: &str, contents: &[u8]) -> Result<()> {
        let path = self.folder.join(name);
        private_file(&path, contents)?;
        self.owner.give(&path)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::network::NodePlan;
    use entente_testnet_machine::PortClaim;

    fn compose(store: StoreChoice) -> ComposePlan {
        ComposePlan {
            project: "entente-test".to_owned(),
            prefix: "10.213.5".to_owned(),
            store,
            homeserver_image: "h".to_owned(),
            postgres_image: "p".to_owned(),
            prometheus_image: "m".to_owned(),
            prometheus_port: 29_090,
            has_keys: false,
        }
    }

    #[test]
    fn containers_and_people_find_every_server_and_secrets_stay_secret() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::at(&temp.path().join("net")).unwrap();
        folder.create().unwrap();
        let claim = PortClaim::any().unwrap();
        let mut plan = Plan::new(3, &claim).unwrap();
        plan.servers[0].second = Some(NodePlan::new(claim.of_server(4)));
        write_all(&folder, &plan, &compose(StoreChoice::Postgres)).unwrap();
        let outside = fs::read_to_string(folder.host_table()).unwrap();
        assert!(outside.contains("org-b.test 127.0.0.1 "), "{outside}");
        let server = folder.server(&plan.servers[1].domain());
        let inside = fs::read_to_string(server.join("etc/hosts")).unwrap();
        assert!(
            inside.contains("org-c.test 10.213.5.13 8443 8448\n"),
            "{inside}"
        );
        for address in ["10.213.5.11", "10.213.5.21"] {
            let line = format!("org-a.test {address} 8443 8448\n");
            assert!(inside.contains(&line), "{inside}");
        }
        let config = fs::read_to_string(server.join("etc/homeserver.toml")).unwrap();
        let url = "url = \"postgres://entente@database-b:5432/entente?sslmode=disable\"";
        assert!(config.contains(url), "{config}");
        let password = fs::read_to_string(server.join("database/password")).unwrap();
        assert_eq!(password.len(), 32);
        assert!(!config.contains(&password));
        let variables = fs::read_to_string(variables_file(&folder)).unwrap();
        assert!(!variables.contains(&password));
        for secret in ["etc/key.pem", "etc/database-password"] {
            let mode = fs::metadata(server.join(secret))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{secret}");
        }
    }

    #[test]
    fn with_sqlite_no_database_is_named() {
        let plan = Plan::new(3, &PortClaim::any().unwrap()).unwrap();
        let config = config(&plan.servers[0], &compose(StoreChoice::Sqlite));
        let text = toml::to_string(&config).unwrap();
        assert!(
            !text.contains("postgres") && text.contains("kind = \"sqlite\""),
            "{text}"
        );
    }
}
