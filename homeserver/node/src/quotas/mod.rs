//! How much is taken from whom: the one place that knows every bucket.
//!
//! Invariants: what is refused says when to try again; memory is bounded by what the buckets hold at
//! most ([`throttle::MAX_KEYS`] keys each); a bucket is keyed by who asks and about whom, never by what
//! exists here, so that a refusal tells nothing about who exists. Buckets are lost when the server stops.
//! Absent: how many rows may wait for somebody (the operations decide that), and how many handshakes and
//! strangers there may be (the transport does).
//!
//! To add one: a setting in `config/limits.rs`, a field here, a method that names who is limited.

mod in_flight;
mod pause;
mod throttle;

use std::net::IpAddr;
use std::num::NonZeroU32;

use entente_identity::{AccountDid, ServerDid};
use entente_protocol::fault::Fault;
use entente_transport::AddressBlock;

use crate::config::{Limits, Rate};
use crate::server::{Server, explain};
use crate::wakes::DeviceKey;

pub use in_flight::UnderWay;
pub use pause::Pause;
pub use throttle::Throttle;

use in_flight::InFlight;

/// How often a peer whose invitations are dropped is named in the log.
const COMPLAINTS_PER_PEER: &str = "1/m burst 1";

/// Who asks for something of somebody.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Asker {
    /// An account at home here.
    Account(AccountDid),
    /// Another server, for whomever.
    Peer(ServerDid),
}

/// All buckets of one server.
pub struct Quotas {
    logins_per_address: Throttle<AddressBlock>,
    registrations_per_address: Throttle<AddressBlock>,
    registrations: Throttle<()>,
    calls_per_connection: Rate,
    calls_per_account: Throttle<AccountDid>,
    calls_at_once_per_account: InFlight<AccountDid>,
    messages_per_device: Throttle<DeviceKey>,
    message_bytes_per_device: Throttle<DeviceKey>,
    invites_per_account: Throttle<AccountDid>,
    invites_to_account_from_server: Throttle<(ServerDid, AccountDid)>,
    invites_to_account: Throttle<AccountDid>,
    key_packages_for_asker: Throttle<(Asker, AccountDid)>,
    key_packages: Throttle<AccountDid>,
    first_contacts: Throttle<Asker>,
    calls_per_peer: Throttle<ServerDid>,
    items_per_peer: Throttle<ServerDid>,
    item_bytes_per_peer: Throttle<ServerDid>,
    invites_per_peer: Throttle<ServerDid>,
    complaints: Throttle<ServerDid>,
}

impl Quotas {
    /// Full buckets of these sizes.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let complaints = COMPLAINTS_PER_PEER.parse().unwrap_or(Rate::NONE);
        let (to_account, invites) = ("invitations to this account", "invitations");
        Self {
            logins_per_address: Throttle::new(limits.logins_per_address, "logins"),
            registrations_per_address: Throttle::new(
                limits.registrations_per_address,
                "registrations from this address",
            ),
            registrations: Throttle::new(limits.registrations, "registrations"),
            calls_per_connection: limits.calls_per_connection,
            calls_per_account: Throttle::new(limits.calls_per_account, "calls of this account"),
            calls_at_once_per_account: InFlight::new(
                limits.calls_at_once_per_account,
                "calls of this account",
            ),
            messages_per_device: Throttle::new(limits.messages_per_device, "messages"),
            message_bytes_per_device: Throttle::new(
                limits.message_bytes_per_device.0,
                "bytes of messages",
            ),
            invites_per_account: Throttle::new(limits.invites_per_account, invites),
            invites_to_account_from_server: Throttle::new(
                limits.invites_to_account_from_server,
                to_account,
            ),
            invites_to_account: Throttle::new(limits.invites_to_account, to_account),
            key_packages_for_asker: Throttle::new(
                limits.key_packages_of_account_for_asker,
                "KeyPackages of this account for one asker",
            ),
            key_packages: Throttle::new(
                limits.key_packages_of_account,
                "KeyPackages of this account",
            ),
            first_contacts: Throttle::new(
                limits.first_contacts_per_account,
                "servers that are not known here",
            ),
            calls_per_peer: Throttle::new(limits.calls_per_peer, "calls of this server"),
            items_per_peer: Throttle::new(limits.items_per_peer, "items"),
            item_bytes_per_peer: Throttle::new(limits.item_bytes_per_peer.0, "bytes of items"),
            invites_per_peer: Throttle::new(limits.invites_per_peer, invites),
            complaints: Throttle::new(complaints, "complaints"),
        }
    }

    /// A bucket for the calls of one new connection.
    #[must_use]
    pub fn connection(&self) -> Throttle<()> {
        Throttle::new(self.calls_per_connection, "calls on this connection")
    }

    /// Somebody at an address logs in or greets.
    ///
    /// # Errors
    /// Too often, as in all of these.
    pub fn login(&self, address: IpAddr) -> Result<(), Fault> {
        self.logins_per_address.admit(&AddressBlock::of(address))
    }

    /// Somebody at an address registers.
    ///
    /// # Errors
    /// Too often.
    pub fn registration(&self, address: IpAddr) -> Result<(), Fault> {
        let address = AddressBlock::of(address);
        self.registrations_per_address.admit(&address)?;
        self.registrations.admit(&())
    }

    /// An account calls; the call counts as under way until the value is dropped.
    ///
    /// # Errors
    /// Too often, or too many at once.
    pub fn call(&self, account: &AccountDid) -> Result<UnderWay<AccountDid>, Fault> {
        self.calls_per_account.admit(account)?;
        self.calls_at_once_per_account.begin(account)
    }

    /// A device submits a message.
    ///
    /// # Errors
    /// Too often, or too many bytes.
    pub fn message(&self, device: &DeviceKey, bytes: usize) -> Result<(), Fault> {
        self.messages_per_device.admit(device)?;
        self.message_bytes_per_device
            .admit_many(device, kibibytes(bytes))
    }

    /// An account here hands over an invitation.
    ///
    /// # Errors
    /// It sends, or the invitee is sent, too many.
    pub fn invite_sent(
        &self,
        account: &AccountDid,
        me: &ServerDid,
        to: &AccountDid,
    ) -> Result<(), Fault> {
        self.invites_per_account.admit(account)?;
        self.invite_arrives(me, to)
    }

    /// A server relays an invitation for an account here.
    ///
    /// # Errors
    /// It relays, or the invitee is sent, too many.
    pub fn invite_relayed(&self, peer: &ServerDid, to: &AccountDid) -> Result<(), Fault> {
        self.invites_per_peer.admit(peer)?;
        self.invite_arrives(peer, to)
    }

    fn invite_arrives(&self, from: &ServerDid, to: &AccountDid) -> Result<(), Fault> {
        let between = (from.clone(), *to);
        self.invites_to_account_from_server.admit(&between)?;
        self.invites_to_account.admit(to)
    }

    /// Whether it is time to say in the log that a peer's invitations are dropped.
    pub fn complain(&self, peer: &ServerDid) -> bool {
        self.complaints.admit(peer).is_ok()
    }

    /// Somebody asks for a KeyPackage of an account here.
    ///
    /// # Errors
    /// It asks, or all ask, too often. Whether there is such an account does not matter.
    pub fn key_package(&self, asker: Asker, of: &AccountDid) -> Result<(), Fault> {
        self.key_packages_for_asker.admit(&(asker, *of))?;
        self.key_packages.admit(of)
    }

    /// Somebody makes this server look for one with which it never dealt.
    ///
    /// # Errors
    /// Too often.
    pub fn first_contact(&self, asker: &Asker) -> Result<(), Fault> {
        self.first_contacts.admit(asker)
    }

    /// A server calls.
    ///
    /// # Errors
    /// Too often.
    pub fn peer_call(&self, peer: &ServerDid) -> Result<(), Fault> {
        self.calls_per_peer.admit(peer)
    }

    /// A server relays a batch.
    ///
    /// # Errors
    /// Too many items, or bytes.
    pub fn batch(&self, peer: &ServerDid, items: &[Vec<u8>]) -> Result<(), Fault> {
        let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
        let count = NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        self.items_per_peer.admit_many(peer, count)?;
        let bytes = items.iter().map(Vec::len).sum();
        self.item_bytes_per_peer.admit_many(peer, kibibytes(bytes))
    }
}

/// Judges whether somebody may make this server deal with another one: always, if it has done so before.
///
/// # Errors
/// Too many that are not known here, or the store does not answer.
pub async fn admit_contact(
    (server, quotas): (&Server, &Quotas),
    asker: &Asker,
    contact: &ServerDid,
) -> Result<(), Fault> {
    if contact == server.me() {
        return Ok(());
    }
    let mut read = server.read().await?;
    let known = read.peer(contact).await;
    drop(read);
    match known.map_err(|fault| explain(&fault))? {
        Some(_) => Ok(()),
        None => quotas.first_contact(asker),
    }
}

fn kibibytes(bytes: usize) -> NonZeroU32 {
    let kibibytes = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
    NonZeroU32::new(kibibytes).unwrap_or(NonZeroU32::MIN)
}
