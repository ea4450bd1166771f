//! The host table: names of a closed network with their addresses and ports, as in `/etc/hosts`.
//!
//! A testnet gives it to servers and clients, so that DIDs carry no port and several organizations
//! live on one machine. A name in it is never looked up, and only such a name may lead to a loopback
//! or private address. Each line: `name ip https_port quic_port`; `#` begins a comment. A server of
//! several nodes has a line for each of them, in the order to try.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use entente_identity::{Domain, DomainFault};

/// Most bytes of a host table that are read.
const MAX_FILE_BYTES: usize = 1024 * 1024;
/// Most lines of one name: as many places as are tried of any name.
pub(crate) const MAX_LINES: usize = 8;

/// Where one node of an organization's server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its address; any unicast address is accepted.
    pub address: IpAddr,
    /// The TCP port of its documents.
    pub https_port: u16,
    /// The UDP port of its services.
    pub quic_port: u16,
}

/// Names with a fixed place. An empty table changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostTable {
    hosts: BTreeMap<Domain, Vec<Host>>,
}

/// A host table that cannot be used, with the place of the fault.
#[derive(Debug, thiserror::Error)]
pub enum HostTableError {
    /// The file cannot be read.
    #[error("cannot read the host table {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is beyond any table of names.
    #[error("the host table {} has more than {MAX_FILE_BYTES} bytes", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
    },
    /// A line is wrong.
    #[error("{}:{line}: {fault}", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        fault: HostTableFault,
    },
}

/// What is wrong with a line of a host table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostTableFault {
    /// Not four fields.
    #[error("a line is `name ip https_port quic_port`, this has {0} fields")]
    Fields(usize),
    /// The name is no canonical domain.
    #[error(transparent)]
    Name(#[from] DomainFault),
    /// No IP address, or none that a server can have.
    #[error("`{0}` is not the IP address of a host")]
    Address(String),
    /// No port.
    #[error("`{0}` is not a port: use 1 to 65535")]
    Port(String),
    /// The same place stands there twice.
    #[error("`{0}` has this line already")]
    Twice(String),
    /// More lines of one name than are tried.
    #[error("`{0}` has {MAX_LINES} lines already, and no more are tried")]
    TooMany(String),
}

impl HostTable {
    /// Reads a table from a file.
    ///
    /// # Errors
    /// When the file is not there, is too large, or has a wrong line.
    pub fn load(file: &Path) -> Result<Self, HostTableError> {
        let unreadable = |source| HostTableError::Unreadable {
            file: file.to_owned(),
            source,
        };
        let length = fs::metadata(file).map_err(unreadable)?.len();
        if length > MAX_FILE_BYTES as u64 {
            return Err(HostTableError::TooLarge {
                file: file.to_owned(),
            });
        }
        let text = fs::read_to_string(file).map_err(unreadable)?;
        Self::parse(file, &text)
    }

    /// Reads a table from the text of `file`, which only names the place of a fault.
    ///
    /// # Errors
    /// When a line is wrong.
    pub fn parse(file: &Path, text: &str) -> Result<Self, HostTableError> {
        let mut hosts = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let entry = line.split('#').next().unwrap_or(line).trim();
            if entry.is_empty() {
                continue;
            }
            add(&mut hosts, entry).map_err(|fault| HostTableError::Line {
                file: file.to_owned(),
                line: index + 1,
                fault,
            })?;
        }
        Ok(Self { hosts })
    }

    /// Where a name listens, if it has fixed places, in the order to try.
    #[must_use]
    pub fn hosts(&self, domain: &Domain) -> Option<&[Host]> {
        self.hosts.get(domain).map(Vec::as_slice)
    }

    /// How many names have a fixed place.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether the table changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }
}

impl Host {
    pub(crate) fn https(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.https_port)
    }

    pub(crate) fn quic(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.quic_port)
    }
}

fn add(hosts: &mut BTreeMap<Domain, Vec<Host>>, entry: &str) -> Result<(), HostTableFault> {
    let fields: Vec<&str> = entry.split_whitespace().collect();
    let [name, address, https_port, quic_port] = fields[..] else {
        return Err(HostTableFault::Fields(fields.len()));
    };
    let domain: Domain = name.parse()?;
    let host = Host {
        address: parse_address(address)?,
        https_port: parse_port(https_port)?,
        quic_port: parse_port(quic_port)?,
    };
    let places = hosts.entry(domain).or_default();
    if places.contains(&host) {
        return Err(HostTableFault::Twice(name.to_owned()));
    }
    if places.len() >= MAX_LINES {
        return Err(HostTableFault::TooMany(name.to_owned()));
    }
    places.push(host);
    Ok(())
}

fn parse_address(text: &str) -> Result<IpAddr, HostTableFault> {
    text.parse()
        .ok()
        .filter(|address: &IpAddr| !address.is_unspecified() && !address.is_multicast())
        .ok_or_else(|| HostTableFault::Address(text.to_owned()))
}

fn parse_port(text: &str) -> Result<u16, HostTableFault> {
    text.parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| HostTableFault::Port(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, complaint: &str) {
        let error = HostTable::parse(Path::new("hosts"), text).expect_err(text);
        assert_eq!(error.to_string(), complaint);
    }

    #[test]
    fn lines_become_hosts() {
        let text = "# a closed network\n\norg-a.example 127.0.0.2 8443 4433 # the first\norg-b.example ::1 1 2\n";
        let table = HostTable::parse(Path::new("hosts"), text).expect("the text is a table");
        let domain: Domain = "org-a.example".parse().expect("a domain");
        let [host] = table.hosts(&domain).expect("a host") else {
            panic!("one line, one place");
        };
        assert_eq!(host.https().to_string(), "127.0.0.2:8443");
        assert_eq!(host.quic().to_string(), "127.0.0.2:4433");
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn a_server_of_several_nodes_has_a_line_for_each() {
        let text = "a.example 127.0.0.1 1 2\nb.example ::1 3 4\na.example 127.0.0.1 5 6\n";
        let table = HostTable::parse(Path::new("hosts"), text).expect("the text is a table");
        let domain: Domain = "a.example".parse().expect("a domain");
        let places = table.hosts(&domain).expect("two hosts").iter();
        let quic: Vec<String> = places.map(|host| host.quic().to_string()).collect();
        assert_eq!(quic, ["127.0.0.1:2", "127.0.0.1:6"]);
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn faults_name_file_and_line() {
        check(
            "\norg-a.example 127.0.0.1 1",
            "hosts:2: a line is `name ip https_port quic_port`, this has 3 fields",
        );
        check(
            "org-a.example localhost 1 2",
            "hosts:1: `localhost` is not the IP address of a host",
        );
        check(
            "org-a.example 0.0.0.0 1 2",
            "hosts:1: `0.0.0.0` is not the IP address of a host",
        );
        check(
            "org-a.example 127.0.0.1 0 2",
            "hosts:1: `0` is not a port: use 1 to 65535",
        );
        check(
            "org-a.example 127.0.0.1 1 65536",
            "hosts:1: `65536` is not a port: use 1 to 65535",
        );
        let twice = "a.example 127.0.0.1 1 2\na.example 127.0.0.1 1 2";
        check(twice, "hosts:2: `a.example` has this line already");
        let many: String = (1..=9)
            .map(|port| format!("a.example 127.0.0.1 {port} 1\n"))
            .collect();
        let complaint = "hosts:9: `a.example` has 8 lines already, and no more are tried";
        check(&many, complaint);
        assert!(HostTable::parse(Path::new("hosts"), "localhost 127.0.0.1 1 2").is_err());
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = HostTable::load(Path::new("no/such/file")).expect_err("there is no such file");
        assert!(error.to_string().contains("no/such/file"), "{error}");
    }
}
