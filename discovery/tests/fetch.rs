//! SafeClient against a real HTTPS server that misbehaves (adversaries: discovery).

mod organization;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use entente_discovery::{
    AddressFault, DocumentError, DocumentUrl, ExtraCa, FetchError, LookupAnswer, MAX_BODY_BYTES,
    MAX_FETCH_MS, NameLookup, Options, SafeClient,
};
use entente_identity::{
    AccountClaim, AccountDid, Device, DeviceId, DeviceRole, Domain, Handle, HomeRecord,
    HpkePublicKey, ServerDid, ServerDocument, ServiceEndpoint, SigningKey, UnixMillis,
    UserDocument, first_device_list,
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

#[tokio::test]
async fn a_plain_answer_is_handed_over_as_it_came() {
    check(Answer::ok("{ \"id\" : 1 }"), Ok(b"{ \"id\" : 1 }")).await;
    let widest = format!("\"{}\"", "x".repeat(MAX_BODY_BYTES - 2));
    check(Answer::ok(&widest), Ok(widest.as_bytes())).await;
    check(Answer::chunked(&["[1,", "2]"]), Ok(b"[1,2]")).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = "location: https://org-a.example/elsewhere.json\r\n";
        check(
            Answer::status(status, elsewhere),
            Err(FetchError::Status(status)),
        )
        .await;
    }
    check(Answer::status(404, ""), Err(FetchError::Status(404))).await;
    check(Answer::status(204, ""), Err(FetchError::Status(204))).await;
}

#[tokio::test]
async fn a_body_beyond_64_kib_is_refused_announced_or_not() {
    let large = "x".repeat(MAX_BODY_BYTES + 1);
    check(Answer::ok(&large), Err(FetchError::TooLarge)).await;
    check(Answer::announcing(1 << 30), Err(FetchError::TooLarge)).await;
    check(Answer::endless(), Err(FetchError::TooLarge)).await;
}

#[tokio::test]
async fn a_byte_per_second_ends_at_the_deadline() {
    let started = Instant::now();
    check(Answer::dripping(), Err(FetchError::Slow)).await;
    let waited_ms = started.elapsed().as_millis();
    let limit_ms = u128::from(MAX_FETCH_MS);
    assert!(
        (limit_ms..limit_ms + 1_500).contains(&waited_ms),
        "{waited_ms} ms"
    );
}

#[tokio::test]
async fn a_server_that_never_answers_ends_at_the_deadline() {
    check(Answer::silent(), Err(FetchError::Slow)).await;
}

#[tokio::test]
async fn a_compressed_body_is_neither_decoded_nor_handed_over() {
    for encoding in ["gzip", "br", "deflate", "identity, gzip"] {
        let header = format!("content-encoding: {encoding}\r\n");
        check(
            Answer::ok_with(&header, "\u{1f}\u{8b}bomb"),
            Err(FetchError::Encoded),
        )
        .await;
    }
    check(
        Answer::ok_with("content-encoding: identity\r\n", "{}"),
        Ok(b"{}"),
    )
    .await;
}

#[tokio::test]
async fn deep_json_is_refused() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    check(Answer::ok(&nested(32)), Ok(nested(32).as_bytes())).await;
    check(Answer::ok(&nested(33)), Err(FetchError::TooDeep)).await;
    check(Answer::ok(&nested(30_000)), Err(FetchError::TooDeep)).await;
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
async fn a_name_that_leads_inside_opens_no_socket() {
    let authority = Authority::new();
    let organization = Organization::start(&org(), &authority, Answer::ok("{}")).await;
    for inside in [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "::1",
        "::ffff:127.0.0.1",
        "fc00::1",
        "fe80::1",
        "64:ff9b::7f00:1",
    ] {
        let lookup = Always::new(&[inside]);
        let options = Options {
            host_table: organization.host_table(),
            extra_ca: None,
        };
        let asked: Arc<Always> = Arc::clone(&lookup);
        let client = SafeClient::with_lookup(options, lookup).expect("a client");
        let evil: Domain = "evil.example".parse().expect("a domain");
        let fetched = client.fetch_json(&DocumentUrl::of_server(&evil)).await;
        let refused = FetchError::Address(AddressFault::NotPublic { domain: evil });
        assert_eq!(fetched, Err(refused), "{inside}");
        assert_eq!(
            client.addresses_released(),
            0,
            "nothing to dial was given out"
        );
        assert_eq!(asked.asked.load(Ordering::Relaxed), 1, "one lookup decides");
    }
    assert_eq!(organization.connections(), 0);
}

#[tokio::test]
async fn a_name_without_an_address_opens_no_socket() {
    let client = SafeClient::with_lookup(Options::default(), Always::new(&[])).expect("a client");
    let fetched = client.fetch_json(&DocumentUrl::of_server(&org())).await;
    assert_eq!(
        fetched,
        Err(FetchError::Address(AddressFault::None { domain: org() }))
    );
    assert_eq!(client.addresses_released(), 0);
}

#[tokio::test]
async fn a_document_is_fetched_and_read() {
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
