//! From a domain to the addresses that may be dialled: host table first, else a vetted lookup.
//!
//! Invariant: every address that leaves here is public, or is the host table's for this very name, and
//! nothing else is dialled: IP literals are no domains, and a name is asked for here only.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use entente_identity::Domain;

use crate::address::is_public;
use crate::fetch_error::AddressFault;
use crate::host_table::HostTable;
use crate::lookup::NameLookup;

/// Most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

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
        }
    }

    /// Where to dial for documents.
    pub(crate) async fn https(&self, domain: &Domain) -> Result<Vec<SocketAddr>, AddressFault> {
        let addresses = match self.hosts.host(domain) {
            Some(host) => vec![host.https()],
            None => self.vetted(domain, self.rules.https_port).await?,
        };
        Ok(self.release(addresses))
    }

    /// Where to dial for QUIC: the host table's place of `domain`, else the vetted addresses of
    /// `host`, which the domain's document names, with its port.
    pub(crate) async fn quic(
        &self,
        domain: &Domain,
        host: &Domain,
        port: u16,
    ) -> Result<Vec<SocketAddr>, AddressFault> {
        let addresses = match self.hosts.host(domain) {
            Some(fixed) => vec![fixed.quic()],
            None => self.vetted(host, port).await?,
        };
        Ok(self.release(addresses))
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

    fn release(&self, addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
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
