//! An organization's HTTPS server that answers exactly what a test wants, however wrong.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use entente_identity::Domain;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::HostTable;

/// A certificate authority of one test.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// What a server answers, byte for byte.
#[derive(Clone, Debug)]
pub struct Answer {
    head: String,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Whole(Vec<u8>),
    /// The same again and again, each after a pause.
    Repeated(Vec<u8>, Duration),
    Silence,
}

/// A running server; it ends with its runtime.
pub struct Organization {
    domain: Domain,
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    bytes_sent: AtomicUsize,
    last_path: Mutex<String>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    fn server_config(&self, domain: &Domain) -> ServerConfig {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![domain.as_str().to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .expect("key and certificate belong together")
    }
}

impl Answer {
    pub fn ok(body: &str) -> Self {
        Self::ok_with("", body)
    }

    pub fn ok_with(headers: &str, body: &str) -> Self {
        let head = format!(
            "HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        Self {
            head,
            body: Body::Whole(body.as_bytes().to_vec()),
        }
    }

    pub fn bytes(body: &[u8]) -> Self {
        let length = body.len();
        Self {
            head: format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"),
            body: Body::Whole(body.to_vec()),
        }
    }

    pub fn raw(text: &str) -> Self {
        Self {
            head: text.to_owned(),
            body: Body::Whole(Vec::new()),
        }
    }

    pub fn chunked(pieces: &[&str]) -> Self {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
        let chunk = |piece: &&str| format!("{:x}\r\n{piece}\r\n", piece.len());
        let body: String = pieces.iter().map(chunk).collect::<String>() + "0\r\n\r\n";
        Self {
            head,
            body: Body::Whole(body.into_bytes()),
        }
    }

    pub fn status(status: u16, headers: &str) -> Self {
        let head = format!("HTTP/1.1 {status} So\r\n{headers}content-length: 0\r\n\r\n");
        Self {
            head,
            body: Body::Whole(Vec::new()),
        }
    }

    pub fn announcing(length: u64) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        Self {
            head,
            body: Body::Silence,
        }
    }

    /// Sends `head`, then `piece` as fast and as long as the client takes it.
    pub fn flood(head: &str, piece: &str) -> Self {
        Self {
            head: head.to_owned(),
            body: Body::Repeated(piece.repeat(4096 / piece.len() + 1).into(), Duration::ZERO),
        }
    }

    /// Sends `head`, then one byte per second.
    pub fn dripping(head: &str) -> Self {
        Self {
            head: head.to_owned(),
            body: Body::Repeated(b"x".to_vec(), Duration::from_secs(1)),
        }
    }

    pub fn silent() -> Self {
        Self {
            head: String::new(),
            body: Body::Silence,
        }
    }
}

impl Organization {
    pub async fn start(domain: &Domain, authority: &Authority, answer: Answer) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        Self::start_on(listener, domain, authority, answer)
    }

    /// A server that accepts and then says nothing at all.
    pub async fn start_mute(domain: &Domain) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((socket, _)) = listener.accept().await {
                held.push(socket);
            }
        });
        Self {
            domain: domain.clone(),
            address,
            seen: Arc::default(),
        }
    }

    pub fn start_on(
        listener: TcpListener,
        domain: &Domain,
        authority: &Authority,
        answer: Answer,
    ) -> Self {
        let address = listener.local_addr().expect("it is bound");
        let acceptor = TlsAcceptor::from(Arc::new(authority.server_config(domain)));
        let seen = Arc::new(Seen::default());
        let served = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                served.connections.fetch_add(1, Ordering::SeqCst);
                let serving = serve(
                    socket,
                    acceptor.clone(),
                    answer.clone(),
                    Arc::clone(&served),
                );
                tokio::spawn(serving);
            }
        });
        Self {
            domain: domain.clone(),
            address,
            seen,
        }
    }

    /// How many bytes of answers the client's side has taken, buffers included.
    pub fn bytes_sent(&self) -> usize {
        self.seen.bytes_sent.load(Ordering::SeqCst)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections have been accepted, TLS or not.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    pub fn last_path(&self) -> String {
        self.seen
            .last_path
            .lock()
            .expect("no server task panics")
            .clone()
    }

    pub fn quic_address(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4499)
    }

    pub fn host_table(&self) -> HostTable {
        self.host_table_for(&self.domain)
    }

    pub fn host_table_for(&self, domain: &Domain) -> HostTable {
        let quic_port = self.quic_address().port();
        let (ip, port) = (self.address.ip(), self.address.port());
        let line = format!("{} {ip} {port} {quic_port}", domain.as_str());
        HostTable::parse(Path::new("hosts"), &line).expect("a table")
    }
}

/// Serves one connection until the client is gone; its faults are the client's to judge.
async fn serve(
    socket: TcpStream,
    acceptor: TlsAcceptor,
    answer: Answer,
    seen: Arc<Seen>,
) -> Option<()> {
    let mut stream = acceptor.accept(socket).await.ok()?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.ok()?);
    }
    let request = String::from_utf8(request).ok()?;
    let path = request.split(' ').nth(1)?;
    path.clone_into(&mut *seen.last_path.lock().ok()?);
    stream.write_all(answer.head.as_bytes()).await.ok()?;
    match answer.body {
        Body::Whole(bytes) => stream.write_all(&bytes).await.ok()?,
        Body::Repeated(piece, pause) => loop {
            stream.write_all(&piece).await.ok()?;
            stream.flush().await.ok()?;
            seen.bytes_sent.fetch_add(piece.len(), Ordering::SeqCst);
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        },
        Body::Silence => {
            stream.flush().await.ok()?;
            stream.read_u8().await.ok()?;
        }
    }
    stream.shutdown().await.ok()
}
