//! Decentralized identifiers: accounts (`did:key`), servers and users (`did:web`).
//!
//! did:key: <https://w3c-ccg.github.io/did-key-spec/>; did:web: <https://w3c-ccg.github.io/did-method-web/>.

use std::fmt;
use std::str::FromStr;

use did_method_key::DIDKey;

use crate::codec::tls_text;
use crate::domain::{Domain, DomainFault};
use crate::handle::{Handle, HandleFault};
use crate::keys::{KeyFault, PublicKey};

/// The multicodec prefix of an Ed25519 public key (`0xed`, as a varint).
const ED25519_MULTICODEC: [u8; 2] = [0xed, 0x01];

/// Multicodec prefixes of key types that exist but are not accepted, named in errors.
const OTHER_MULTICODECS: [(&[u8], &str); 8] = [
    (&[0xec, 0x01], "X25519"),
    (&[0xe7, 0x01], "secp256k1"),
    (&[0x80, 0x24], "P-256"),
    (&[0x81, 0x24], "P-384"),
    (&[0x82, 0x24], "P-521"),
    (&[0x85, 0x24], "RSA"),
    (&[0xeb, 0x01], "BLS12-381 G2"),
    (&[0xea, 0x01], "BLS12-381 G1"),
];

/// A person's lasting identity: the `did:key` of the account's Ed25519 root key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountDid(PublicKey);

/// A homeserver: the host-level `did:web` of its organization's domain.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerDid(Domain);

/// The published document of a handle: `did:web:<domain>:u:<local part>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserDid(Handle);

/// Why a text is not one of our DIDs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DidFault {
    /// The wrong method or shape.
    #[error("expected {expected}, got `{got}`")]
    Method {
        /// The form that was wanted.
        expected: &'static str,
        /// The beginning of what came.
        got: String,
    },
    /// The method-specific part is no canonical base58btc multibase.
    #[error("a did:key holds a base58btc multibase value, beginning with `z`")]
    Multibase,
    /// A key type that exists but is not accepted.
    #[error("did:key of type {0} is not supported: accounts are Ed25519")]
    KeyType(&'static str),
    /// The key itself is bad.
    #[error(transparent)]
    Key(#[from] KeyFault),
    /// The domain is bad.
    #[error(transparent)]
    Domain(#[from] DomainFault),
    /// The handle is bad.
    #[error(transparent)]
    Handle(#[from] HandleFault),
}

impl AccountDid {
    /// The account whose root key is `key`.
    #[must_use]
    pub fn new(key: PublicKey) -> Self {
        Self(key)
    }

    /// The account's root key.
    #[must_use]
    pub fn root_key(&self) -> &PublicKey {
        &self.0
    }
}

impl FromStr for AccountDid {
    type Err = DidFault;

    fn from_str(text: &str) -> Result<Self, DidFault> {
        let method = || DidFault::Method {
            expected: "did:key:z6Mk…",
            got: text.chars().take(24).collect(),
        };
        let value = text.strip_prefix("did:key:").ok_or_else(method)?;
        let base58 = value.strip_prefix('z').ok_or(DidFault::Multibase)?;
        if base58.len() > 128 {
            return Err(DidFault::Multibase);
        }
        let bytes = bs58::decode(base58)
            .into_vec()
            .map_err(|_| DidFault::Multibase)?;
        if let Some((_, name)) = OTHER_MULTICODECS
            .iter()
            .find(|(prefix, _)| bytes.starts_with(prefix))
        {
            return Err(DidFault::KeyType(name));
        }
        let raw = bytes
            .strip_prefix(&ED25519_MULTICODEC)
            .ok_or(DidFault::KeyType("unknown"))?;
        let did = Self(PublicKey::from_slice(raw)?);
        if did.to_string() == text {
            Ok(did)
        } else {
            Err(DidFault::Multibase)
        }
    }
}

impl fmt::Display for AccountDid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jwk = ssi_jwk::ed25519_parse(self.0.as_bytes())
            .expect("a PublicKey is a valid Ed25519 point by construction");
        let did = DIDKey::generate(&jwk).expect("Ed25519 has a multicodec");
        f.write_str(did.as_str())
    }
}

impl ServerDid {
    /// The server of an organization's domain.
    #[must_use]
    pub fn new(domain: Domain) -> Self {
        Self(domain)
    }

    /// The organization's domain.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.0
    }
}

impl FromStr for ServerDid {
    type Err = DidFault;

    fn from_str(text: &str) -> Result<Self, DidFault> {
        let domain = text
            .strip_prefix("did:web:")
            .ok_or_else(|| DidFault::Method {
                expected: "did:web:<domain>",
                got: text.chars().take(24).collect(),
            })?;
        Ok(Self(domain.parse()?))
    }
}

impl fmt::Display for ServerDid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "did:web:{}", self.0)
    }
}

impl UserDid {
    /// The document of a handle.
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        Self(handle)
    }

    /// The handle that this document describes.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.0
    }
}

impl FromStr for UserDid {
    type Err = DidFault;

    fn from_str(text: &str) -> Result<Self, DidFault> {
        let method = || DidFault::Method {
            expected: "did:web:<domain>:u:<name>",
            got: text.chars().take(24).collect(),
        };
        let rest = text.strip_prefix("did:web:").ok_or_else(method)?;
        let (domain, local) = rest.split_once(":u:").ok_or_else(method)?;
        Ok(Self(Handle::new(local.parse()?, domain.parse()?)))
    }
}

impl fmt::Display for UserDid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "did:web:{}:u:{}", self.0.domain(), self.0.local())
    }
}

macro_rules! debug_as_display {
    ($($type:ty),*) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        tls_text!($type);
    )*};
}
debug_as_display!(AccountDid, ServerDid, UserDid);

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: w3c-ccg/did-method-key, test-vectors/ (see testdata/README.md).
    fn vectors(name: &str) -> Vec<String> {
        let path = format!("{}/../testdata/did-key/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("test vectors are in testdata/");
        let json: serde_json::Value = serde_json::from_str(&text).expect("vectors are JSON");
        let by_did = json.get("didDocument").unwrap_or(&json);
        let keys = by_did.as_object().expect("an object by DID").keys();
        keys.cloned().collect()
    }

    #[test]
    fn ed25519_vectors_parse_and_print_back() {
        for did in vectors("ed25519-x25519.json") {
            let parsed: AccountDid = did.parse().expect("an Ed25519 did:key");
            assert_eq!(parsed.to_string(), did);
        }
    }

    #[test]
    fn other_key_types_are_refused_by_name() {
        for (file, name) in [
            ("secp256k1.json", "secp256k1"),
            ("x25519.json", "X25519"),
            ("nist-curves.json", "P-"),
        ] {
            for did in vectors(file) {
                let fault = did.parse::<AccountDid>().expect_err("not Ed25519");
                assert!(fault.to_string().contains(name), "{did}: {fault}");
            }
        }
    }

    #[test]
    fn a11_web_dids_have_one_form() {
        for good in ["did:web:org-a.example", "did:web:a.b.example"] {
            assert_eq!(good.parse::<ServerDid>().expect(good).to_string(), good);
        }
        for bad in [
            "",
            "did:web:",
            "did:web:org-a.example:u:alice",
            "did:web:org-a.example:8443",
            "did:web:org-a.example%3A8443",
            "did:web:org-a.example%3a443",
            "did:web:ORG.example",
            "DID:web:org-a.example",
            "did:WEB:org-a.example",
            "did:web:org-a.example.",
            "did:web:org-a.example/",
            "did:web:org-a.example/did.json",
            "did:web:org-a.example?versionId=1",
            "did:web:org-a.example#key",
            "did:web:org-a.example;service=x",
            "did:web:user@org-a.example",
            "did:web:user%40org-a.example",
            "did:web:[::1]",
            "did:web:fe80::1%25eth0",
            "did:web:xn--a.example",
            "did:web:did:web:org-a.example",
            " did:web:org-a.example",
            "did:web:org-a.example\n",
            "did:key:z6Mk",
        ] {
            assert!(bad.parse::<ServerDid>().is_err(), "{bad}");
        }
        let user: UserDid = "did:web:org-a.example:u:alice".parse().expect("a user");
        assert_eq!(user.handle().to_string(), "alice@org-a.example");
        for bad in [
            "did:web:org-a.example",
            "did:web:org-a.example:u:",
            "did:web:org-a.example:u:Alice",
            "did:web:org-a.example:u:alice:u:bob",
            "did:web:org-a.example:u:alice:",
            "did:web:org-a.example:U:alice",
            "did:web:org-a.example%3A443:u:alice",
            "did:web:org-a.example::u:alice",
            "did:web:org-a.example:u:al%69ce",
            "did:web:org-a.example:u:..",
        ] {
            assert!(bad.parse::<UserDid>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a11_account_dids_have_one_form() {
        let good = vectors("ed25519-x25519.json").remove(0);
        assert!(good.parse::<AccountDid>().is_ok());
        let value = good.strip_prefix("did:key:").expect("a did:key");
        for bad in [
            String::new(),
            value.to_owned(),
            format!("{good}#{value}"),
            format!("{good}?x"),
            format!("{good}/"),
            format!(" {good}"),
            format!("{good}\n"),
            good.to_uppercase(),
            good.to_lowercase(),
            good.replace("did:key:z", "did:key:Z"),
            good.replace("did:key:z", "did:key:z1"),
            good.replace("did:key:z", "did:key:1.1:z"),
            good.replace("did:key:z", "did:key:f"),
            good.replace("did:key:z6", "did:key:z"),
            format!("{good}1"),
            format!("did:key:z{}", "6".repeat(200)),
        ] {
            assert!(bad.parse::<AccountDid>().is_err(), "{bad}");
        }
    }
}
