//! The only addresses of documents that are ever fetched: `https://<canonical domain>/<plain path>`.

use std::fmt;
use std::str::FromStr;

use entente_identity::{Domain, DomainFault, Handle};

/// Longest path accepted, in bytes.
const MAX_PATH_BYTES: usize = 512;

/// Where a document lies. The port is HTTPS's, or the host table's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DocumentUrl {
    domain: Domain,
    path: String,
}

/// Why a text is no address of a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentUrlFault {
    /// Another scheme, or none.
    #[error("a document's address begins with https://")]
    Scheme,
    /// The host is no canonical domain: an IP address, a port, user info and their like.
    #[error("the host is no organization's domain: {0}")]
    Host(#[from] DomainFault),
    /// The path holds something else than plain segments.
    #[error("a document's path has at most 512 letters, digits and . _ - ~ between slashes")]
    Path,
}

impl DocumentUrl {
    /// The DID document of an organization (did:web, "Read (Resolve)").
    #[must_use]
    pub fn of_server(domain: &Domain) -> Self {
        Self {
            domain: domain.clone(),
            path: "/.well-known/did.json".to_owned(),
        }
    }

    /// The DID document of a person's handle.
    #[must_use]
    pub fn of_user(handle: &Handle) -> Self {
        let path = format!("/u/{}/did.json", handle.local().as_str());
        Self {
            domain: handle.domain().clone(),
            path,
        }
    }

    /// The signed key document of an organization's server.
    #[must_use]
    pub fn of_keys(domain: &Domain) -> Self {
        Self {
            domain: domain.clone(),
            path: "/.well-known/entente-key-document".to_owned(),
        }
    }

    /// Whose document it is.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The path, beginning with a slash.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl FromStr for DocumentUrl {
    type Err = DocumentUrlFault;

    fn from_str(text: &str) -> Result<Self, DocumentUrlFault> {
        let rest = text
            .strip_prefix("https://")
            .ok_or(DocumentUrlFault::Scheme)?;
        let slash = rest.find('/').unwrap_or(rest.len());
        let (host, path) = rest.split_at(slash);
        let domain = host.parse()?;
        if is_plain(path) {
            Ok(Self {
                domain,
                path: path.to_owned(),
            })
        } else {
            Err(DocumentUrlFault::Path)
        }
    }
}

/// Segments of unreserved characters (RFC 3986 §2.3), none of them `.` or `..`, so that no reader
/// along the way can take the path for another one.
fn is_plain(path: &str) -> bool {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'~');
    path.len() <= MAX_PATH_BYTES
        && path.strip_prefix('/').is_some_and(|segments| {
            segments.split('/').all(|segment| {
                !matches!(segment, "" | "." | "..") && segment.bytes().all(unreserved)
            })
        })
}

impl fmt::Display for DocumentUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.domain.as_str(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_lie_where_did_web_says() {
        let handle: Handle = "alice@org-a.example".parse().expect("a handle");
        let server = DocumentUrl::of_server(handle.domain());
        assert_eq!(
            server.to_string(),
            "https://org-a.example/.well-known/did.json"
        );
        let user = DocumentUrl::of_user(&handle);
        assert_eq!(user.to_string(), "https://org-a.example/u/alice/did.json");
        let keys = DocumentUrl::of_keys(handle.domain());
        assert_eq!(
            keys.to_string(),
            "https://org-a.example/.well-known/entente-key-document"
        );
        for url in [server, user, keys] {
            assert_eq!(url.to_string().parse(), Ok(url));
        }
    }

    #[test]
    fn b1_weird_hosts_are_refused() {
        for host in [
            "127.0.0.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "::1",
            "2130706433",
            "0x7f000001",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "127.1",
            "127.0.0.0x1",
            "%31%32%37.0.0.1",
            "１２７.0.0.1",
            "localhost",
            "org-a.example.",
            "ORG-A.example",
            "user@org-a.example",
            "org-a.example:8443",
            "org-a.example%3A8443",
            "org-a.example\\@evil.example",
            "",
            "fe80::1%25eth0",
            "org_a.example",
            "org-a..example",
            "①.example",
        ] {
            let parsed = format!("https://{host}/did.json").parse::<DocumentUrl>();
            assert!(
                matches!(parsed, Err(DocumentUrlFault::Host(_))),
                "{host}: {parsed:?}"
            );
        }
    }

    #[test]
    fn b1_weird_paths_and_schemes_are_refused() {
        for path in [
            "", "/", "/a//b", "/../a", "/a/./b", "/a?b", "/a#b", "/a%2fb", "/a b", "/a\\b",
        ] {
            let parsed = format!("https://org-a.example{path}").parse::<DocumentUrl>();
            assert_eq!(parsed, Err(DocumentUrlFault::Path), "{path}");
        }
        for text in [
            "http://org-a.example/a",
            "HTTPS://org-a.example/a",
            "//org-a.example/a",
            "file:///a",
        ] {
            assert_eq!(
                text.parse::<DocumentUrl>(),
                Err(DocumentUrlFault::Scheme),
                "{text}"
            );
        }
    }
}
