//! Texts that name something: domains, handles, DIDs, ids, addresses of documents.

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use entente_groups::{MessageId, RoomId, Suite};
use entente_identity::{
    AccountDid, Domain, Handle, LocalPart, RecoveryWords, ServerDid, UserDid, decode_exact, encode,
};

use crate::document_url::DocumentUrl;
use crate::input::text;
use crate::target::{Target, Verdict};

pub(super) const NAMES: Target = Target {
    name: "names",
    run: names,
    checks: "What parses prints back to the byte, as text and in its TLS form. No domain is an IP \
             address, and an HTTP client sees in an address the domain that we see.",
    smoke_runs: 25_000,
};

fn names(input: &[u8]) -> Verdict {
    let Some(text) = text(input) else {
        return Verdict::Refused;
    };
    // Own words are typed by their owner; what is wrong with them must not be quoted.
    if let Err(fault) = RecoveryWords::parse(text) {
        assert!(text.trim().len() < 5 || !fault.to_string().contains(text.trim()));
    }
    let _ = text.parse::<Suite>();
    Verdict::any([
        domain(text),
        document_url(text),
        encoded::<Handle>(text),
        encoded::<LocalPart>(text),
        encoded::<AccountDid>(text),
        encoded::<ServerDid>(text),
        encoded::<UserDid>(text),
        one_form::<RoomId>(text),
        one_form::<MessageId>(text),
    ])
}

fn one_form<T: FromStr<Err: Display> + Display>(text: &str) -> Verdict {
    let parsed = text.parse::<T>();
    if let Ok(value) = &parsed {
        assert_eq!(value.to_string(), text, "a name has one form");
    }
    Verdict::of(&parsed)
}

fn encoded<T>(text: &str) -> Verdict
where
    T: FromStr<Err: Display> + Display + tls_codec::Serialize + tls_codec::Deserialize,
{
    if let Ok(value) = text.parse::<T>() {
        let again: T = decode_exact("name", &encode(&value)).expect("what was written");
        assert_eq!(again.to_string(), text);
    }
    one_form::<T>(text)
}

fn domain(text: &str) -> Verdict {
    if text.parse::<Domain>().is_ok() {
        assert!(
            text.parse::<IpAddr>().is_err(),
            "an IP address is no domain"
        );
        let ascii = idna::domain_to_ascii_strict(text).ok();
        assert_eq!(
            ascii.as_deref(),
            Some(text),
            "a domain is canonical for IDNA"
        );
        check_host(&format!("https://{text}/"), text);
    }
    encoded::<Domain>(text)
}

fn document_url(text: &str) -> Verdict {
    if let Ok(address) = text.parse::<DocumentUrl>() {
        check_host(text, address.domain().as_str());
    }
    one_form::<DocumentUrl>(text)
}

/// The HTTP client's own parser agrees about host, port, path and that there is nothing else.
fn check_host(text: &str, domain: &str) {
    let parsed = url::Url::parse(text).expect("an address that an HTTP client takes");
    assert_eq!(parsed.host(), Some(url::Host::Domain(domain)));
    assert_eq!(parsed.as_str(), text, "nothing is rewritten");
    assert!(parsed.port().is_none() && parsed.query().is_none());
    assert!(parsed.username().is_empty() && parsed.password().is_none());
}
