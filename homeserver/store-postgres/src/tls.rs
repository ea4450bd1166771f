//! Encrypted connections: rustls, with the server's certificate and name checked.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use entente_homeserver_ops::StoreFault;
use futures::future::BoxFuture;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as Encrypted;

/// Makes connections encrypted.
#[derive(Clone)]
pub(crate) struct Tls(Arc<ClientConfig>);

/// A handshake that is to come.
pub(crate) struct Handshake {
    config: Arc<ClientConfig>,
    /// `None` for a Unix socket, which has no name and is never encrypted.
    name: Option<ServerName<'static>>,
}

/// An encrypted connection.
pub(crate) struct Stream(Encrypted<Socket>);

impl Tls {
    /// Trusts the system's certificate authorities and these.
    ///
    /// # Errors
    /// One of these is none, or the cryptography cannot be set up.
    pub(crate) fn trusting(extra: &[CertificateDer<'static>]) -> Result<Self, StoreFault> {
        let unusable = |error: rustls::Error| {
            StoreFault::Unavailable(format!("a certificate authority cannot be used: {error}"))
        };
        let mut roots = RootCertStore::empty();
        // The system's list may hold some that are too old; a server that needs one is refused then.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for root in extra {
            roots.add(root.clone()).map_err(unusable)?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Stream;
    type TlsConnect = Handshake;
    type Error = Infallible;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Handshake, Self::Error> {
        Ok(Handshake {
            config: Arc::clone(&self.0),
            name: ServerName::try_from(domain.to_owned()).ok(),
        })
    }
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Stream;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Stream>>;

    fn connect(self, socket: Socket) -> Self::Future {
        let connector = TlsConnector::from(self.config);
        let nameless = || io::Error::other("the host has no name that a certificate could hold");
        Box::pin(async move {
            let name = self.name.ok_or_else(nameless)?;
            connector.connect(name, socket).await.map(Stream)
        })
    }
}

impl TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
