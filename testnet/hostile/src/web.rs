//! HTTP/1.1 over TLS by hand: what is asked is bytes of the caller's choice, what comes back is bytes.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long a server may take over one answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// More than any document has.
const MAX_ANSWER_BYTES: u64 = 256 * 1024;

/// Speaks to HTTPS listeners whose certificates a network's own authority signed.
#[derive(Clone)]
pub struct Web {
    connector: TlsConnector,
}

/// What came back, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status; 0 if the connection was closed without an answer.
    pub status: u16,
    /// Status line and headers without those that name the moment (`date`).
    pub head: String,
    /// What follows the headers, up to the end of the connection.
    pub body: Vec<u8>,
}

impl Web {
    /// Trusts the authorities in a PEM file.
    ///
    /// # Errors
    /// The file cannot be read or holds no certificate.
    pub fn trusting(authority: &Path) -> Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(authority)? {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            connector: Arc::new(config).into(),
        })
    }

    /// Opens a TLS connection.
    ///
    /// # Errors
    /// The listener does not take it.
    pub async fn open(&self, address: SocketAddr, domain: &str) -> Result<TlsStream<TcpStream>> {
        let socket = TcpStream::connect(address).await?;
        let name = ServerName::try_from(domain.to_owned())?;
        let opening = self.connector.connect(name, socket);
        let stream = timeout(ANSWER_LIMIT, opening).await;
        stream
            .context("the TLS handshake takes too long")?
            .context("no TLS")
    }

    /// Sends bytes and reads until the other side closes.
    ///
    /// # Errors
    /// It does not close in time, or there is no connection at all.
    pub async fn send(&self, address: SocketAddr, domain: &str, bytes: &[u8]) -> Result<Answer> {
        let mut stream = self.open(address, domain).await?;
        let mut answer = Vec::new();
        let talk = async {
            // A listener that has closed already does not read the rest; what it said counts.
            let _ = stream.write_all(bytes).await;
            let _ = stream.flush().await;
            let mut limited = stream.take(MAX_ANSWER_BYTES);
            let _ = limited.read_to_end(&mut answer).await;
        };
        timeout(ANSWER_LIMIT, talk)
            .await
            .context("the listener neither answers nor closes")?;
        Ok(Answer::parse(&answer))
    }

    /// Fetches a document.
    ///
    /// # Errors
    /// There is no connection, or no answer.
    pub async fn get(&self, address: SocketAddr, domain: &str, path: &str) -> Result<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {domain}\r\nConnection: close\r\n\r\n");
        self.send(address, domain, request.as_bytes()).await
    }

    /// Fetches a document that has to be there.
    ///
    /// # Errors
    /// As of [`Self::get`], or another status than 200.
    pub async fn fetch(&self, address: SocketAddr, domain: &str, path: &str) -> Result<Answer> {
        let answer = self.get(address, domain, path).await?;
        ensure!(answer.status == 200, "{domain}{path}: {}", answer.head);
        Ok(answer)
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, body) = match end {
            Some(end) => (&bytes[..end], bytes[end + 4..].to_vec()),
            None => (bytes, Vec::new()),
        };
        let head = String::from_utf8_lossy(head);
        let lines = head.lines().filter(|line| {
            let name = line.split(':').next().unwrap_or_default();
            !name.eq_ignore_ascii_case("date")
        });
        let head = lines.collect::<Vec<_>>().join("\n");
        let status = head
            .split_whitespace()
            .nth(1)
            .and_then(|status| status.parse().ok());
        Self {
            status: status.unwrap_or(0),
            head,
            body,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_compared_without_their_moment() {
        let at = |time: &str| {
            let text = format!("HTTP/1.1 404 Not Found\r\nDate: {time}\r\nX: y\r\n\r\nno\n");
            Answer::parse(text.as_bytes())
        };
        assert_eq!(at("now"), at("then"));
        assert_eq!(at("now").status, 404);
        assert_eq!(at("now").head, "HTTP/1.1 404 Not Found\nX: y");
        assert_eq!(at("now").body, b"no\n");
        assert_eq!(Answer::parse(b"").status, 0);
    }
}
