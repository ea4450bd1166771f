//! Who this server is to others: its key, its key document, its DID document.
//!
//! The chain hash of the first key document names the chain for ever and is the same for each of its
//! issues. What others see is issued anew from the first at start and every day, as one issue counts
//! for seven days.

use entente_identity::{
    Endpoint, FederationKey, KeyDocument, KeyDocumentFault, PublicKey, ServerDid, ServerDocument,
    ServiceEndpoint, Signed, SigningKey, UnixMillis, verify_key_document,
};
use entente_protocol::hello::KeyDocumentId;

use crate::data_dir::{DataDir, DataDirFault};

/// ALPN of connections between servers (RFC 7301).
const FEDERATION_ALPN: &str = "entente-federation/1";
/// ALPN of connections of devices.
const CLIENT_ALPN: &str = "entente-client/1";

/// How often the key document is issued anew, in milliseconds: daily.
pub const REISSUE_INTERVAL_MS: u64 = 24 * 3600 * 1000;

/// The server's key with what it has said about it.
#[derive(Clone, Debug)]
pub struct Credentials {
    did: ServerDid,
    key: SigningKey,
    first: KeyDocument,
    first_hash: [u8; 32],
}

/// Why a server cannot show who it is.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsFault {
    /// The folder or one of its files is not usable.
    #[error(transparent)]
    DataDir(#[from] DataDirFault),
    /// The key document does not hold.
    #[error("the first key document: {0}")]
    KeyDocument(#[from] KeyDocumentFault),
    /// The key document is of another key.
    #[error(
        "the first key document names {document}, the key file holds {file}: restore both from one backup"
    )]
    OtherKey {
        /// The key in the document.
        document: PublicKey,
        /// The key in the file.
        file: PublicKey,
    },
    /// The next key is not the one that was committed to.
    #[error(
        "the next key is not the one that the key document commits to: restore both from one backup"
    )]
    OtherNextKey,
}

/// The first key document of a new server.
#[must_use]
pub fn first_key_document(
    did: &ServerDid,
    key: &PublicKey,
    next: &PublicKey,
    endpoint: Endpoint,
    now: UnixMillis,
) -> KeyDocument {
    KeyDocument {
        did: did.clone(),
        seq: 0,
        prev_hash: [0; 32],
        keys: vec![FederationKey {
            public: *key,
            from: now,
            until: None,
        }],
        next_key_hash: next.fingerprint(),
        endpoints: vec![endpoint],
        features: Vec::new(),
        issued: now,
    }
}

impl Credentials {
    /// Reads and checks what `init` wrote.
    ///
    /// # Errors
    /// See [`CredentialsFault`].
    pub fn load(dir: &DataDir, did: &ServerDid) -> Result<Self, CredentialsFault> {
        let key = dir.federation_key(did)?;
        let signed = dir.first_key_document()?;
        // History: it counts as of when it was issued.
        let issued = signed
            .claimed_body()
            .map_or(UnixMillis(0), |body| body.issued);
        let first = verify_key_document(did, &signed, issued)?.into_body();
        let named = first.keys[0].public;
        if named != key.public() {
            return Err(CredentialsFault::OtherKey {
                document: named,
                file: key.public(),
            });
        }
        let next = dir.next_key(did)?;
        if next.is_some_and(|next| next.public().fingerprint() != first.next_key_hash) {
            return Err(CredentialsFault::OtherNextKey);
        }
        Ok(Self {
            did: did.clone(),
            key,
            first_hash: first.chain_hash(),
            first,
        })
    }

    /// The server.
    #[must_use]
    pub fn did(&self) -> &ServerDid {
        &self.did
    }

    /// The key that it signs with.
    #[must_use]
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The id of that key in documents and signatures.
    #[must_use]
    pub fn key_id(&self) -> String {
        self.first.keys[0].id()
    }

    /// The document that greetings name: by the hash that the DID document publishes.
    #[must_use]
    pub fn key_document_id(&self) -> KeyDocumentId {
        KeyDocumentId {
            seq: self.first.seq,
            hash: self.first_hash,
        }
    }

    /// The key document, issued now.
    #[must_use]
    pub fn issue(&self, endpoint: Endpoint, now: UnixMillis) -> Signed<KeyDocument> {
        let document = KeyDocument {
            endpoints: vec![endpoint],
            issued: now,
            ..self.first.clone()
        };
        document.sign(&self.key)
    }

    /// What `/.well-known/did.json` says.
    #[must_use]
    pub fn server_document(&self, endpoint: &Endpoint) -> ServerDocument {
        let service = |alpn: &str| ServiceEndpoint {
            host: endpoint.host.clone(),
            port: endpoint.port,
            alpn: alpn.to_owned(),
        };
        ServerDocument {
            did: self.did.clone(),
            keys: vec![self.key.public()],
            federation: service(FEDERATION_ALPN),
            client: service(CLIENT_ALPN),
            first_key_document_hash: self.first_hash,
        }
    }

    /// When the key came into use.
    #[must_use]
    pub fn since(&self) -> UnixMillis {
        self.first.keys[0].from
    }

    /// SHA-256 of the key to which the server will rotate.
    #[must_use]
    pub fn next_key_hash(&self) -> &[u8; 32] {
        &self.first.next_key_hash
    }
}

#[cfg(test)]
mod tests {
    use entente_identity::{Judged, KeyPin, Named};
    use rand::rngs::OsRng;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn server() -> ServerDid {
        "did:web:org-a.test".parse().expect("a DID")
    }

    fn endpoint(port: u16) -> Endpoint {
        let host = server().domain().clone();
        Endpoint { host, port }
    }

    /// What a server with these keys says when it is started.
    fn start(key: &SigningKey, next: &SigningKey) -> Result<Credentials, CredentialsFault> {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = DataDir::create(&folder.path().join("data")).expect("made");
        dir.write_keys(&server(), (key, next)).expect("written");
        let (key_id, next_id) = (key.public(), next.public());
        let first = first_key_document(&server(), &key_id, &next_id, endpoint(1), NOW);
        dir.create_key_document(&first.sign(key)).expect("written");
        Credentials::load(&dir, &server())
    }

    fn fresh() -> SigningKey {
        SigningKey::generate(&mut OsRng)
    }

    #[test]
    fn a9_a_server_with_a_known_key_does_not_start() {
        assert!(start(&fresh(), &fresh()).is_ok());
        for known in [
            [0; 32],
            [0xff; 32],
            std::array::from_fn(|n| n.to_le_bytes()[0]),
        ] {
            let known = SigningKey::from_seed(&known);
            for (key, next, file) in [
                (known.clone(), fresh(), "/federation.key "),
                (fresh(), known.clone(), "/next-federation.key "),
            ] {
                let fault = start(&key, &next).expect_err("everybody has this key");
                let text = fault.to_string();
                assert!(text.contains("default or test key"), "{text}");
                assert!(text.contains(file) && text.contains("init"), "{text}");
                let secret = hex::encode(known.seed().as_slice());
                assert!(!text.contains(&secret), "{text}");
            }
        }
    }

    #[test]
    fn a9_a_server_that_would_rotate_to_the_key_it_has_does_not_start() {
        let key = fresh();
        let fault = start(&key, &key).expect_err("no other key");
        assert!(matches!(fault, CredentialsFault::KeyDocument(_)), "{fault}");
    }

    #[test]
    fn a7_every_issue_is_the_document_that_the_web_and_greetings_name() {
        let credentials = start(&fresh(), &fresh()).expect("started");
        let published = credentials.server_document(&endpoint(1));
        let hash = published.first_key_document_hash;
        let later = NOW.after(100 * REISSUE_INTERVAL_MS);
        let pin = |issued| {
            let document = credentials.issue(endpoint(2), issued);
            KeyPin::first_contact(&server(), &hash, &document, later)
        };
        let pinned = pin(later).expect("its own chain");
        let named = credentials.key_document_id();
        assert_eq!(pinned.judge_id(named.seq, &named.hash), Ok(Named::Pinned));
        assert_eq!(pinned.judge_published(&published), Ok(()));
        assert!(pin(NOW).is_err(), "the first issue has ended");
        let renewed = credentials.issue(endpoint(3), later.after(REISSUE_INTERVAL_MS));
        let judged = pinned.judge(&renewed, later.after(REISSUE_INTERVAL_MS));
        assert!(matches!(judged, Ok(Judged::Renewed(_))), "{judged:?}");
    }
}
