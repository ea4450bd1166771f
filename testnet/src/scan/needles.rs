//! What is looked for: secrets, and the byte strings in which each may appear.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};
use entente_identity::{Handle, RecoveryWords};

/// Shorter byte strings turn up by chance.
const MIN_BYTES: usize = 8;

/// Something that no server may ever hold.
#[derive(Clone)]
pub struct Secret {
    what: String,
    bytes: Vec<u8>,
}

/// One byte string that is looked for.
pub(super) struct Needle {
    pub secret: usize,
    pub bytes: Vec<u8>,
}

impl Secret {
    /// A text; `what` says in a report what it was.
    ///
    /// # Errors
    /// When it is so short that it turns up by chance.
    pub fn text(what: impl Into<String>, text: &str) -> Result<Self> {
        Self::bytes(what, text.as_bytes())
    }

    /// Bytes such as a key; `what` says in a report what they were.
    ///
    /// # Errors
    /// When they are so few that they turn up by chance.
    pub fn bytes(what: impl Into<String>, bytes: &[u8]) -> Result<Self> {
        let what = what.into();
        ensure!(
            bytes.len() >= MIN_BYTES,
            "{what} is too short to be looked for"
        );
        Ok(Self {
            what,
            bytes: bytes.to_vec(),
        })
    }

    /// What it was.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }
}

/// The long-lived secrets of a person: recovery words, the root key that they stand for, and the key
/// that protects the vault in the profile's folder.
///
/// # Errors
/// When one of them cannot be read.
pub fn secrets_of(who: &Handle, profile: &Path, recovery_words: &str) -> Result<Vec<Secret>> {
    let words = RecoveryWords::parse(recovery_words)?;
    let root = words.root()?.signing_key().seed();
    let mut secrets = vec![
        Secret::text(format!("recovery words of {who}"), recovery_words)?,
        Secret::bytes(format!("root key of {who}"), root.as_slice())?,
    ];
    let path = profile.join("vault.key");
    let file = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let key = file.trim_ascii();
    secrets.push(Secret::bytes(format!("vault key of {who}"), key)?);
    if let Ok(raw) = HEXLOWER.decode(key) {
        secrets.push(Secret::bytes(format!("vault key of {who}"), &raw)?);
    }
    Ok(secrets)
}

/// All byte strings in which the secrets may appear.
pub(super) fn of(secrets: &[Secret]) -> Vec<Needle> {
    let mut needles = Vec::new();
    for (secret, Secret { bytes, .. }) in secrets.iter().enumerate() {
        let mut dresses = vec![
            bytes.clone(),
            HEXLOWER.encode(bytes).into_bytes(),
            HEXUPPER.encode(bytes).into_bytes(),
        ];
        for lead in 0..3 {
            for encoding in [&BASE64, &BASE64URL] {
                dresses.push(core_of_base64(encoding, bytes, lead));
            }
        }
        needles.extend(dresses.into_iter().map(|bytes| Needle { secret, bytes }));
    }
    needles
}

/// The characters that depend on the secret alone when `lead` bytes come before it and anything after.
fn core_of_base64(encoding: &data_encoding::Encoding, bytes: &[u8], lead: usize) -> Vec<u8> {
    let framed = [&[0; 2][..lead], bytes].concat();
    let text = encoding.encode(&framed[..framed.len() / 3 * 3]);
    let mixed = if lead == 0 { 0 } else { 4 };
    text.into_bytes().split_off(mixed)
}
