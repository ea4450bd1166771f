//! DID documents of servers and users: made, read and checked without fetching anything.
//!
//! The JSON is read strictly: bounded size and depth, no member twice; then as a DID document
//! (DID Core 1.0) whose `id` must be the DID that was asked for.

mod strict_json;

use serde_json::{Value, json};
use ssi_dids_core::Document;

use crate::account::{AccountClaim, AccountFault, VerifiedAccount};
use crate::codec::{decode_exact, encode};
use crate::did::{AccountDid, DidFault, ServerDid};
use crate::domain::Domain;
use crate::handle::Handle;
use crate::key_document::key_id;
use crate::keys::PublicKey;
use strict_json::parse_strict;

/// Largest DID document accepted, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 64 * 1024;
/// Most federation keys in one document.
const MAX_KEYS: usize = 8;
/// The id of an account's root key in the document of its handle.
const ROOT_ID: &str = "root";

/// Where one of a server's services listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceEndpoint {
    /// The host to resolve.
    pub host: Domain,
    /// The UDP port.
    pub port: u16,
    /// The ALPN protocol id to offer (RFC 7301).
    pub alpn: String,
}

/// A server's document, for first contact; later the pinned chain of key documents decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerDocument {
    /// The server.
    pub did: ServerDid,
    /// Its federation keys.
    pub keys: Vec<PublicKey>,
    /// Where peers connect.
    pub federation: ServiceEndpoint,
    /// Where its own users connect.
    pub client: ServiceEndpoint,
    /// SHA-256 of its first key document.
    pub first_key_document_hash: [u8; 32],
}

/// A handle's document: which account it is, and what the account says about itself.
#[derive(Clone, Debug)]
pub struct UserDocument {
    /// The handle.
    pub handle: Handle,
    /// The account, checked from its root down.
    pub account: VerifiedAccount,
}

/// Why a document does not say what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentFault {
    /// Not strict JSON, or no DID document.
    #[error("no valid DID document: {0}")]
    Malformed(String),
    /// The document of another DID.
    #[error("the document is {got}'s, not {expected}'s")]
    OtherDid {
        /// What was asked for.
        expected: String,
        /// What came.
        got: String,
    },
    /// Something that we need is missing.
    #[error("the document lacks {0}")]
    Missing(&'static str),
    /// A key that is not acceptable.
    #[error("verification method {id}: {fault}")]
    Key {
        /// The method's id.
        id: String,
        /// Why.
        fault: DidFault,
    },
    /// One id or key twice, or too many keys.
    #[error("the document lists a key or its id twice, or more than {MAX_KEYS} keys")]
    Keys,
    /// A key under another id than its own.
    #[error("the document lists a key as {got}, whose id is {expected}")]
    KeyId {
        /// The id that the key has.
        expected: String,
        /// The id that it is listed by.
        got: String,
    },
    /// The account's statements do not hold together.
    #[error(transparent)]
    Account(#[from] AccountFault),
    /// The account's home record names another handle.
    #[error("the account's home record names {0}, so this handle is not confirmed by its owner")]
    OtherHome(Handle),
}

impl ServerDocument {
    /// The document as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let methods: Vec<Value> = self.keys.iter().map(|key| self.method(key)).collect();
        let ids: Vec<&Value> = methods.iter().map(|method| &method["id"]).collect();
        let endpoint = |e: &ServiceEndpoint| json!({ "host": e.host.as_str(), "port": e.port, "alpn": e.alpn });
        let service = |id: &str, kind: &str, endpoint: Value| json!({ "id": format!("{}#{id}", self.did), "type": kind, "serviceEndpoint": endpoint });
        let hash = hex(&self.first_key_document_hash);
        let document = json!({
            "@context": CONTEXT,
            "id": self.did.to_string(),
            "verificationMethod": methods,
            "authentication": ids,
            "assertionMethod": ids,
            "service": [
                service("federation", "EntenteFederation", endpoint(&self.federation)),
                service("client", "EntenteClient", endpoint(&self.client)),
                service("keys", "EntenteKeyDocument", json!({ "sha256": hash })),
            ],
        });
        pretty(&document)
    }

    fn method(&self, key: &PublicKey) -> Value {
        multikey(&self.did.to_string(), &key_id(key), key)
    }

    /// Reads the document of `did`.
    ///
    /// # Errors
    /// Anything that is malformed, missing or another's.
    pub fn parse(did: &ServerDid, bytes: &[u8]) -> Result<Self, DocumentFault> {
        let document = parse_document(&did.to_string(), bytes)?;
        let keys = keys_of(&document, key_id)?;
        if keys.is_empty() {
            return Err(DocumentFault::Missing("a federation key of type Multikey"));
        }
        let hash = endpoint_map(&document, "keys")
            .and_then(|map| map.get("sha256").and_then(Value::as_str).and_then(unhex))
            .ok_or(DocumentFault::Missing("the service #keys with a sha256"))?;
        Ok(Self {
            did: did.clone(),
            keys,
            federation: service_endpoint(&document, "federation")
                .ok_or(DocumentFault::Missing("the service #federation"))?,
            client: service_endpoint(&document, "client")
                .ok_or(DocumentFault::Missing("the service #client"))?,
            first_key_document_hash: hash,
        })
    }
}

impl UserDocument {
    /// The document of an account at its home server, as JSON.
    #[must_use]
    pub fn to_json(account: &VerifiedAccount) -> Vec<u8> {
        let handle = &account.home.handle;
        let did = handle.did().to_string();
        let key = account.claim.account.root_key();
        let method = multikey(&did, ROOT_ID, key);
        let id = &method["id"];
        let document = json!({
            "@context": CONTEXT,
            "id": did,
            "alsoKnownAs": [account.claim.account.to_string()],
            "verificationMethod": [method],
            "authentication": [id],
            "assertionMethod": [id],
            "service": [{
                "id": format!("{did}#account"),
                "type": "EntenteAccount",
                "serviceEndpoint": {
                    "server": account.home.server().to_string(),
                    "claim": hex(&encode(&account.claim)),
                },
            }],
        });
        pretty(&document)
    }

    /// Reads the document of `handle`: the account it names must say that it lives there.
    ///
    /// # Errors
    /// Anything malformed, missing, not signed by the account, or about another handle.
    pub fn parse(handle: &Handle, bytes: &[u8]) -> Result<Self, DocumentFault> {
        let document = parse_document(&handle.did().to_string(), bytes)?;
        let claim_bytes = endpoint_map(&document, "account")
            .and_then(|map| map.get("claim").and_then(Value::as_str).and_then(unhex_vec))
            .ok_or(DocumentFault::Missing("the service #account with a claim"))?;
        let claim: AccountClaim = decode_exact("account claim", &claim_bytes)
            .map_err(|fault| DocumentFault::Malformed(fault.to_string()))?;
        let named = keys_of(&document, |_| ROOT_ID.to_owned())?;
        if named != [*claim.account.root_key()] {
            return Err(DocumentFault::Missing(
                "the account's root key as its only key",
            ));
        }
        let account = claim.verify()?;
        if account.home.handle != *handle {
            return Err(DocumentFault::OtherHome(account.home.handle.clone()));
        }
        Ok(Self {
            handle: handle.clone(),
            account,
        })
    }
}

const CONTEXT: [&str; 2] = [
    "https://www.w3.org/ns/did/v1",
    "https://w3id.org/security/multikey/v1",
];

fn multikey(did: &str, id: &str, key: &PublicKey) -> Value {
    let did_key = AccountDid::new(*key).to_string();
    let multibase = did_key.trim_start_matches("did:key:");
    json!({
        "id": format!("{did}#{id}"),
        "type": "Multikey",
        "controller": did,
        "publicKeyMultibase": multibase,
    })
}

fn parse_document(did: &str, bytes: &[u8]) -> Result<Document, DocumentFault> {
    let malformed = |reason: String| DocumentFault::Malformed(reason);
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(malformed(format!("{} bytes is too large", bytes.len())));
    }
    let value = parse_strict(bytes).map_err(|error| malformed(error.to_string()))?;
    let document: Document =
        serde_json::from_value(value).map_err(|error| malformed(error.to_string()))?;
    if document.id.as_str() == did {
        Ok(document)
    } else {
        Err(DocumentFault::OtherDid {
            expected: did.to_owned(),
            got: document.id.as_str().chars().take(300).collect(),
        })
    }
}

/// The document's keys; every verification method must be a well-formed Ed25519 Multikey of the
/// document's own subject, under the id that `id_of` gives to its key.
fn keys_of(
    document: &Document,
    id_of: impl Fn(&PublicKey) -> String,
) -> Result<Vec<PublicKey>, DocumentFault> {
    let methods = &document.verification_method;
    if methods.len() > MAX_KEYS {
        return Err(DocumentFault::Keys);
    }
    let mut keys = Vec::with_capacity(methods.len());
    for method in methods {
        let own = method.type_ == "Multikey" && method.controller == document.id;
        let multibase = method
            .properties
            .get("publicKeyMultibase")
            .and_then(Value::as_str);
        let (true, Some(multibase)) = (own, multibase) else {
            return Err(DocumentFault::Missing(
                "type Multikey, its own DID as controller and publicKeyMultibase on every key",
            ));
        };
        let id = method.id.as_str();
        let shown = || id.chars().take(300).collect();
        let key: AccountDid = format!("did:key:{multibase}")
            .parse()
            .map_err(|fault| DocumentFault::Key { id: shown(), fault })?;
        let key = *key.root_key();
        let expected = format!("{}#{}", document.id.as_str(), id_of(&key));
        if id != expected {
            let got = shown();
            return Err(DocumentFault::KeyId { expected, got });
        }
        if keys.contains(&key) {
            return Err(DocumentFault::Keys);
        }
        keys.push(key);
    }
    Ok(keys)
}

/// The map that is the service endpoint of `<did>#<name>`, if that service stands there once.
fn endpoint_map(document: &Document, name: &str) -> Option<Value> {
    let id = format!("{}#{name}", document.id.as_str());
    let mut found = document
        .service
        .iter()
        .filter(|service| service.id.as_str() == id);
    let service = found.next()?;
    if found.next().is_some() {
        return None;
    }
    let endpoint = serde_json::to_value(service.service_endpoint.as_ref()?).ok()?;
    endpoint.is_object().then_some(endpoint)
}

fn service_endpoint(document: &Document, name: &str) -> Option<ServiceEndpoint> {
    let map = endpoint_map(document, name)?;
    Some(ServiceEndpoint {
        host: map.get("host")?.as_str()?.parse().ok()?,
        port: u16::try_from(map.get("port")?.as_u64()?)
            .ok()
            .filter(|port| *port != 0)?,
        alpn: map.get("alpn")?.as_str()?.to_owned(),
    })
}

fn pretty(document: &Value) -> Vec<u8> {
    serde_json::to_vec_pretty(document).expect("a JSON value always has a text")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex_vec(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let canonical = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
    if !digits.len().is_multiple_of(2) || !digits.iter().all(canonical) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok())
        .collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    unhex_vec(text)?.try_into().ok()
}

#[cfg(test)]
mod tests;
