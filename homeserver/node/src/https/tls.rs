//! The certificate of the HTTPS edge.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Tls;
use crate::data_dir::{Readers, SecretFileFault, read_secret};

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFileFault {
    /// The certificate file cannot be read.
    #[error("tls.certificate {path}: {error}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// No PEM, or without a certificate.
    #[error("tls.certificate {0}: no PEM certificate in it")]
    NoCertificate(PathBuf),
    /// The key file is not usable as a secret.
    #[error("tls.key {0}")]
    Key(#[from] SecretFileFault),
    /// No PEM, or without a private key.
    #[error("tls.key {0}: no PEM private key in it")]
    NoKey(PathBuf),
    /// Certificate and key do not go together, or are of a kind that is not known.
    #[error("tls.certificate and tls.key: {0}")]
    Unusable(rustls::Error),
}

/// Reads certificate and key. TLS 1.2 and 1.3, as documents are for everybody; HTTP/1.1 only.
///
/// # Errors
/// See [`TlsFileFault`].
pub fn tls_config(settings: &Tls) -> Result<Arc<ServerConfig>, TlsFileFault> {
    let path = &settings.certificate;
    let pem = std::fs::read(path).map_err(|error| TlsFileFault::Certificate {
        path: path.clone(),
        error,
    })?;
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or_else(|| TlsFileFault::NoCertificate(path.clone()))?;
    let key = read_secret(&settings.key, Readers::Group)?;
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|_| TlsFileFault::NoKey(settings.key.clone()))?;
    // The provider is named, so that no other crate's choice of a process-wide default matters.
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsFileFault::Unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsFileFault::Unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
