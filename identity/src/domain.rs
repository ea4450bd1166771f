//! Host names of organizations, in one canonical form.

use std::fmt;
use std::str::FromStr;

use crate::codec::tls_text;

/// Longest domain accepted, in bytes (RFC 1035 §2.3.4).
const MAX_DOMAIN_BYTES: usize = 253;

/// A registered name such as `org-a.example`: lower-case ASCII, at least two labels, never an IP
/// address, a port, user info or a trailing dot. Internationalized names stand in their A-label form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(String);

/// Why a text is not a domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainFault {
    /// Empty, or longer than 253 bytes.
    #[error("a domain has 1 to 253 characters, this has {0}")]
    Length(usize),
    /// A label breaks RFC 1123 §2.1.
    #[error("`{0}` is not a domain label: use a-z, 0-9 and inner hyphens, 1 to 63 characters")]
    Label(String),
    /// A single label, such as `localhost`.
    #[error("a domain needs at least two labels, as in org-a.example")]
    SingleLabel,
    /// The last label is a number, so resolvers may read the whole as an IP address.
    #[error("a domain's last label must not be a number: IP addresses name no organization")]
    Numeric,
    /// An `xn--` label that is not the canonical form of any name (RFC 5891 §4.4).
    #[error("`{0}` is not a canonical internationalized name")]
    Idna(String),
}

impl Domain {
    /// The domain as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Domain {
    type Err = DomainFault;

    fn from_str(text: &str) -> Result<Self, DomainFault> {
        if text.is_empty() || text.len() > MAX_DOMAIN_BYTES {
            return Err(DomainFault::Length(text.len()));
        }
        let labels: Vec<&str> = text.split('.').collect();
        if let Some(bad) = labels.iter().find(|label| !is_label(label)) {
            return Err(DomainFault::Label((*bad).to_owned()));
        }
        if labels.len() < 2 {
            return Err(DomainFault::SingleLabel);
        }
        let last = labels[labels.len() - 1];
        if last.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(DomainFault::Numeric);
        }
        if labels.iter().any(|label| label.get(2..4) == Some("--")) {
            let canonical = idna::domain_to_ascii_strict(text).ok();
            if canonical.as_deref() != Some(text) {
                return Err(DomainFault::Idna(text.to_owned()));
            }
        }
        Ok(Self(text.to_owned()))
    }
}

fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        && bytes[0] != b'-'
        && bytes[bytes.len() - 1] != b'-'
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

tls_text!(Domain);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: bool) {
        let parsed = text.parse::<Domain>();
        assert_eq!(parsed.is_ok(), expect, "{text}: {parsed:?}");
        if let Ok(domain) = parsed {
            assert_eq!(domain.to_string(), text);
        }
    }

    #[test]
    fn only_canonical_domains_parse() {
        check("org-a.example", true);
        check("a.b.c.example", true);
        check("xn--bcher-kva.example", true);
        for bad in [
            "",
            "localhost",
            "Org-a.example",
            "org-a.example.",
            "org..example",
            "-a.example",
            "a-.example",
            "127.0.0.1",
            "0x7f.1",
            "2130706433",
            "[::1]",
            "org.example:443",
            "user@org.example",
            "org.example/x",
            "org.example%2e",
            "bücher.example",
            "xn--a.example",
            "fe80::1%eth0",
            "a b.example",
        ] {
            check(bad, false);
        }
        check(&format!("{}.example", "a".repeat(64)), false);
        check(&format!("{}example", "a.".repeat(130)), false);
    }
}
