//! Remembers every address that was about to be dialled.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use entente_discovery::{DialHook, ExtraCa, Options, SafeClient, Service};
use entente_identity::Domain;

use super::{Always, Authority, Organization};

/// What a client dialled, in this order.
#[derive(Default)]
pub struct Trace(Mutex<Vec<(Domain, SocketAddr, Service)>>);

impl Trace {
    pub fn hook(self: &Arc<Self>) -> DialHook {
        let trace = Arc::clone(self);
        Arc::new(move |dial| {
            let told = (dial.domain.clone(), dial.address, dial.service);
            trace.0.lock().expect("no test panics here").push(told);
        })
    }

    pub fn all(&self) -> Vec<(Domain, SocketAddr, Service)> {
        self.0.lock().expect("no test panics here").clone()
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.all().into_iter().map(|told| told.1).collect()
    }
}

/// As [`super::client_of`], with a trace.
pub fn client_of(organization: &Organization, authority: &Authority) -> (SafeClient, Arc<Trace>) {
    let trace = Arc::new(Trace::default());
    let options = Options {
        host_table: organization.host_table(),
        extra_ca: Some(ExtraCa::from_pem(authority.pem().as_bytes()).expect("the authority's PEM")),
    };
    let lookup = Always::new(&["127.0.0.1"]);
    let client = SafeClient::with_hook(options, lookup, trace.hook()).expect("a client");
    (client, trace)
}
