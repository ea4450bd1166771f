//! No name leads inside, however it is written and wherever it resolves (adversaries B1).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use entente_discovery::{AddressFault, DocumentUrl, FetchError, Options, SafeClient, Service};
use entente_identity::{Domain, Handle, ServerDid, ServiceEndpoint, UserDid};

use super::trace::Trace;
use super::{Always, Answer, Authority, Organization, org};

/// Every kind of address that is nobody's on the public internet.
const INSIDE: &[&str] = &[
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.251",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    // IPv4-mapped, IPv4-compatible and IPv4-translated addresses (RFC 4291 §2.5.5, RFC 2765).
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:8.8.8.8",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    // NAT64 of an inner address (RFC 6052), and its prefixes for use inside (RFC 8215).
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::8.8.8.8",
    // 6to4 and Teredo carry an IPv4 address (RFC 3056, RFC 4380).
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:808:808::1",
    "2001:0:7f00:1::1",
    "2001:0:808:808:0:ffff:f5ff:fffe",
    "100::1",
    "2001:2::1",
    "2001:10::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
];

/// IP addresses in the spellings that some resolver or library reads as one, and what is no host.
const SPELLINGS: &[&str] = &[
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0x0.0x0.0x1",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.0x1",
    "a.127",
    "169.254.169.254",
    "[::1]",
    "::1",
    "[::ffff:127.0.0.1]",
    "%31%32%37.0.0.1",
    "%31%32%37%2e0%2e0%2e1",
    "127%2E0%2E0%2E1",
    "127.0.0.1%3A443",
    "[::1]%3A443",
    "fe80::1%25eth0",
    "１２７.0.0.1",
    "127。0。0。1",
    "⑫7.0.0.1",
    "localhost",
    "localhost.",
    "127.0.0.1.",
    "user@127.0.0.1",
    "org-a.example@127.0.0.1",
    "127.0.0.1#org-a.example",
    "127.0.0.1/org-a.example",
    "127.0.0.1\\org-a.example",
    "127.0.0.1\torg-a.example",
    "127.0.0.1\0.org-a.example",
];

fn evil() -> Domain {
    "evil.example".parse().expect("a domain")
}

/// A client whose every name resolves to these addresses, with a trace of what it dials.
fn client(lookup: &Arc<Always>) -> (SafeClient, Arc<Trace>) {
    let trace = Arc::new(Trace::default());
    let lookup: Arc<Always> = Arc::clone(lookup);
    let client = SafeClient::with_hook(Options::default(), lookup, trace.hook());
    (client.expect("a client"), trace)
}

#[tokio::test]
async fn b1_a_name_that_resolves_inside_opens_no_socket() {
    let not_public = AddressFault::NotPublic { domain: evil() };
    for inside in INSIDE {
        let lookup = Always::new(&[inside]);
        let (client, dialled) = client(&lookup);
        let fetched = client.fetch_json(&DocumentUrl::of_server(&evil())).await;
        assert_eq!(
            fetched,
            Err(FetchError::Address(not_public.clone())),
            "{inside}"
        );
        assert!(client.key_document(&evil()).await.is_err(), "{inside}");
        let endpoint = ServiceEndpoint {
            host: evil(),
            port: 4433,
            alpn: "entente-federation/1".to_owned(),
        };
        let quic = client.addresses_of(&org(), &endpoint).await;
        assert_eq!(quic, Err(not_public.clone()), "{inside}");
        assert_eq!(dialled.addresses(), [], "{inside}");
        assert_eq!(client.addresses_released(), 0, "{inside}");
        let asked = lookup.asked.load(Ordering::Relaxed);
        assert_eq!(asked, 3, "one lookup decides each time");
    }
}

#[tokio::test]
async fn b1_inner_addresses_among_public_ones_are_left_out() {
    let lookup = Always::new(&["10.0.0.1", "1.1.1.1", "::1", "::ffff:1.1.1.1"]);
    let (client, dialled) = client(&lookup);
    let endpoint = ServiceEndpoint {
        host: evil(),
        port: 4433,
        alpn: "entente-federation/1".to_owned(),
    };
    let quic = client.addresses_of(&org(), &endpoint).await;
    let public = "1.1.1.1:4433".parse().expect("an address");
    assert_eq!(quic, Ok(vec![public]));
    assert_eq!(dialled.all(), [(org(), public, Service::Quic)]);
}

#[test]
fn b1_an_ip_address_in_any_spelling_is_no_did_and_no_document() {
    for host in SPELLINGS {
        let did = format!("did:web:{host}").parse::<ServerDid>();
        assert!(did.is_err(), "{host}: {did:?}");
        let user = format!("did:web:{host}:u:alice").parse::<UserDid>();
        assert!(user.is_err(), "{host}: {user:?}");
        let handle = format!("alice@{host}").parse::<Handle>();
        assert!(handle.is_err(), "{host}: {handle:?}");
        let url = format!("https://{host}/.well-known/did.json").parse::<DocumentUrl>();
        assert!(url.is_err(), "{host}: {url:?}");
    }
}

#[tokio::test]
async fn b1_the_host_table_opens_the_inside_for_its_own_names_only() {
    let authority = Authority::new();
    let organization = Organization::start(&org(), &authority, Answer::ok("{}")).await;
    let (client, dialled) = super::trace::client_of(&organization, &authority);
    for name in ["evil.example", "sub.org-a.example", "org-a.example.evil"] {
        let domain: Domain = name.parse().expect("a domain");
        let fetched = client.fetch_json(&DocumentUrl::of_server(&domain)).await;
        let fault = AddressFault::NotPublic { domain };
        assert_eq!(fetched, Err(FetchError::Address(fault)));
    }
    assert_eq!(dialled.addresses(), []);
    assert_eq!(organization.connections(), 0);
    let fetched = client.fetch_json(&DocumentUrl::of_server(&org())).await;
    assert!(fetched.is_ok(), "{fetched:?}");
    let told = (org(), organization.address(), Service::Documents);
    assert_eq!(dialled.all(), [told]);
}

#[tokio::test]
async fn b1_a_name_without_an_address_opens_no_socket() {
    let (client, dialled) = client(&Always::new(&[]));
    let fetched = client.fetch_json(&DocumentUrl::of_server(&org())).await;
    assert_eq!(
        fetched,
        Err(FetchError::Address(AddressFault::None { domain: org() }))
    );
    assert_eq!(dialled.addresses(), []);
}
