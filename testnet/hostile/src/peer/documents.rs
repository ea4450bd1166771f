//! The documents of a hostile organization, over HTTPS with a certificate of the network's authority.

use std::future::Future;
use std::sync::Arc;

use anyhow::Result;
use entente_identity::{KeyDocument, ServerDocument, Signed, encode};
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use testnet::network::{Folder, ServerPlan, plan::ADDRESS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Longest head of a request that is read.
const MAX_HEAD_BYTES: usize = 8 * 1024;

struct Documents {
    acceptor: TlsAcceptor,
    server: Vec<u8>,
    keys: Vec<u8>,
}

/// Binds the organization's HTTPS port and returns what serves it.
pub(super) async fn serve(
    folder: &Folder,
    plan: &ServerPlan,
    server: ServerDocument,
    keys: Signed<KeyDocument>,
) -> Result<impl Future<Output = ()> + Send + use<>> {
    let listener = TcpListener::bind((ADDRESS, plan.https_port)).await?;
    let documents = Arc::new(Documents {
        acceptor: acceptor(folder, plan)?,
        server: server.to_json(),
        keys: encode(&keys),
    });
    Ok(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let documents = Arc::clone(&documents);
            tokio::spawn(async move {
                // Whoever asks and goes away has its answer or does not want it.
                let _ = documents.answer(socket).await;
            });
        }
    })
}

fn acceptor(folder: &Folder, plan: &ServerPlan) -> Result<TlsAcceptor> {
    let (chain, key) = folder.server_tls(&plan.domain());
    let chain = CertificateDer::pem_file_iter(chain)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
    Ok(Arc::new(config).into())
}

impl Documents {
    async fn answer(&self, socket: TcpStream) -> Result<()> {
        let mut stream = self.acceptor.accept(socket).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD_BYTES {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let path = head.split_whitespace().nth(1).unwrap_or_default();
        let (status, kind, body): (_, _, &[u8]) = match path {
            "/.well-known/did.json" => ("200 OK", "application/did+json", &self.server),
            "/.well-known/entente-key-document" => {
                ("200 OK", "application/octet-stream", &self.keys)
            }
            _ => ("404 Not Found", "text/plain", b"not found\n"),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body).await?;
        Ok(stream.shutdown().await?)
    }
}
