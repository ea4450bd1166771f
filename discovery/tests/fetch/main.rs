//! SafeClient against a real HTTPS server that misbehaves (adversaries B1 to B4).

mod bounds;
mod names;
mod organization;
mod trace;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use entente_discovery::{
    DocumentError, DocumentUrl, ExtraCa, FetchError, HostTable, LookupAnswer, NameLookup, Options,
    SafeClient,
};
use entente_identity::{
    AccountClaim, AccountDid, Device, DeviceId, DeviceRole, Domain, FederationKey, Handle,
    HomeRecord, HpkePublicKey, KeyDocument, KeyPin, ServerDid, ServerDocument, ServiceEndpoint,
    SigningKey, UnixMillis, UserDocument, first_device_list,
};
use organization::{Answer, Authority, Organization};

/// A resolver whose answer is the same for every name, and which counts how often it is asked.
struct Always {
    answer: Vec<IpAddr>,
    asked: AtomicUsize,
}

impl Always {
    fn new(addresses: &[&str]) -> Arc<Self> {
        let parse = |text: &&str| text.parse().expect("the test writes an address");
        Arc::new(Self {
            answer: addresses.iter().map(parse).collect(),
            asked: AtomicUsize::new(0),
        })
    }
}

impl NameLookup for Always {
    fn lookup(&self, _: &Domain) -> LookupAnswer {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = self.answer.clone();
        Box::pin(async move { Ok::<_, io::Error>(answer) })
    }
}

fn org() -> Domain {
    "org-a.example".parse().expect("a domain")
}

/// A client that knows the organization from its host table and trusts its authority.
fn client_of(organization: &Organization, authority: &Authority) -> SafeClient {
    let options = Options {
        host_table: organization.host_table(),
        extra_ca: Some(ExtraCa::from_pem(authority.pem().as_bytes()).expect("the authority's PEM")),
    };
    SafeClient::with_lookup(options, Always::new(&["127.0.0.1"])).expect("a client")
}

/// Fetches the organization's document, which it answers so.
async fn check(answer: Answer, expected: Result<&[u8], FetchError>) {
    let authority = Authority::new();
    let organization = Organization::start(&org(), &authority, answer).await;
    let client = client_of(&organization, &authority);
    let got = client.fetch_json(&DocumentUrl::of_server(&org())).await;
    assert_eq!(got.as_deref(), expected.as_deref());
    assert_eq!(organization.connections(), 1, "one fetch is one connection");
}

fn unreachable_because(fetched: Result<bytes::Bytes, FetchError>, part_of_reason: &str) {
    match fetched {
        Err(FetchError::Unreachable { reason, .. }) => {
            assert!(reason.contains(part_of_reason), "{reason}");
        }
        other => panic!("{part_of_reason}: {other:?}"),
    }
}

#[tokio::test]
async fn another_authority_or_name_is_not_trusted() {
    let (authority, other) = (Authority::new(), Authority::new());
    let organization = Organization::start(&org(), &other, Answer::ok("{}")).await;
    let fetched = client_of(&organization, &authority)
        .fetch_json(&DocumentUrl::of_server(&org()))
        .await;
    unreachable_because(fetched, "invalid peer certificate");

    let elsewhere: Domain = "org-b.example".parse().expect("a domain");
    let organization = Organization::start(&elsewhere, &authority, Answer::ok("{}")).await;
    let options = Options {
        host_table: organization.host_table_for(&org()),
        extra_ca: Some(ExtraCa::from_pem(authority.pem().as_bytes()).expect("the authority's PEM")),
    };
    let client = SafeClient::new(options).expect("a client");
    let fetched = client.fetch_json(&DocumentUrl::of_server(&org())).await;
    unreachable_because(fetched, "not valid for name");
}

#[tokio::test]
async fn b4_a_document_is_fetched_and_is_its_own_did_s_only() {
    let key = SigningKey::from_seed(&[7; 32]);
    let endpoint = |port| ServiceEndpoint {
        host: org(),
        port,
        alpn: "entente-test/1".to_owned(),
    };
    let document = ServerDocument {
        did: ServerDid::new(org()),
        keys: vec![key.public()],
        federation: endpoint(4433),
        client: endpoint(4434),
        first_key_document_hash: [7; 32],
    };
    let json = String::from_utf8(document.to_json()).expect("JSON is UTF-8");
    let authority = Authority::new();
    let organization = Organization::start(&org(), &authority, Answer::ok(&json)).await;
    let client = client_of(&organization, &authority);
    assert_eq!(client.server_document(&org()).await, Ok(document.clone()));

    let dialled = client.addresses_of(&org(), &document.federation).await;
    assert_eq!(
        dialled,
        Ok(vec![organization.quic_address()]),
        "the host table decides"
    );

    let handle = "alice@org-a.example".parse().expect("a handle");
    let refused = client
        .user_document(&handle)
        .await
        .expect_err("this is another's document");
    assert!(matches!(refused, DocumentError::Document(_)), "{refused}");
    assert_eq!(organization.last_path(), "/u/alice/did.json");
}

#[tokio::test]
async fn a_handle_is_fetched_and_confirmed_by_its_account() {
    let root = SigningKey::from_seed(&[1; 32]);
    let device = Device {
        id: DeviceId([2; 16]),
        signature_key: SigningKey::from_seed(&[2; 32]).public(),
        hpke_key: HpkePublicKey([3; 32]),
        role: DeviceRole::Manager,
    };
    let handle: Handle = "alice@org-a.example".parse().expect("a handle");
    let created = UnixMillis(1_000);
    let account = AccountClaim {
        account: AccountDid::new(root.public()),
        device_list: first_device_list(&root, vec![device], created),
        signer_chain: vec![],
        home_record: HomeRecord::first(&root, handle.clone(), created),
    }
    .verify()
    .expect("the account's own statements hold");
    let json = String::from_utf8(UserDocument::to_json(&account)).expect("JSON is UTF-8");

    let authority = Authority::new();
    let organization = Organization::start(&org(), &authority, Answer::ok(&json)).await;
    let client = client_of(&organization, &authority);
    let document = client.user_document(&handle).await.expect("it is hers");
    assert_eq!(document.account.claim, account.claim);

    let mallory = "mallory@org-a.example".parse().expect("a handle");
    let refused = client.user_document(&mallory).await;
    assert!(
        matches!(refused, Err(DocumentError::Document(_))),
        "a document is its own handle's only"
    );
}

#[tokio::test]
async fn a_key_document_is_fetched_and_pinned() {
    let key = SigningKey::from_seed(&[7; 32]);
    let now = UnixMillis(1_000_000);
    let document = KeyDocument {
        did: ServerDid::new(org()),
        seq: 0,
        prev_hash: [0; 32],
        keys: vec![FederationKey {
            public: key.public(),
            from: now,
            until: None,
        }],
        next_key_hash: [8; 32],
        endpoints: vec![],
        features: vec![],
        issued: now,
    };
    let signed = document.sign(&key);
    let authority = Authority::new();
    let answer = Answer::bytes(&signed.to_bytes());
    let organization = Organization::start(&org(), &authority, answer).await;
    let client = client_of(&organization, &authority);
    let fetched = client.key_document(&org()).await.expect("it is published");
    assert_eq!(
        organization.last_path(),
        "/.well-known/entente-key-document"
    );
    assert_eq!(fetched, signed);
    let did = ServerDid::new(org());
    let pin = KeyPin::first_contact(&did, &document.chain_hash(), &fetched, now);
    assert!(pin.expect("its first").live_key(&key.public(), now));
}
