//! A private certificate authority, so that DID documents are fetched over real, verified HTTPS.

use std::fs;

use anyhow::{Context, Result};
use entente_identity::Domain;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::folder::{Folder, private_file, private_folder};

/// The authority of one network.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes an authority and writes its certificate and key.
    ///
    /// # Errors
    /// When a key cannot be made or a file not be written.
    pub fn create(folder: &Folder) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(
            DnType::CommonName,
            "Entente test network, trust it nowhere else",
        );
        let key = KeyPair::generate().context("cannot make the authority's key")?;
        let certificate = params
            .self_signed(&key)
            .context("cannot sign the authority's certificate")?;
        fs::write(folder.authority(), certificate.pem())
            .context("cannot write the authority's certificate")?;
        private_file(&folder.authority_key(), key.serialize_pem().as_bytes())?;
        let issuer = Issuer::new(params, key);
        Ok(Self { issuer })
    }

    /// Makes one server's certificate and writes it with its key.
    ///
    /// # Errors
    /// When a key cannot be made or a file not be written.
    pub fn certify(&self, folder: &Folder, domain: &Domain) -> Result<()> {
        let name = domain.as_str();
        let mut params = CertificateParams::new([name.to_owned()])
            .with_context(|| format!("{name} cannot stand in a certificate"))?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().with_context(|| format!("cannot make a key for {name}"))?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .with_context(|| format!("cannot certify {name}"))?;
        let (chain_path, key_path) = folder.server_tls(domain);
        private_folder(chain_path.parent().expect("the path has a folder"))?;
        fs::write(&chain_path, certificate.pem())
            .with_context(|| format!("cannot write {}", chain_path.display()))?;
        private_file(&key_path, key.serialize_pem().as_bytes())
    }
}
