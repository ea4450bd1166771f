//! The server's configuration: one documented struct, parsed once.
//!
//! Invariants: after [`Config::load`] every value is of its type and the settings fit each other;
//! nothing is checked again. Unknown keys and misspelled variables are refused, each with its place.
//! What a setting *means* stands in its documentation here and nowhere else: the example is made
//! from it.

mod declare;
mod example;
mod fault;
mod limits;
#[cfg(test)]
mod limits_document;
mod rate;
mod source;
mod value;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use entente_homeserver_store_postgres::Settings as DatabaseSettings;
use entente_identity::{Domain, ServerDid};

use declare::{SectionShape, settings};
use source::Source;
use value::choice;

pub use example::{Overrides, render, toml_string};
pub use fault::{ConfigFault, ConfigFaults, Origin};
pub use limits::Limits;
pub use rate::{Bounded, Rate, Throughput};

/// For how many days logs may be kept, if not for ever: from the time for which message ids are unique on.
const KEEP_DAYS: RangeInclusive<u16> = 31..=36_500;

/// Everything that can be configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// The top level.
    pub server: Server,
    /// Where the server listens.
    pub listen: Listen,
    /// Where others find the server.
    pub public: Public,
    /// The certificate of the HTTPS edge.
    pub tls: Tls,
    /// The database.
    pub store: Store,
    /// This node among others.
    pub node: Node,
    /// Who may open an account.
    pub registration: Registration,
    /// With which servers this one deals.
    pub federation: Federation,
    /// How much is taken from whom.
    pub limits: Limits,
    /// What only a test network needs.
    pub testnet: Testnet,
    /// What is logged, and how.
    pub log: Log,
}

settings! {
    /// The top level.
    section ""
    pub struct Server {
        /// The organization's domain. Handles end in it (`alice@org-a.test`), and other servers find
        /// this one under `https://<domain>/.well-known/did.json`. It can never be changed.
        domain: Domain = required "\"org-a.test\"",
        /// The folder of the keys and of the database. Only the server's user may enter it.
        data_dir: PathBuf = required "\"/var/lib/entente\"",
    }
}

settings! {
    /// This node among the nodes of the server, if several share one Postgres database.
    section "node"
    pub struct Node {
        /// What the node is called in logs and lists. Default: the name of the machine.
        name: String = optional "\"a1\"",
        /// How often the node looks for what others wrote, in milliseconds: from 10 to 10,000.
        poll_ms: u16 = default "200",
    }
}

settings! {
    /// Where the server listens.
    section "listen"
    pub struct Listen {
        /// UDP address for clients and other servers (QUIC).
        quic: SocketAddr = default "\"0.0.0.0:8448\"",
        /// TCP address for DID documents (HTTPS).
        https: SocketAddr = default "\"0.0.0.0:8443\"",
        /// TCP address for health checks: `/healthz`, `/readyz` and, for Prometheus, `/metrics` in plain
        /// HTTP. Keep it on loopback, or on an address that only the organization reaches.
        admin: SocketAddr = default "\"127.0.0.1:9448\"",
    }
}

settings! {
    /// What the server's DID document tells others, where it differs from the above.
    section "public"
    pub struct Public {
        /// The host that clients and other servers connect to. Default: the domain.
        host: Domain = optional "\"chat.org-a.test\"",
        /// The UDP port that they connect to. Default: the port of `listen.quic`.
        quic_port: u16 = optional "8448",
    }
}

settings! {
    /// The certificate for the domain on the HTTPS address. It is read again on SIGHUP.
    section "tls"
    pub struct Tls {
        /// PEM file with the certificate and its intermediates.
        certificate: PathBuf = default "\"fullchain.pem\"",
        /// PEM file with its private key; others than the owner and the group must not read it.
        key: PathBuf = default "\"key.pem\"",
    }
}

settings! {
    /// The database.
    section "store"
    pub struct Store {
        /// The kind of database: `sqlite`, a file of this server's own, or `postgres`, a database server.
        kind: StoreKind = default "\"sqlite\"",
        /// SQLite's file. A relative path is relative to `data_dir`.
        path: PathBuf = default "\"homeserver.sqlite\"",
        /// Where Postgres is: `postgres://user@host:5432/database`, without a password. A host that is
        /// not this machine needs `?sslmode=require`, which encrypts and checks the certificate, or
        /// `?sslmode=disable`.
        url: String = optional "\"postgres://entente@db.org-a.test/entente?sslmode=require\"",
        /// File whose first line is the password for Postgres. Others than the owner and the group must
        /// not read it.
        password_file: PathBuf = optional "\"database-password\"",
        /// PEM file with a certificate authority that is trusted for Postgres beside those of the system.
        authority: PathBuf = optional "\"database-ca.pem\"",
        /// What to do with a Postgres database of an older version: `apply` brings it up to date, `refuse`
        /// does not start. `serve --no-migrate` refuses too.
        migrations: MigrationMode = default "\"apply\"",
        /// For how many days the entries of rooms' logs are kept: 0 for ever, or from 31 to 36,500. A device that was
        /// away for longer lacks what was deleted, and has to come into its rooms again.
        keep_days: u16 = default "0",
    }
}

settings! {
    /// Who may open an account.
    section "registration"
    pub struct Registration {
        /// `open`: anybody. `token`: who has the token. `closed`: nobody.
        mode: RegistrationMode = default "\"open\"",
        /// File whose first line is the token; needed if the mode is `token`. Others than the owner
        /// and the group must not read it.
        token_file: PathBuf = optional "\"registration-token\"",
    }
}

settings! {
    /// With which other servers this one deals. Allowing or denying a server also decides about what
    /// is queued for it.
    section "federation"
    pub struct Federation {
        /// `open`: all. `allow`: the listed ones only. `deny`: all but the listed ones.
        policy: FederationPolicy = default "\"open\"",
        /// The domains that `allow` or `deny` speaks of.
        servers: Vec<Domain> = default "[]",
    }
}

settings! {
    /// What only a test network needs. Never set any of this on a server that people use.
    section "testnet"
    pub struct Testnet {
        /// File that replaces DNS: lines of `name ip https_port quic_port`, one for each node of a server.
        host_table: PathBuf = optional "\"hosts\"",
        /// PEM file with a certificate authority that is trusted beside those of the system.
        extra_ca: PathBuf = optional "\"ca.pem\"",
    }
}

settings! {
    /// What is logged, and how. Logs never hold contents, and hold handles and addresses only at the
    /// levels debug and trace.
    section "log"
    pub struct Log {
        /// `text` for people, `json` for machines.
        format: LogFormat = default "\"text\"",
        /// Levels, as in `info` or `warn,entente_homeserver=debug`.
        filter: String = default "\"info\"",
    }
}

choice! {
    /// The kind of database.
    pub enum StoreKind {
        /// SQLite in one file.
        Sqlite = "sqlite",
        /// A Postgres server.
        Postgres = "postgres",
    }
}

choice! {
    /// What to do with a database of an older version.
    pub enum MigrationMode {
        /// Bring it up to date.
        Apply = "apply",
        /// Do not start.
        Refuse = "refuse",
    }
}

choice! {
    /// Who may open an account.
    pub enum RegistrationMode {
        /// Anybody.
        Open = "open",
        /// Who has the token.
        Token = "token",
        /// Nobody.
        Closed = "closed",
    }
}

choice! {
    /// How the list of servers is meant.
    pub enum FederationPolicy {
        /// It is empty: all servers.
        Open = "open",
        /// Only the listed ones.
        Allow = "allow",
        /// All but the listed ones.
        Deny = "deny",
    }
}

choice! {
    /// The form of log lines.
    pub enum LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

/// All sections, in the order of the file.
pub const SHAPE: &[SectionShape] = &[
    Server::SHAPE,
    Listen::SHAPE,
    Public::SHAPE,
    Tls::SHAPE,
    Store::SHAPE,
    Node::SHAPE,
    Registration::SHAPE,
    Federation::SHAPE,
    Limits::SHAPE,
    Testnet::SHAPE,
    Log::SHAPE,
];

impl Config {
    /// Reads a configuration from a file, if one is given, and from the variables, which go before it.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn load(
        file: Option<&Path>,
        environment: BTreeMap<String, String>,
    ) -> Result<Self, ConfigFaults> {
        let text = file.map(read_file).transpose()?;
        let named = file.zip(text.as_deref());
        let mut config = Self::parse(named, environment)?;
        let folder = file.and_then(Path::parent).unwrap_or(Path::new(""));
        config.resolve_paths(folder);
        Ok(config)
    }

    /// Reads a configuration from a file's text; relative paths stay as they are.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn parse(
        file: Option<(&Path, &str)>,
        environment: BTreeMap<String, String>,
    ) -> Result<Self, ConfigFaults> {
        let source = Source::new(file, environment)?;
        let config = Self::read(&source);
        if let Some(config) = &config {
            config.check(&source);
        }
        source.finish(config, SHAPE)
    }

    fn read(source: &Source<'_>) -> Option<Self> {
        // Every section is read before any missing one ends it, so that all faults are found.
        let server = Server::read(source);
        let listen = Listen::read(source);
        let public = Public::read(source);
        let tls = Tls::read(source);
        let store = Store::read(source);
        let node = Node::read(source);
        let registration = Registration::read(source);
        let federation = Federation::read(source);
        let limits = Limits::read(source);
        let testnet = Testnet::read(source);
        let log = Log::read(source);
        Some(Self {
            server: server?,
            listen: listen?,
            public: public?,
            tls: tls?,
            store: store?,
            node: node?,
            registration: registration?,
            federation: federation?,
            limits: limits?,
            testnet: testnet?,
            log: log?,
        })
    }

    /// Whether the settings fit each other.
    fn check(&self, source: &Source<'_>) {
        if self.public.quic_port == Some(0) {
            let key = Public::SHAPE.key("quic_port");
            source.fault(key, "0 is no port that others could connect to");
        }
        let registration = &self.registration;
        if registration.mode == RegistrationMode::Token && registration.token_file.is_none() {
            let key = Registration::SHAPE.key("token_file");
            source.fault(key, "is missing: the mode `token` needs it");
        }
        let store = &self.store;
        let url = Store::SHAPE.key("url");
        match &store.url {
            Some(text) => {
                if let Err(fault) = DatabaseSettings::parse(text) {
                    source.fault(url, fault.to_string());
                }
            }
            None if store.kind == StoreKind::Postgres => {
                source.fault(url, "is missing: the kind `postgres` needs it");
            }
            None => {}
        }
        let days = store.keep_days;
        if days != 0 && !KEEP_DAYS.contains(&days) {
            // A message's id is known again for as long as its entry is kept.
            let key = Store::SHAPE.key("keep_days");
            source.fault(key, "is neither 0 nor from 31 to 36,500");
        }
        if !(10..=10_000).contains(&self.node.poll_ms) {
            let key = Node::SHAPE.key("poll_ms");
            source.fault(key, "is not from 10 to 10,000");
        }
        let federation = &self.federation;
        if federation.policy == FederationPolicy::Open && !federation.servers.is_empty() {
            let key = Federation::SHAPE.key("servers");
            source.fault(key, "lists servers, but the policy `open` asks for none");
        }
        if let Err(fault) = tracing_subscriber::EnvFilter::try_new(&self.log.filter) {
            source.fault(Log::SHAPE.key("filter"), fault.to_string());
        }
    }

    fn resolve_paths(&mut self, folder: &Path) {
        let resolve = |path: &mut PathBuf| *path = folder.join(&*path);
        resolve(&mut self.server.data_dir);
        resolve(&mut self.tls.certificate);
        resolve(&mut self.tls.key);
        for path in [
            &mut self.registration.token_file,
            &mut self.store.password_file,
            &mut self.store.authority,
            &mut self.testnet.host_table,
            &mut self.testnet.extra_ca,
        ]
        .into_iter()
        .flatten()
        {
            resolve(path);
        }
        self.store.path = self.server.data_dir.join(&self.store.path);
    }

    /// The server's DID.
    #[must_use]
    pub fn did(&self) -> ServerDid {
        ServerDid::new(self.server.domain.clone())
    }

    /// The host that others connect to.
    #[must_use]
    pub fn public_host(&self) -> &Domain {
        self.public.host.as_ref().unwrap_or(&self.server.domain)
    }

    /// The UDP port that others connect to, given the port that the server bound.
    #[must_use]
    pub fn public_port(&self, bound: u16) -> u16 {
        self.public.quic_port.unwrap_or(bound)
    }
}

impl Node {
    /// What the node is called.
    #[must_use]
    pub fn name(&self) -> String {
        let machine = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let name = self.name.clone().or_else(machine).unwrap_or_default();
        name.trim().to_owned()
    }

    /// How often the node looks for what others wrote.
    #[must_use]
    pub fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms.into())
    }
}

impl Store {
    /// How long the entries of rooms' logs are kept, if not for ever.
    #[must_use]
    pub fn keep(&self) -> Option<Duration> {
        let days = u64::from(self.keep_days);
        (days > 0).then(|| Duration::from_secs(days * 24 * 3600))
    }
}

impl Federation {
    /// Whether this server deals with another.
    #[must_use]
    pub fn admits(&self, server: &ServerDid) -> bool {
        let listed = self.servers.contains(server.domain());
        match self.policy {
            FederationPolicy::Open => true,
            FederationPolicy::Allow => listed,
            FederationPolicy::Deny => !listed,
        }
    }
}

fn read_file(path: &Path) -> Result<String, ConfigFaults> {
    std::fs::read_to_string(path).map_err(|error| {
        ConfigFaults(vec![ConfigFault {
            origin: Origin::Unset,
            problem: format!("cannot read {}: {error}", path.display()),
        }])
    })
}

/// The variables of this process that may be settings.
#[must_use]
pub fn process_environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("ENTENTE_"))
        .collect()
}

#[cfg(test)]
mod tests;
