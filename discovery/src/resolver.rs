//! From a domain to the addresses that may be dialled: host table first, else a vetted lookup.
//!
//! Invariant: every address that leaves here is public, or is the host table's for this very name, and
//! nothing else is dialled: IP literals are no domains, and a name is asked for here only.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use entente_identity::Domain;

use crate::address::is_public;
use crate::dial::Service;
use crate::fetch_error::AddressFault;
use crate::host_table::{Host, HostTable, MAX_LINES};
use crate::lookup::NameLookup;

/// Most addresses of one name that are tried.
const MAX_ADDRESSES: usize = MAX_LINES;

/// Most names of which it is remembered how their addresses answered; beyond it all are forgotten.
const MAX_REMEMBERED: usize = 10_000;

/// Where HTTPS listens.
const HTTPS_PORT: u16 = 443;

/// What a name may lead to. Only tests have others, as they cannot listen on the public internet.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) is_public: fn(IpAddr) -> bool,
    pub(crate) https_port: u16,
}

/// The one way from names to addresses.
pub(crate) struct Resolver {
    hosts: HostTable,
    lookup: Arc<dyn NameLookup>,
    rules: Rules,
    released: AtomicU64,
    remembered: Mutex<BTreeMap<(Domain, Service), Remembered>>,
}

/// How an address of a name answered last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remembered {
    /// It did: it is tried first.
    Answered(SocketAddr),
    /// It did not, or not any more: it is tried last.
    Silent(SocketAddr),
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            is_public,
            https_port: HTTPS_PORT,
        }
    }
}

impl Resolver {
    pub(crate) fn new(hosts: HostTable, lookup: Arc<dyn NameLookup>, rules: Rules) -> Self {
        Self {
            hosts,
            lookup,
            rules,
            released: AtomicU64::new(0),
            remembered: Mutex::default(),
        }
    }

    /// Where to dial for documents.
    pub(crate) async fn https(&self, domain: &Domain) -> Result<Vec<SocketAddr>, AddressFault> {
        let addresses = match self.hosts.hosts(domain) {
            Some(nodes) => nodes.iter().map(Host::https).collect(),
            None => self.vetted(domain, self.rules.https_port).await?,
        };
        Ok(self.release(domain, Service::Documents, addresses))
    }

    /// Where to dial for QUIC: the host table's place of `domain`, else the vetted addresses of
    /// `host`, which the domain's document names, with its port.
    pub(crate) async fn quic(
        &self,
        domain: &Domain,
        host: &Domain,
        port: u16,
    ) -> Result<Vec<SocketAddr>, AddressFault> {
        let addresses = match self.hosts.hosts(domain) {
            Some(nodes) => nodes.iter().map(Host::quic).collect(),
            None => self.vetted(host, port).await?,
        };
        Ok(self.release(domain, Service::Quic, addresses))
    }

    /// How many addresses have been released for dialling so far.
    pub(crate) fn released(&self) -> u64 {
        self.released.load(Ordering::Relaxed)
    }

    /// One lookup; what is not public falls out, so that it does not matter what a second would say.
    async fn vetted(&self, domain: &Domain, port: u16) -> Result<Vec<SocketAddr>, AddressFault> {
        let answer = self.lookup.lookup(domain).await;
        let addresses = answer.map_err(|error| AddressFault::Unknown {
            domain: domain.clone(),
            reason: error.to_string(),
        })?;
        let asked = addresses.len();
        let mut seen: BTreeSet<IpAddr> = BTreeSet::new();
        let public: Vec<SocketAddr> = addresses
            .into_iter()
            .filter(|address| (self.rules.is_public)(*address) && seen.insert(*address))
            .take(MAX_ADDRESSES)
            .map(|address| SocketAddr::new(address, port))
            .collect();
        if public.is_empty() {
            return Err(match asked {
                0 => AddressFault::None {
                    domain: domain.clone(),
                },
                _ => AddressFault::NotPublic {
                    domain: domain.clone(),
                },
            });
        }
        Ok(public)
    }

    /// An address answered: it is tried first from now on.
    pub(crate) fn answered(&self, domain: &Domain, service: Service, address: SocketAddr) {
        self.remember(domain, service, Remembered::Answered(address));
    }

    /// An address does not answer any more: it is tried last, until another one answers.
    pub(crate) fn fell_silent(&self, domain: &Domain, service: Service, address: SocketAddr) {
        self.remember(domain, service, Remembered::Silent(address));
    }

    fn remember(&self, domain: &Domain, service: Service, how: Remembered) {
        let mut remembered = self.remembered();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert((domain.clone(), service), how);
    }

    fn remembered(&self) -> MutexGuard<'_, BTreeMap<(Domain, Service), Remembered>> {
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered changes the order and nothing else.
    fn release(
        &self,
        domain: &Domain,
        service: Service,
        mut addresses: Vec<SocketAddr>,
    ) -> Vec<SocketAddr> {
        let remembered = self.remembered().get(&(domain.clone(), service)).copied();
        match remembered {
            Some(Remembered::Answered(first)) => addresses.sort_by_key(|address| *address != first),
            Some(Remembered::Silent(last)) => addresses.sort_by_key(|address| *address == last),
            None => {}
        }
        let count = u64::try_from(addresses.len()).unwrap_or(u64::MAX);
        self.released.fetch_add(count, Ordering::Relaxed);
        addresses
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;

    use super::*;
    use crate::lookup::LookupAnswer;

    /// Answers one list after the other, as a name whose owner changes the answer does.
    struct Flipping(Mutex<Vec<Vec<&'static str>>>);

    impl NameLookup for Flipping {
        fn lookup(&self, _: &Domain) -> LookupAnswer {
            let answer = self.0.lock().expect("no test panics here").remove(0);
            let addresses = answer
                .iter()
                .map(|text| text.parse().expect("an address"))
                .collect();
            Box::pin(async move { Ok(addresses) })
        }
    }

    fn resolver(answers: &[&[&'static str]]) -> Resolver {
        let answers = answers.iter().map(|answer| answer.to_vec()).collect();
        let table = "fixed.example 127.0.0.2 8443 4433";
        let hosts = HostTable::parse(Path::new("hosts"), table).expect("a table");
        let lookup = Arc::new(Flipping(Mutex::new(answers)));
        Resolver::new(hosts, lookup, Rules::default())
    }

    fn domain(text: &str) -> Domain {
        text.parse().expect("a domain")
    }

    fn texts(addresses: &[SocketAddr]) -> Vec<String> {
        addresses.iter().map(SocketAddr::to_string).collect()
    }

    #[tokio::test]
    async fn b2_a_flip_after_the_check_changes_nothing() {
        let resolver = resolver(&[&["1.1.1.1"], &["127.0.0.1"]]);
        let evil = domain("evil.example");
        let dialled = resolver
            .quic(&evil, &evil, 4433)
            .await
            .expect("the first answer is public");
        assert_eq!(texts(&dialled), ["1.1.1.1:4433"]);
        let second = resolver.https(&evil).await;
        assert_eq!(second, Err(AddressFault::NotPublic { domain: evil }));
    }

    #[tokio::test]
    async fn b2_what_is_vetted_comes_from_one_lookup() {
        let resolver = resolver(&[&["10.0.0.1", "1.1.1.1", "1.1.1.1", "::1"], &["127.0.0.1"]]);
        let given = resolver.https(&domain("evil.example")).await;
        assert_eq!(texts(&given.expect("one is public")), ["1.1.1.1:443"]);
        assert_eq!(resolver.released(), 1);
    }

    #[tokio::test]
    async fn b1_names_that_lead_inside_release_nothing() {
        for inside in [
            "127.0.0.1",
            "10.0.0.1",
            "169.254.169.254",
            "::1",
            "::ffff:127.0.0.1",
            "fd00::1",
        ] {
            let resolver = resolver(&[&[inside]]);
            let evil = domain("evil.example");
            let answer = resolver.https(&evil).await;
            assert_eq!(
                answer,
                Err(AddressFault::NotPublic { domain: evil }),
                "{inside}"
            );
            assert_eq!(resolver.released(), 0);
        }
    }

    #[tokio::test]
    async fn only_exactly_the_names_of_the_table_have_a_fixed_place() {
        let resolver = resolver(&[&["127.0.0.2"]]);
        let fixed = domain("fixed.example");
        let elsewhere = domain("elsewhere.example");
        let https = resolver.https(&fixed).await.expect("it is in the table");
        assert_eq!(texts(&https), ["127.0.0.2:8443"]);
        let quic = resolver
            .quic(&fixed, &elsewhere, 9)
            .await
            .expect("it is in the table");
        assert_eq!(texts(&quic), ["127.0.0.2:4433"]);
        assert!(resolver.https(&domain("sub.fixed.example")).await.is_err());
    }

    #[tokio::test]
    async fn what_answered_comes_first_and_what_fell_silent_last() {
        let table =
            "a.example 127.0.0.2 1 11\na.example 127.0.0.2 2 12\na.example 127.0.0.2 3 13\n";
        let hosts = HostTable::parse(Path::new("hosts"), table).expect("a table");
        let lookup = Arc::new(Flipping(Mutex::default()));
        let resolver = Resolver::new(hosts, lookup, Rules::default());
        let name = domain("a.example");
        let ports = async || {
            let found = resolver.quic(&name, &name, 9).await.expect("in the table");
            found.iter().map(SocketAddr::port).collect::<Vec<_>>()
        };
        let address = |port| SocketAddr::new("127.0.0.2".parse().expect("an address"), port);
        assert_eq!(ports().await, [11, 12, 13]);
        resolver.answered(&name, Service::Quic, address(12));
        assert_eq!(ports().await, [12, 11, 13]);
        resolver.fell_silent(&name, Service::Quic, address(12));
        assert_eq!(ports().await, [11, 13, 12]);
        resolver.answered(&name, Service::Quic, address(99));
        assert_eq!(ports().await, [11, 12, 13], "none that was not asked for");
        let https = resolver.https(&name).await.expect("in the table");
        assert_eq!(https[0].port(), 1, "each service for itself");
    }

    #[tokio::test]
    async fn a_flood_of_addresses_is_cut() {
        let many: Vec<&'static str> = vec![
            "1.0.0.1", "1.0.0.2", "1.0.0.3", "1.0.0.4", "1.0.0.5", "1.0.0.6", "1.0.0.7", "1.0.0.8",
            "1.0.0.9",
        ];
        let resolver = resolver(&[&many]);
        let addresses = resolver
            .https(&domain("a.example"))
            .await
            .expect("they are public");
        assert_eq!(addresses.len(), MAX_ADDRESSES);
    }
}
