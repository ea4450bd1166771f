//! Whom HTTPS trusts: the machine's certificate authorities, and one more where configured.
//!
//! The machine's store and not a compiled-in list, because its administrator keeps it current and
//! adds the organization's own authority there. An image without a store names an additional authority.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::fetch_error::SetupError;

/// Certificates of an additional authority, for example a testnet's.
#[derive(Clone, Debug)]
pub struct ExtraCa {
    certificates: Vec<CertificateDer<'static>>,
}

/// Why an additional authority cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum ExtraCaError {
    /// The file cannot be read.
    #[error("cannot read the certificate authority {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No PEM, or a broken one.
    #[error("not a PEM file of certificates: {0}")]
    Pem(String),
    /// PEM without any certificate.
    #[error("no certificate in the PEM file")]
    Empty,
}

impl ExtraCa {
    /// Reads a PEM file.
    ///
    /// # Errors
    /// When the file is not there or holds no certificate.
    pub fn load(file: &Path) -> Result<Self, ExtraCaError> {
        let bytes = fs::read(file).map_err(|source| ExtraCaError::Unreadable {
            file: file.to_owned(),
            source,
        })?;
        Self::from_pem(&bytes)
    }

    /// Reads PEM.
    ///
    /// # Errors
    /// When it holds no certificate.
    pub fn from_pem(pem: &[u8]) -> Result<Self, ExtraCaError> {
        let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|error| ExtraCaError::Pem(error.to_string()))?;
        if certificates.is_empty() {
            return Err(ExtraCaError::Empty);
        }
        Ok(Self { certificates })
    }
}

/// The TLS side of every fetch. The provider is passed on, so that no other crate's choice of a
/// process-wide default matters.
pub(crate) fn tls_config(extra_ca: Option<&ExtraCa>) -> Result<ClientConfig, SetupError> {
    let mut roots = RootCertStore::empty();
    // A store may hold certificates that no reader understands; the others are as good as before.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for certificate in extra_ca.iter().flat_map(|ca| &ca.certificates) {
        roots
            .add(certificate.clone())
            .map_err(|error| ExtraCaError::Pem(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(SetupError::NoRoots);
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| SetupError::Tls(error.to_string()))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused() {
        assert!(matches!(
            ExtraCa::from_pem(b"nothing"),
            Err(ExtraCaError::Empty)
        ));
        let broken = b"-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n";
        assert!(matches!(
            ExtraCa::from_pem(broken),
            Err(ExtraCaError::Pem(_))
        ));
        let missing = ExtraCa::load(Path::new("no/such/file"));
        assert!(matches!(missing, Err(ExtraCaError::Unreadable { .. })));
    }
}
