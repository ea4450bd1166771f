//! A closed network of real server processes on loopback: a certificate authority, a host table, and
//! devices that speak to the servers by the real transport.

use std::fs::{self, DirBuilder, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use entente_identity::{
    AccountClaim, AccountDid, Device, DeviceId, DeviceRole, HomeRecord, HpkePublicKey, PublicKey,
    ServerDid, SigningKey, UnixMillis, first_device_list,
};
use entente_protocol::call::{ClientRequest, ClientResponse, Register};
use entente_protocol::fault::FaultCode;
use entente_protocol::hello::{LOGIN_EXPORTER_LABEL, LoginProof, prove};
use entente_testnet_machine::{ADDRESS, PortClaim};
use entente_transport::{CallError, Connection, Endpoint};
use rand::RngCore;
use rand::rngs::OsRng;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

/// How long anything in a test may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The network: its folder holds everything.
pub struct Network {
    folder: Arc<TempDir>,
    ca: CertifiedIssuer<'static, KeyPair>,
    hosts: String,
    /// Ports that are this network's while it lives, also when its servers are down.
    ports: PortClaim,
    servers: usize,
}

/// One organization's server.
pub struct Server {
    pub did: ServerDid,
    pub key: PublicKey,
    pub quic: SocketAddr,
    config: PathBuf,
    folder: Arc<TempDir>,
    process: Option<Child>,
    variables: Vec<(String, String)>,
    /// The sockets of its devices: each lives as long as its connection may be used.
    devices: Mutex<Vec<Endpoint>>,
}

/// A device with its account.
pub struct Person {
    pub account: AccountDid,
    pub device: DeviceId,
    pub claim: AccountClaim,
    key: SigningKey,
}

pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.expect("the clock is past 1970");
    UnixMillis(u64::try_from(since.as_millis()).expect("a time"))
}

impl Network {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let ca = CertifiedIssuer::self_signed(params, key).expect("signed");
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("ca.pem"), ca.pem()).expect("written");
        Self {
            folder: Arc::new(folder),
            ca,
            hosts: String::new(),
            ports: PortClaim::any().expect("ports"),
            servers: 0,
        }
    }

    /// Makes an organization's server; it does not run yet.
    pub fn add(&mut self, domain: &str) -> Server {
        let folder = self.folder.path().join(domain);
        fs::create_dir(&folder).expect("made");
        let (certificate, key) = self.certify(domain, &folder);
        let [quic, https, admin] = self.addresses();
        let made = program(&[
            ("init", ""),
            ("--domain", domain),
            ("--data-dir", path(&folder.join("data"))),
            ("--listen-quic", &quic.to_string()),
            ("--listen-https", &https.to_string()),
            ("--listen-admin", &admin.to_string()),
            ("--tls-certificate", path(&certificate)),
            ("--tls-key", path(&key)),
            ("--json", ""),
        ])
        .output()
        .expect("init runs");
        let made: serde_json::Value = serde_json::from_slice(&made.stdout).expect("JSON");
        let key = hex::decode(made["federation_key"].as_str().expect("a key")).expect("hex");
        let line = format!("{domain} 127.0.0.1 {} {}\n", https.port(), quic.port());
        self.hosts.push_str(&line);
        fs::write(self.folder.path().join("hosts"), &self.hosts).expect("written");
        Server {
            did: made["did"].as_str().expect("a DID").parse().expect("a DID"),
            key: PublicKey::from_slice(&key).expect("a key"),
            quic,
            config: made["config"].as_str().expect("a path").into(),
            folder: Arc::clone(&self.folder),
            process: None,
            variables: Vec::new(),
            devices: Mutex::default(),
        }
    }

    /// Another node of a server: with copies of its keys and certificate, and a folder and addresses of
    /// its own. It does not run yet.
    pub fn add_node(&mut self, of: &Server, name: &str) -> Server {
        let domain = of.did.domain().as_str();
        let (from, folder) = (
            self.folder.path().join(domain),
            self.folder.path().join(name),
        );
        let data = folder.join("data");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&data)
            .expect("made");
        for file in ["federation.key", "next-federation.key", "key-document-0"] {
            let source = from.join("data").join(file);
            fs::copy(source, data.join(file)).expect("copied");
        }
        let [quic, https, admin] = self.addresses();
        let line = format!("{domain} 127.0.0.1 {} {}\n", https.port(), quic.port());
        self.hosts.push_str(&line);
        fs::write(self.folder.path().join("hosts"), &self.hosts).expect("written");
        let mut node = Server {
            did: of.did.clone(),
            key: of.key,
            quic,
            config: of.config.clone(),
            folder: Arc::clone(&self.folder),
            process: None,
            variables: of.variables.clone(),
            devices: Mutex::default(),
        };
        node.set("ENTENTE_DATA_DIR", path(&data));
        node.set("ENTENTE_LISTEN_QUIC", &quic.to_string());
        node.set("ENTENTE_LISTEN_HTTPS", &https.to_string());
        node.set("ENTENTE_LISTEN_ADMIN", &admin.to_string());
        node.set("ENTENTE_NODE_NAME", name);
        node
    }

    /// Sets an organization's server up anew, with other keys and an empty database, as if its disk had
    /// been lost. Servers that run know the new addresses after a restart.
    pub fn set_up_anew(&mut self, mut old: Server) -> Server {
        old.kill();
        let domain = old.did.domain().to_string();
        fs::remove_dir_all(self.folder.path().join(&domain)).expect("removed");
        let others = self.hosts.lines().filter(|line| !line.starts_with(&domain));
        self.hosts = others.map(|line| format!("{line}\n")).collect();
        self.add(&domain)
    }

    /// The next server's addresses for QUIC, HTTPS and administration.
    fn addresses(&mut self) -> [SocketAddr; 3] {
        let ports = self.ports.of_server(self.servers);
        self.servers += 1;
        ports.map(|port| (ADDRESS, port).into())
    }

    fn certify(&self, domain: &str, folder: &Path) -> (PathBuf, PathBuf) {
        let params = CertificateParams::new(vec![domain.to_owned()]).expect("a name");
        let pair = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&pair, &self.ca).expect("signed");
        let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        fs::write(&certificate, signed.pem()).expect("written");
        fs::write(&key, pair.serialize_pem()).expect("written");
        fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("changed");
        (certificate, key)
    }
}

impl Server {
    /// Sets a setting by its environment variable, from the next start on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Starts the process and waits until it is ready.
    pub fn start(&mut self) {
        let mut command = self.command("serve");
        let child = command.stderr(Stdio::inherit()).spawn();
        self.process = Some(child.expect("the server starts"));
        let begun = Instant::now();
        while !self
            .command("health")
            .output()
            .expect("runs")
            .status
            .success()
        {
            assert!(begun.elapsed() < PATIENCE, "the server is not ready");
        }
    }

    /// A command of the program with this server's configuration.
    pub fn command(&self, name: &str) -> Command {
        let mut words: Vec<(&str, &str)> = name.split(' ').map(|word| (word, "")).collect();
        words.push(("--config", path(&self.config)));
        let mut command = program(&words);
        command
            .env(
                "ENTENTE_TESTNET_HOST_TABLE",
                self.folder.path().join("hosts"),
            )
            .env(
                "ENTENTE_TESTNET_EXTRA_CA",
                self.folder.path().join("ca.pem"),
            )
            .env("ENTENTE_LOG_FILTER", "warn")
            .envs(self.variables.iter().cloned());
        command
    }

    /// Shows or resets what is pinned of another server's keys.
    pub fn peer_trust(&self, verb: &str, domain: &str) -> std::process::Output {
        let mut command = program(&[
            ("admin", ""),
            ("peer", ""),
            ("trust", ""),
            (verb, ""),
            (domain, ""),
            ("--json", ""),
            ("--config", path(&self.config)),
        ]);
        command.output().expect("the command runs")
    }

    /// Ends the process at once, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("killed");
            process.wait().expect("waited for");
        }
    }

    /// Sends the process a signal, as `kill` names it.
    pub fn signal(&self, name: &str) {
        let pid = self.process.as_ref().expect("it runs").id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Asks the process to stop and waits until it has.
    pub fn stop(&mut self) {
        let mut process = self.process.take().expect("it runs");
        let pid = process.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(asked.expect("kill runs").success());
        assert!(process.wait().expect("waited for").success(), "a clean end");
    }

    pub async fn connect(&self) -> Connection {
        let endpoint = Endpoint::dial_only("127.0.0.1:0".parse().expect("an address"));
        let endpoint = endpoint.expect("a socket");
        let name = self.did.domain().as_str();
        let dialled = endpoint.connect_client(self.quic, name, &[self.key]).await;
        self.devices.lock().expect("no panic").push(endpoint);
        dialled.expect("connected")
    }

    /// Connects and logs a device in.
    pub async fn login(&self, person: &Person) -> Connection {
        let connection = self.connect().await;
        let answer = person.login(&connection, &self.did, now()).await;
        assert!(
            matches!(answer, Ok(ClientResponse::LoggedIn(_))),
            "{answer:?}"
        );
        connection
    }

    /// Registers a person of this name and logs it in.
    pub async fn join(&self, local: &str) -> (Person, Connection) {
        let person = Person::new(local, &self.did);
        let connection = self.connect().await;
        let request = ClientRequest::Register(Register {
            claim: person.claim.clone(),
            token: None,
        });
        let answer = connection.call(&request).await.expect("registered");
        assert_eq!(answer, ClientResponse::Done);
        let answer = person.login(&connection, &self.did, now()).await;
        assert!(
            matches!(answer, Ok(ClientResponse::LoggedIn(_))),
            "{answer:?}"
        );
        (person, connection)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Person {
    pub fn new(local: &str, home: &ServerDid) -> Self {
        let root = SigningKey::generate(&mut OsRng);
        let key = SigningKey::generate(&mut OsRng);
        let mut bytes = [0; 32];
        OsRng.fill_bytes(&mut bytes);
        let device = DeviceId(bytes[..16].try_into().expect("16 bytes"));
        let listed = Device {
            id: device,
            signature_key: key.public(),
            hpke_key: HpkePublicKey(bytes),
            role: DeviceRole::Manager,
        };
        let handle = format!("{local}@{}", home.domain());
        let account = AccountDid::new(root.public());
        let claim = AccountClaim {
            account,
            device_list: first_device_list(&root, vec![listed], now()),
            signer_chain: Vec::new(),
            home_record: HomeRecord::first(&root, handle.parse().expect("a handle"), now()),
        };
        Self {
            account,
            device,
            claim,
            key,
        }
    }

    pub async fn login(
        &self,
        connection: &Connection,
        server: &ServerDid,
        time: UnixMillis,
    ) -> Result<ClientResponse, CallError> {
        let proof = LoginProof {
            account: self.account,
            device: self.device,
            exporter: connection.channel_binding(LOGIN_EXPORTER_LABEL, b""),
        };
        let origin = self.account.to_string();
        let proof = prove(&proof, origin, server, &self.key, time);
        connection.call(&ClientRequest::Login(proof)).await
    }
}

/// The code with which a call was refused.
pub fn refusal<T: std::fmt::Debug>(answer: Result<T, CallError>) -> FaultCode {
    match answer {
        Err(CallError::Refused(fault)) => fault.code,
        other => panic!("it should have been refused: {other:?}"),
    }
}

fn program(arguments: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_entente-homeserver"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ENTENTE_")) {
        command.env_remove(name);
    }
    for (name, value) in arguments {
        command.arg(name);
        if !value.is_empty() {
            command.arg(value);
        }
    }
    command
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
