//! The edge on a real socket, spoken to byte by byte.

mod adversaries;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

use entente_identity::{
    Device, DeviceId, DeviceRole, Endpoint, HomeRecord, HpkePublicKey, ServerDid, ServerDocument,
    ServiceEndpoint, SigningKey, UnixMillis, UserDocument, first_device_list,
};
use rand::rngs::OsRng;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::*;
use crate::clock::now;
use crate::config::Tls;
use crate::credentials::{Credentials, first_key_document};
use crate::data_dir::DataDir;

const NOW: UnixMillis = UnixMillis(1_000_000);

struct Edge {
    address: SocketAddr,
    roots: RootCertStore,
    handle: Handle<SocketAddr>,
    _folder: tempfile::TempDir,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

fn alice() -> entente_identity::AccountClaim {
    let root = SigningKey::from_seed(&[1; 32]);
    let device = Device {
        id: DeviceId([2; 16]),
        signature_key: SigningKey::from_seed(&[2; 32]).public(),
        hpke_key: HpkePublicKey([3; 32]),
        role: DeviceRole::Manager,
    };
    entente_identity::AccountClaim {
        account: entente_identity::AccountDid::new(root.public()),
        device_list: first_device_list(&root, vec![device], NOW),
        signer_chain: Vec::new(),
        home_record: HomeRecord::first(&root, "alice@org-a.test".parse().expect("ok"), NOW),
    }
}

/// A claim whose list another key signed.
fn forged() -> entente_identity::AccountClaim {
    let stranger = SigningKey::from_seed(&[9; 32]);
    entente_identity::AccountClaim {
        device_list: first_device_list(&stranger, Vec::new(), NOW),
        ..alice()
    }
}

fn documents() -> Documents {
    let service = |alpn: &str| ServiceEndpoint {
        host: "org-a.test".parse().expect("a domain"),
        port: 8448,
        alpn: alpn.to_owned(),
    };
    let server = ServerDocument {
        did: "did:web:org-a.test".parse().expect("a DID"),
        keys: vec![SigningKey::from_seed(&[7; 32]).public()],
        federation: service("entente-federation/1"),
        client: service("entente-client/1"),
        first_key_document_hash: [9; 32],
    };
    let directory: Directory = Arc::new(|local| {
        Box::pin(async move {
            match local.as_str() {
                "alice" => Ok(Some(alice())),
                // A row that is about somebody else is never published under this name.
                "mallory" => Ok(Some(alice())),
                "slow" => std::future::pending().await,
                "broken" => Ok(Some(forged())),
                _ => Ok(None),
            }
        })
    });
    Documents::new(&server, keys(), directory)
}

fn keys() -> KeyDocuments {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = DataDir::create(&folder.path().join("data")).expect("made");
    let did = "did:web:org-a.test".parse().expect("a DID");
    let (key, next) = dir.create_keys(&did, &mut OsRng).expect("keys");
    let endpoint = Endpoint {
        host: did.domain().clone(),
        port: 8448,
    };
    let first = first_key_document(&did, &key.public(), &next.public(), endpoint.clone(), now());
    dir.create_key_document(&first.sign(&key)).expect("written");
    KeyDocuments::new(Credentials::load(&dir, &did).expect("loaded"), endpoint)
}

/// Bounds that a test reaches soon.
fn soon() -> Bounds {
    Bounds {
        handshake: Duration::from_millis(400),
        request: Duration::from_millis(400),
        head: Duration::from_millis(400),
        ..Bounds::default()
    }
}

/// Starts an edge with a certificate of its own.
async fn edge(bounds: Bounds) -> Edge {
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(vec!["org-a.test".to_owned()]).expect("made");
    let settings = Tls {
        certificate: folder.path().join("cert.pem"),
        key: folder.path().join("key.pem"),
    };
    std::fs::write(&settings.certificate, made.cert.pem()).expect("written");
    std::fs::write(&settings.key, made.signing_key.serialize_pem()).expect("written");
    let wide = tls_config(&settings).expect_err("the key is readable by all");
    assert!(wide.to_string().contains("chmod"), "{wide}");
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&settings.key, mode).expect("changed");
    let tls = tls_config(&settings).expect("a certificate");
    let any = "127.0.0.1:0".parse().expect("an address");
    let mut edge = HttpsEdge::bind(any, tls, documents()).expect("bound");
    edge.bounds = bounds;
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let handle = Handle::new();
    let address = edge.address();
    tokio::spawn(edge.serve(handle.clone()));
    Edge {
        address,
        roots,
        handle,
        _folder: folder,
    }
}

impl Edge {
    fn connect(&self) -> StreamOwned<ClientConnection, TcpStream> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        let name = ServerName::try_from("org-a.test").expect("a name");
        let tls = ClientConnection::new(Arc::new(config), name).expect("a connection");
        let tcp = TcpStream::connect(self.address).expect("connected");
        tcp.set_read_timeout(Some(Duration::from_secs(20)))
            .expect("set");
        StreamOwned::new(tls, tcp)
    }

    /// Sends bytes and reads all that is answered until the server ends the connection.
    fn ask_bytes(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        // The server may end the connection before it has read everything.
        let _ = stream.write_all(request).and_then(|()| stream.flush());
        read_to_end(&mut stream)
    }

    /// Sends a request's text and reads the answer to its end.
    fn ask_raw(&self, request: &str) -> Answer {
        let text = self.ask_bytes(request.as_bytes());
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        Answer {
            status: head
                .get(9..12)
                .and_then(|code| code.parse().ok())
                .unwrap_or(0),
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    fn get(&self, path: &str) -> Answer {
        self.ask_raw(&format!(
            "GET {path} HTTP/1.1\r\nHost: org-a.test\r\nConnection: close\r\n\r\n"
        ))
    }
}

/// All that comes; a connection that is cut ends it as an orderly close does.
fn read_to_end(stream: &mut impl Read) -> String {
    let mut read_so_far = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        read_so_far.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8_lossy(&read_so_far).into_owned()
}

/// Runs a blocking client against a fresh edge.
async fn with_edge(client: impl FnOnce(&Edge) + Send + 'static) {
    with_bounded_edge(soon(), client).await;
}

async fn with_bounded_edge(bounds: Bounds, client: impl FnOnce(&Edge) + Send + 'static) {
    let edge = edge(bounds).await;
    let handle = edge.handle.clone();
    tokio::task::spawn_blocking(move || client(&edge))
        .await
        .expect("the client's checks");
    handle.shutdown();
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_what_their_readers_expect() {
    with_edge(|edge| {
        let answer = edge.get("/.well-known/did.json");
        assert_eq!(answer.status, 200);
        assert!(
            answer.head.contains("content-type: application/did+json"),
            "{}",
            answer.head
        );
        let did: ServerDid = "did:web:org-a.test".parse().expect("a DID");
        let document = ServerDocument::parse(&did, answer.body.as_bytes()).expect("a document");
        assert_eq!(document.federation.port, 8448);
        let answer = edge.get("/u/alice/did.json");
        let handle = "alice@org-a.test".parse().expect("a handle");
        let document = UserDocument::parse(&handle, answer.body.as_bytes()).expect("a document");
        assert_eq!(document.account.claim, alice());
        let answer = edge
            .ask_raw("GET /.well-known/entente-key-document HTTP/1.0\r\nHost: org-a.test\r\n\r\n");
        assert_eq!(answer.status, 200);
        assert_eq!(edge.get("/healthz").body, "ok\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_the_security_headers() {
    with_edge(|edge| {
        for path in ["/.well-known/did.json", "/none", "/healthz"] {
            let head = edge.get(path).head;
            for header in [
                "x-content-type-options: nosniff",
                "content-security-policy: default-src 'none'",
                "strict-transport-security: max-age",
                "referrer-policy: no-referrer",
            ] {
                assert!(head.contains(header), "{path}: {head}");
            }
            assert!(!head.contains("server:"), "{head}");
        }
    })
    .await;
}
