//! A QUIC connection on which any bytes may be sent on any stream.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use entente_identity::SigningKey;
use entente_protocol::fault::{Fault, FaultCode};
use entente_transport::Link;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, RecvStream, SendStream, TransportConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use tokio::time::timeout;

use super::frame::read_fault;
use crate::door::Door;

/// How long a server may leave a stream without an answer, a refusal or an end.
const ANSWER_LIMIT: Duration = Duration::from_secs(40);
/// More than any answer has.
const MAX_ANSWER_BYTES: usize = 8 << 20;
/// Tags of answers.
const REPLY: u8 = 0;
const FAULT: u8 = 1;

/// A connection in bytes.
pub struct RawLink {
    /// The connection.
    pub quic: Connection,
    _socket: quinn::Endpoint,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawAnswer {
    /// The method's reply, with its frame's length.
    Reply(Vec<u8>),
    /// A fault, with its frame's length.
    Fault(Vec<u8>),
    /// The stream was reset, stopped, or ended without an answer.
    GivenUp(String),
    /// The whole connection was closed.
    Closed(String),
}

impl RawAnswer {
    /// The fault, if it is one.
    ///
    /// # Errors
    /// It is another answer, or a malformed one.
    pub fn fault(&self) -> Result<Fault> {
        match self {
            Self::Fault(frame) => read_fault(frame),
            other => bail!("no fault but {other:?}"),
        }
    }

    /// The code of the fault, if it is one.
    #[must_use]
    pub fn code(&self) -> Option<FaultCode> {
        self.fault().ok().map(|fault| fault.code)
    }

    /// Whether the server took the call.
    #[must_use]
    pub fn is_reply(&self) -> bool {
        matches!(self, Self::Reply(_))
    }
}

impl RawLink {
    /// Connects as a device.
    ///
    /// # Errors
    /// The server does not take it.
    pub async fn client(door: &Door) -> Result<Self> {
        Self::open(door, Link::Client, None).await
    }

    /// Connects as an organization's server with that key.
    ///
    /// # Errors
    /// The server does not take it.
    pub async fn federation(door: &Door, key: &SigningKey) -> Result<Self> {
        Self::open(door, Link::Federation, Some(key)).await
    }

    async fn open(door: &Door, link: Link, key: Option<&SigningKey>) -> Result<Self> {
        let config = QuicClientConfig::try_from(tls(link, key)?)?;
        let mut config = ClientConfig::new(Arc::new(config));
        let mut transport = TransportConfig::default();
        transport.keep_alive_interval(Some(Duration::from_secs(2)));
        config.transport_config(Arc::new(transport));
        let socket = quinn::Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let name = door.did.domain().as_str();
        let quic = socket.connect_with(config, door.quic, name)?.await?;
        Ok(Self {
            quic,
            _socket: socket,
        })
    }

    /// The value that binds statements to this connection.
    ///
    /// # Panics
    /// Never: the handshake is complete and 32 bytes are few.
    #[must_use]
    pub fn exporter(&self, label: &[u8]) -> [u8; 32] {
        let mut output = [0; 32];
        self.quic
            .export_keying_material(&mut output, label, b"")
            .expect("the handshake is complete and 32 bytes are few");
        output
    }

    /// Opens a stream, sends bytes on it and leaves it open.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn begin(&self, bytes: &[u8]) -> Result<(SendStream, RecvStream)> {
        let (mut send, recv) = self.quic.open_bi().await?;
        send.write_all(bytes).await?;
        Ok((send, recv))
    }

    /// Sends bytes as all of a stream, and waits for what becomes of it.
    ///
    /// # Errors
    /// Nothing becomes of it in time.
    pub async fn throw(&self, bytes: &[u8]) -> Result<RawAnswer> {
        let Ok((mut send, mut recv)) = self.quic.open_bi().await else {
            return Ok(self.closed());
        };
        // A server that gives up early does not read the rest.
        let _ = send.write_all(bytes).await;
        let _ = send.finish();
        let answer = timeout(ANSWER_LIMIT, recv.read_to_end(MAX_ANSWER_BYTES)).await;
        let answer = answer.context("a stream was left without an answer")?;
        match answer {
            Ok(bytes) => Ok(match bytes.split_first() {
                Some((&REPLY, frame)) => RawAnswer::Reply(frame.to_vec()),
                Some((&FAULT, frame)) => RawAnswer::Fault(frame.to_vec()),
                Some(_) => bail!("an answer of another kind"),
                None => RawAnswer::GivenUp("ended".to_owned()),
            }),
            Err(_) if self.quic.close_reason().is_some() => Ok(self.closed()),
            Err(error) => Ok(RawAnswer::GivenUp(error.to_string())),
        }
    }

    /// Makes a call whose request is these bytes.
    ///
    /// # Errors
    /// As of [`Self::throw`].
    pub async fn call(&self, method: u16, frame: &[u8]) -> Result<RawAnswer> {
        let [low, high] = method.to_le_bytes();
        self.throw(&[&[1, 0, low, high], frame].concat()).await
    }

    fn closed(&self) -> RawAnswer {
        let reason = self.quic.close_reason();
        RawAnswer::Closed(reason.map_or_else(String::new, |reason| reason.to_string()))
    }
}

/// TLS as the transport has it, but any server will do.
pub(crate) fn tls(link: Link, key: Option<&SigningKey>) -> Result<rustls::ClientConfig> {
    let provider = Arc::new(provider());
    let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer(provider)));
    let mut config = match key {
        Some(key) => {
            let (chain, key) = certificate(key)?;
            builder.with_client_auth_cert(chain, key)?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![link.alpn().to_vec()];
    Ok(config)
}

pub(crate) fn provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768],
        ..aws_lc_rs::default_provider()
    }
}

fn certificate(key: &SigningKey) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let private = PrivatePkcs8KeyDer::from(key.pkcs8_der().to_vec());
    let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&private, &rcgen::PKCS_ED25519)?;
    let certificate = rcgen::CertificateParams::new(Vec::<String>::new())?.self_signed(&pair)?;
    let chain = vec![certificate.der().clone()];
    Ok((chain, PrivateKeyDer::Pkcs8(private)))
}

#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
