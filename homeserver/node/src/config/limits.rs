//! How much is taken from whom.

use std::num::NonZeroU32;

use entente_transport::{AdmissionLimits, EndpointLimits, HandshakeRate};

use super::declare::settings;
use super::rate::{Rate, Throughput};

settings! {
    /// How much is taken from whom. `200/s burst 2000` means: 2000 at once after a rest, and 200 each
    /// second (s, m, h or d) steadily; `none` is no limit. Who goes beyond it is told when to try again.
    /// An address is an IPv4 address or an IPv6 /64.
    section "limits"
    pub struct Limits {
        /// Connections of devices and servers open at once.
        connections: NonZeroU32 = default "16384",
        /// Connections of one account open at once; a further login closes the oldest.
        connections_per_account: NonZeroU32 = default "32",
        /// Connections at once on which nobody has logged in or greeted yet.
        strangers: NonZeroU32 = default "256",
        /// The same, from one address.
        strangers_per_address: NonZeroU32 = default "64",
        /// Connections that one address may begin.
        handshakes_per_address: Rate = default "\"200/s burst 20000\"",
        /// Logins of devices and greetings of servers, well or not, from one address.
        logins_per_address: Rate = default "\"100/s burst 10000\"",
        /// Registrations, well or not, from one address.
        registrations_per_address: Rate = default "\"1/s burst 10000\"",
        /// Registrations, well or not, from everywhere.
        registrations: Rate = default "\"20/s burst 20000\"",
        /// Calls and other streams on one connection of a device or stranger.
        calls_per_connection: Rate = default "\"200/s burst 2000\"",
        /// Calls of one account, over all its devices.
        calls_per_account: Rate = default "\"200/s burst 4000\"",
        /// Calls of one account that are answered at once.
        calls_at_once_per_account: NonZeroU32 = default "256",
        /// Messages that one device submits.
        messages_per_device: Rate = default "\"4000/s burst 20000\"",
        /// Bytes of messages that one device submits.
        message_bytes_per_device: Throughput = default "\"16MiB/s burst 64MiB\"",
        /// Invitations that one account sends.
        invites_per_account: Rate = default "\"10/s burst 5000\"",
        /// Invitations that one account receives from one server; further ones are dropped.
        invites_to_account_from_server: Rate = default "\"30/m burst 2000\"",
        /// Invitations that one account receives from all servers; further ones are dropped.
        invites_to_account: Rate = default "\"60/m burst 4000\"",
        /// KeyPackages of one account that one asker is given: an account here, or another server.
        /// Fewer than the 20 that a device keeps here, so that nobody empties the stock alone.
        key_packages_of_account_for_asker: Rate = default "\"1/m burst 16\"",
        /// KeyPackages of one account that are given out to all askers.
        key_packages_of_account: Rate = default "\"2/m burst 200\"",
        /// Servers with which this one never dealt before that one account makes it look for, by calls or
        /// invitations.
        first_contacts_per_account: Rate = default "\"60/h burst 100\"",
        /// Calls of one server.
        calls_per_peer: Rate = default "\"500/s burst 5000\"",
        /// Items (messages, log entries, invitations) that one server relays.
        items_per_peer: Rate = default "\"100000/s burst 400000\"",
        /// Bytes of items that one server relays.
        item_bytes_per_peer: Throughput = default "\"128MiB/s burst 512MiB\"",
        /// Invitations that one server relays, for all its accounts; further ones are dropped.
        invites_per_peer: Rate = default "\"50/s burst 10000\"",
    }
}

impl Limits {
    /// What the socket takes.
    #[must_use]
    pub fn endpoint(&self) -> EndpointLimits {
        let count = |count: NonZeroU32| usize::try_from(count.get()).unwrap_or(usize::MAX);
        let handshakes = self.handshakes_per_address.bounded();
        let admission = AdmissionLimits {
            connections: count(self.connections),
            strangers: count(self.strangers),
            strangers_per_address: count(self.strangers_per_address),
            handshakes_per_address: handshakes.map_or(HandshakeRate::NONE, |rate| HandshakeRate {
                interval: rate.interval,
                burst: rate.burst.get(),
            }),
            ..AdmissionLimits::default()
        };
        admission.into()
    }
}

impl Default for Limits {
    /// What the declaration says.
    fn default() -> Self {
        let nothing = super::Source::new(None, std::collections::BTreeMap::new());
        let read = nothing.ok().and_then(|source| Self::read(&source));
        read.expect("every limit has a default")
    }
}
