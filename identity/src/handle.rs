//! Handles: the names people use for each other, `alice@org-a.example`.

use std::fmt;
use std::str::FromStr;

use crate::codec::tls_text;
use crate::did::UserDid;
use crate::domain::{Domain, DomainFault};

/// Longest local part, in bytes.
const MAX_LOCAL_BYTES: usize = 64;

/// The part of a handle before the `@`: `[a-z0-9._-]{1,64}`, beginning and ending with a letter or
/// digit so that it is never mistaken for a path segment such as `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalPart(String);

/// A person's public name at an organization.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle {
    local: LocalPart,
    domain: Domain,
}

/// Why a text is not a handle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandleFault {
    /// No `@`, or more than one.
    #[error("a handle looks like alice@org-a.example")]
    Shape,
    /// The local part has a character or length that is not allowed.
    #[error(
        "`{0}` is not a user name: use a-z, 0-9, dot, underscore and hyphen, 1 to 64 characters, \
         beginning and ending with a letter or digit"
    )]
    Local(String),
    /// The domain is not canonical.
    #[error(transparent)]
    Domain(#[from] DomainFault),
}

impl LocalPart {
    /// The local part as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LocalPart {
    type Err = HandleFault;

    fn from_str(text: &str) -> Result<Self, HandleFault> {
        let bytes = text.as_bytes();
        let outer = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let inner = |b: u8| outer(b) || matches!(b, b'.' | b'_' | b'-');
        let sized = (1..=MAX_LOCAL_BYTES).contains(&bytes.len());
        if sized
            && bytes.iter().all(|b| inner(*b))
            && outer(bytes[0])
            && outer(bytes[bytes.len() - 1])
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(HandleFault::Local(text.chars().take(80).collect()))
        }
    }
}

impl Handle {
    /// Puts a handle together from its parts.
    #[must_use]
    pub fn new(local: LocalPart, domain: Domain) -> Self {
        Self { local, domain }
    }

    /// The part before the `@`.
    #[must_use]
    pub fn local(&self) -> &LocalPart {
        &self.local
    }

    /// The organization's domain.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The `did:web` under which the handle's document is published.
    #[must_use]
    pub fn did(&self) -> UserDid {
        UserDid::new(self.clone())
    }
}

impl FromStr for Handle {
    type Err = HandleFault;

    fn from_str(text: &str) -> Result<Self, HandleFault> {
        let (local, domain) = text.split_once('@').ok_or(HandleFault::Shape)?;
        if domain.contains('@') {
            return Err(HandleFault::Shape);
        }
        Ok(Self::new(local.parse()?, domain.parse()?))
    }
}

impl fmt::Display for LocalPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LocalPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

tls_text!(LocalPart);
tls_text!(Handle);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: bool) {
        let parsed = text.parse::<Handle>();
        assert_eq!(parsed.is_ok(), expect, "{text}: {parsed:?}");
        if let Ok(handle) = parsed {
            assert_eq!(handle.to_string(), text);
        }
    }

    #[test]
    fn a11_only_canonical_handles_parse() {
        check("alice@org-a.example", true);
        check("a.b_c-9@org-a.example", true);
        check(&format!("{}@org-a.example", "a".repeat(64)), true);
        check(&format!("{}@org-a.example", "a".repeat(65)), false);
        for bad in [
            "",
            "@",
            "alice",
            "@org-a.example",
            "alice@",
            "Alice@org-a.example",
            "alice@org-a.example@org-b.example",
            "alice@@org-a.example",
            "@alice@org-a.example",
            ".alice@org-a.example",
            "alice.@org-a.example",
            "..@org-a.example",
            "-a@org-a.example",
            "a_@org-a.example",
            "al/ice@org-a.example",
            "al\\ice@org-a.example",
            "al%2fice@org-a.example",
            "al:ice@org-a.example",
            "al+ice@org-a.example",
            "al ice@org-a.example",
            " alice@org-a.example",
            "alice@org-a.example ",
            "alice\n@org-a.example",
            "al\0ice@org-a.example",
            "\u{430}lice@org-a.example",
            "al\u{200d}ice@org-a.example",
            "ali\u{301}ce@org-a.example",
            "\"alice\"@org-a.example",
            "alice@org-a.example.",
            "alice@ORG-A.example",
            "alice@org-a.example:443",
            "alice@org-a.example/x",
            "alice@[::1]",
            "alice@127.0.0.1",
            "alice@xn--a.example",
        ] {
            check(bad, false);
        }
    }
}
