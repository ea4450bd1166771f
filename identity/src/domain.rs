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
    fn a11_only_canonical_domains_parse() {
        for good in [
            "org-a.example",
            "a.b.c.example",
            "1.example",
            "a--b.c-d.example",
            "xn--bcher-kva.example",
            "xn--fiqs8s.xn--fiqs8s",
        ] {
            check(good, true);
        }
        check(&format!("{}.example", "a".repeat(63)), true);
        check(&format!("{}.example", "a".repeat(64)), false);
        check(&format!("{}example", "a.".repeat(123)), true);
        check(&format!("{}example", "a.".repeat(124)), false);
    }

    #[test]
    fn a11_every_other_spelling_is_refused() {
        for bad in [
            // Trailing, leading and doubled dots; one label; nothing.
            "",
            ".",
            "org-a.example.",
            "org-a.example..",
            ".org-a.example",
            "org..example",
            "localhost",
            // Upper case, also outside of ASCII, and what lower-casing turns into ASCII.
            "Org-a.example",
            "org-a.EXAMPLE",
            "org-a.e\u{212a}ample",
            // Hyphens where no label has them.
            "-a.example",
            "a-.example",
            "ab--c.example",
            // Names in their U-label form, full-width forms and other dots.
            "b\u{fc}cher.example",
            "\u{ff4f}rg.example",
            "org-a\u{3002}example",
            "org-a\u{ff0e}example",
            "org\u{200b}.example",
            "org\u{ad}.example",
            // What is written after a host.
            "org.example:443",
            "org.example%3A443",
            "org.example/",
            "org.example/x",
            "org.example\\x",
            "org.example?x",
            "org.example#x",
            "org.example%2e",
            "org%2eexample",
            // What is written before a host.
            "user@org.example",
            "user:secret@org.example",
            "//org.example",
            "https://org.example",
            "did:web:org.example",
            // IP addresses in all their spellings, with zones.
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "a.0x7f",
            "2130706433",
            "[::1]",
            "::1",
            "fe80::1%eth0",
            "[fe80::1%25eth0]",
            // What shells, headers and logs read as more than a character.
            "a b.example",
            " org-a.example",
            "org-a.example ",
            "org-a.example\n",
            "org-a.example\0",
            "org-a.example\t",
            "org_a.example",
            "*.example",
        ] {
            check(bad, false);
        }
    }

    #[test]
    fn a11_masks_of_internationalized_names_are_refused() {
        for bad in [
            // No Punycode, of ASCII only, of nothing, in upper case, hyphens at its end.
            "xn--a.example",
            "xn--org-a-.example",
            "xn--.example",
            "XN--bcher-kva.example",
            "xn--bcher-kvA.example",
            "xn--a-.example",
            "xn--a--.example",
            // Of characters that are mapped, ignored or nowhere valid: an upper-case B, full-width a, a
            // soft hyphen, the Kelvin sign, a joiner, a leading accent, one dot leader.
            "xn--Bcher-kva.example",
            "xn--mi7c.example",
            "xn--org-a-2ha.example",
            "xn--62g.example",
            "xn--ab-m1t.example",
            "xn--a-wbb.example",
            "xn--orga-ic7a.example",
            "xn--tsh.example",
            "org-a.xn--example-",
            // The prefix stands for a label, and other prefixes are reserved (RFC 5890 §2.3.1).
            "xx--bcher-kva.example",
            "xn--xn--bcher-kva-.example",
        ] {
            check(bad, false);
        }
    }

    #[test]
    fn a11_a_domain_with_another_as_its_beginning_or_end_is_another() {
        let domain = |text: &str| text.parse::<Domain>().expect(text);
        let org = domain("org-a.example");
        for other in [
            "org-a.example.evil",
            "org-a.example-evil.org",
            "evil-org-a.example",
            "evil.org-a.example",
            "org-a.examples",
            "rg-a.example",
        ] {
            assert_ne!(domain(other), org);
        }
    }

    proptest::proptest! {
        #[test]
        fn a11_what_parses_prints_back_and_is_its_own_lower_case(
            text in "[a-cA-C0-2xn._:@/%-]{1,24}"
        ) {
            if let Ok(domain) = text.parse::<Domain>() {
                proptest::prop_assert_eq!(domain.to_string(), text.clone());
                proptest::prop_assert_eq!(text.to_lowercase(), text);
            }
        }
    }
}
