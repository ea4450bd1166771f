//! The whole client where a name's answer changes, against real listeners (adversaries B1, B2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpListener;

use super::*;
use crate::address::is_public;
use crate::lookup::LookupAnswer;
use organization::{Answer, Authority, Organization};

#[path = "../../tests/fetch/organization.rs"]
#[expect(
    dead_code,
    reason = "made for all tests of the crate, here a part is used"
)]
mod organization;

/// The address that counts as public here, and one that does not.
const VETTED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const INNER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// Answers one list after the other and the last for ever, as a name whose owner changes it does.
struct Flipping {
    answers: Mutex<Vec<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Flipping {
    fn new(answers: &[&[Ipv4Addr]]) -> Arc<Self> {
        let list = |answer: &&[Ipv4Addr]| answer.iter().copied().map(IpAddr::V4).collect();
        Arc::new(Self {
            answers: Mutex::new(answers.iter().map(list).collect()),
            asked: AtomicUsize::new(0),
        })
    }
}

impl NameLookup for Flipping {
    fn lookup(&self, _: &Domain) -> LookupAnswer {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().expect("no test panics here");
        let answer = match answers.len() {
            1 => answers[0].clone(),
            _ => answers.remove(0),
        };
        Box::pin(async move { Ok(answer) })
    }
}

fn org() -> Domain {
    "org-a.example".parse().expect("a domain")
}

/// Two listeners with one port, so that only the address tells them apart.
async fn two_listeners() -> (TcpListener, TcpListener) {
    for _ in 0..100 {
        let first = TcpListener::bind((VETTED, 0)).await.expect("a port");
        let port = first.local_addr().expect("it is bound").port();
        if let Ok(second) = TcpListener::bind((INNER, port)).await {
            return (first, second);
        }
    }
    panic!("no port is free on two loopback addresses");
}

struct Scene {
    client: SafeClient,
    vetted: Organization,
    inner: Organization,
    lookup: Arc<Flipping>,
    dialled: Arc<Mutex<Vec<SocketAddr>>>,
}

/// Two organizations that hold a certificate of the same name, one of them inside.
async fn scene(answers: &[&[Ipv4Addr]]) -> Scene {
    let (first, second) = two_listeners().await;
    let port = first.local_addr().expect("it is bound").port();
    let authority = Authority::new();
    let vetted = Organization::start_on(first, &org(), &authority, Answer::ok("[\"vetted\"]"));
    let inner = Organization::start_on(second, &org(), &authority, Answer::ok("[\"inner\"]"));
    let lookup = Flipping::new(answers);
    let rules = Rules {
        is_public: |address| address == IpAddr::V4(VETTED),
        https_port: port,
    };
    let dialled = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&dialled);
    let hook: DialHook = Arc::new(move |dial| {
        told.lock().expect("no test panics here").push(dial.address);
    });
    let options = Options {
        extra_ca: Some(ExtraCa::from_pem(authority.pem().as_bytes()).expect("the authority's PEM")),
        ..Options::default()
    };
    let asked: Arc<Flipping> = Arc::clone(&lookup);
    Scene {
        client: SafeClient::with_rules(options, asked, rules, Some(hook)).expect("a client"),
        vetted,
        inner,
        lookup,
        dialled,
    }
}

impl Scene {
    async fn fetch(&self) -> Result<Bytes, FetchError> {
        self.client
            .fetch_json(&DocumentUrl::of_server(&org()))
            .await
    }

    /// How often the name was asked for, and connections arrived outside and inside.
    fn counts(&self) -> (usize, usize, usize) {
        let asked = self.lookup.asked.load(Ordering::SeqCst);
        (asked, self.vetted.connections(), self.inner.connections())
    }
}

#[tokio::test]
async fn b2_after_a_flip_only_the_vetted_address_is_dialled() {
    let scene = scene(&[&[VETTED], &[INNER]]).await;
    assert_eq!(scene.fetch().await.as_deref(), Ok(&b"[\"vetted\"]"[..]));
    assert_eq!(scene.counts(), (1, 1, 0), "one lookup, no second thought");
    let refused = FetchError::Address(AddressFault::NotPublic { domain: org() });
    assert_eq!(scene.fetch().await, Err(refused));
    assert_eq!(scene.counts(), (2, 1, 0), "no connection is kept either");
    let dialled = scene.dialled.lock().expect("no test panics here");
    assert_eq!(*dialled, [scene.vetted.address()]);
}

#[tokio::test]
async fn b2_of_a_mixed_answer_only_the_vetted_address_is_dialled() {
    let scene = scene(&[&[INNER, VETTED, INNER]]).await;
    assert_eq!(scene.fetch().await.as_deref(), Ok(&b"[\"vetted\"]"[..]));
    assert_eq!(scene.counts(), (1, 1, 0));
}

#[tokio::test]
async fn b2_a_dead_vetted_address_leads_to_no_other() {
    let (first, second) = two_listeners().await;
    let port = first.local_addr().expect("it is bound").port();
    drop(first);
    let rules = Rules {
        is_public: |address| address == IpAddr::V4(VETTED),
        https_port: port,
    };
    let lookup = Flipping::new(&[&[VETTED, INNER]]);
    let client = SafeClient::with_rules(Options::default(), lookup, rules, None);
    let fetched = client
        .expect("a client")
        .fetch_json(&DocumentUrl::of_server(&org()))
        .await;
    assert!(
        matches!(fetched, Err(FetchError::Unreachable { .. })),
        "{fetched:?}"
    );
    assert_no_connection(second).await;
}

#[tokio::test]
async fn b1_a_listener_on_the_inside_is_never_reached() {
    for inside in [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V4(VETTED),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped()),
        // Connecting to the unspecified address reaches the machine itself.
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    ] {
        let Ok(listener) = TcpListener::bind((inside, 0)).await else {
            // Not every machine has IPv6.
            continue;
        };
        let https_port = listener.local_addr().expect("it is bound").port();
        let fetch = async |is_public| {
            let rules = Rules {
                is_public,
                https_port,
            };
            let answer = Arc::new(Fixed(inside));
            let client = SafeClient::with_rules(Options::default(), answer, rules, None);
            let url = DocumentUrl::of_server(&org());
            client.expect("a client").fetch_json(&url).await
        };
        let fetched = fetch(is_public).await;
        let refused = FetchError::Address(AddressFault::NotPublic { domain: org() });
        assert_eq!(fetched, Err(refused), "{inside}");
        let listener = assert_no_connection(listener).await;
        // With vetting off the same client does arrive, so that the silence above means something.
        tokio::select! {
            accepted = listener.accept() => assert!(accepted.is_ok(), "{inside}"),
            fetched = fetch(|_| true) => panic!("{inside}: {fetched:?}"),
        }
    }
}

struct Fixed(IpAddr);

impl NameLookup for Fixed {
    fn lookup(&self, _: &Domain) -> LookupAnswer {
        let answer = vec![self.0];
        Box::pin(async move { Ok(answer) })
    }
}

/// A connection of our own is the first that the listener sees.
async fn assert_no_connection(listener: TcpListener) -> TcpListener {
    let address = listener.local_addr().expect("it is bound");
    let own = tokio::net::TcpStream::connect(address)
        .await
        .expect("it listens");
    let (_, from) = listener.accept().await.expect("a connection");
    assert_eq!(from, own.local_addr().expect("it is connected"));
    listener
}

/// Never answers.
struct Mute;

impl NameLookup for Mute {
    fn lookup(&self, _: &Domain) -> LookupAnswer {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_fetch_beyond_the_most_at_once_waits_within_its_own_time() {
    let client = SafeClient::with_lookup(Options::default(), Arc::new(Mute)).expect("a client");
    let client = Arc::new(client);
    let fetch = || {
        let client = Arc::clone(&client);
        async move { client.fetch_json(&DocumentUrl::of_server(&org())).await }
    };
    let mut most = tokio::task::JoinSet::new();
    for _ in 0..MAX_FETCHES {
        most.spawn(fetch());
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    let begun = tokio::time::Instant::now();
    let one_more = fetch().await;
    // It waited until the others had ended, went on, and had the rest of its time for that.
    assert_eq!(begun.elapsed(), Duration::from_millis(MAX_FETCH_MS));
    assert_eq!(one_more, Err(FetchError::Slow));
    assert!(most.join_all().await.iter().all(Result::is_err));
}
