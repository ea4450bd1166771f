//! `calls.capnp`: a device's calls to its homeserver.

use capnp::message::{Builder, HeapAllocator};
use entente_identity::{Signed, UnixMillis, encode as tls_encode};
use entente_protocol::call::{
    ClientRequest, ClientResponse, CreateRoom, HubCall, LoggedIn, PeerReach, PeerStatus,
    PublishKeyPackages, Register, SealedInvite, ServerStatus,
};
use entente_protocol::hello::LoginProof;
use entente_protocol::limits::MAX_KEY_PACKAGES_PER_CALL;
use entente_schemas::calls_capnp::{
    ClientMethod, create_room, done, hub_call, key_package_count, logged_in, login, peer_status,
    publish_key_packages, register, sealed_invite, server_status, status_request,
};

use super::client_parts::TreeChunk;
use super::method::{Method, Request};
use super::{Root, WireFault, data_words, decode, encode, read};
use crate::connection::Link;

/// Longest registration token.
const TOKEN_MAX_BYTES: usize = 256;
/// Most devices of one invitee.
const SEALED_MAX: usize = 64;
/// Longest software version.
const VERSION_MAX_BYTES: usize = 64;
/// Most peers in one status.
const PEERS_MAX: usize = 4096;

impl Request for ClientRequest {}

impl Method for ClientRequest {
    type Response = ClientResponse;

    const LINK: Link = Link::Client;

    fn number(&self) -> u16 {
        let method = match self {
            Self::Register(_) => ClientMethod::Register,
            Self::Login(_) => ClientMethod::Login,
            Self::PublishKeyPackages(_) => ClientMethod::PublishKeyPackages,
            Self::CreateRoom(_) => ClientMethod::CreateRoom,
            Self::GroupInfo(_) => ClientMethod::GroupInfo,
            Self::TreeChunk(_) => ClientMethod::TreeChunk,
            Self::ClaimKeyPackage(_) => ClientMethod::ClaimKeyPackage,
            Self::Commit(_) => ClientMethod::Commit,
            Self::Propose(_) => ClientMethod::Propose,
            Self::Invite(_) => ClientMethod::Invite,
            Self::Status => ClientMethod::Status,
        };
        method as u16
    }

    fn encode(&self) -> Builder<HeapAllocator> {
        match self {
            Self::Register(request) => encode(request),
            Self::Login(proof) => encode(&Login(proof.clone())),
            Self::PublishKeyPackages(request) => encode(request),
            Self::CreateRoom(request) => encode(request),
            Self::GroupInfo(request) => encode(request),
            Self::TreeChunk(request) => encode(request),
            Self::ClaimKeyPackage(request) => encode(request),
            Self::Commit(request) => encode(request),
            Self::Propose(request) => encode(request),
            Self::Invite(request) => encode(request),
            Self::Status => encode(&StatusRequest),
        }
    }

    fn decode(number: u16, frame: &[u8]) -> Result<Self, WireFault> {
        match method(number)? {
            ClientMethod::Register => decode(frame).map(Self::Register),
            ClientMethod::Login => decode(frame).map(|Login(proof)| Self::Login(proof)),
            ClientMethod::PublishKeyPackages => decode(frame).map(Self::PublishKeyPackages),
            ClientMethod::CreateRoom => decode(frame).map(Self::CreateRoom),
            ClientMethod::GroupInfo => decode(frame).map(Self::GroupInfo),
            ClientMethod::TreeChunk => decode(frame).map(Self::TreeChunk),
            ClientMethod::ClaimKeyPackage => decode(frame).map(Self::ClaimKeyPackage),
            ClientMethod::Commit => decode(frame).map(Self::Commit),
            ClientMethod::Propose => decode(frame).map(Self::Propose),
            ClientMethod::Invite => decode(frame).map(Self::Invite),
            ClientMethod::Status => decode(frame).map(|StatusRequest| Self::Status),
        }
    }

    fn encode_reply(number: u16, reply: &ClientResponse) -> Option<Builder<HeapAllocator>> {
        use ClientMethod as M;
        use ClientResponse as R;
        match (method(number).ok()?, reply) {
            (M::Register | M::Invite, R::Done) => Some(encode(&Done)),
            (M::Login, R::LoggedIn(reply)) => Some(encode(reply)),
            (M::PublishKeyPackages, R::KeyPackages(count)) => {
                Some(encode(&KeyPackageCount(*count)))
            }
            (M::CreateRoom | M::Commit | M::Propose, R::Ordered(reply)) => Some(encode(reply)),
            (M::GroupInfo, R::GroupInfo(reply)) => Some(encode(reply)),
            (M::TreeChunk, R::TreeChunk(bytes)) => Some(encode(&TreeChunk(bytes.clone()))),
            (M::ClaimKeyPackage, R::KeyPackage(reply)) => Some(encode(reply)),
            (M::Status, R::Status(reply)) => Some(encode(reply)),
            _ => None,
        }
    }

    fn decode_reply(number: u16, frame: &[u8]) -> Result<ClientResponse, WireFault> {
        use ClientMethod as M;
        use ClientResponse as R;
        match method(number)? {
            M::Register | M::Invite => decode(frame).map(|Done| R::Done),
            M::Login => decode(frame).map(R::LoggedIn),
            M::PublishKeyPackages => {
                decode(frame).map(|KeyPackageCount(count)| R::KeyPackages(count))
            }
            M::CreateRoom | M::Commit | M::Propose => decode(frame).map(R::Ordered),
            M::GroupInfo => decode(frame).map(R::GroupInfo),
            M::TreeChunk => decode(frame).map(|TreeChunk(bytes)| R::TreeChunk(bytes)),
            M::ClaimKeyPackage => decode(frame).map(R::KeyPackage),
            M::Status => decode(frame).map(R::Status),
        }
    }
}

fn method(number: u16) -> Result<ClientMethod, WireFault> {
    ClientMethod::try_from(number).map_err(read::unknown("method"))
}

struct Done;

impl Root for Done {
    type Schema = done::Owned;

    fn words(&self) -> usize {
        0
    }

    fn write(&self, _builder: done::Builder<'_>) {}

    fn read(_reader: done::Reader<'_>) -> Result<Self, WireFault> {
        Ok(Self)
    }
}

struct StatusRequest;

impl Root for StatusRequest {
    type Schema = status_request::Owned;

    fn words(&self) -> usize {
        0
    }

    fn write(&self, _builder: status_request::Builder<'_>) {}

    fn read(_reader: status_request::Reader<'_>) -> Result<Self, WireFault> {
        Ok(Self)
    }
}

struct KeyPackageCount(u32);

impl Root for KeyPackageCount {
    type Schema = key_package_count::Owned;

    fn words(&self) -> usize {
        0
    }

    fn write(&self, mut builder: key_package_count::Builder<'_>) {
        builder.set_unclaimed(self.0);
    }

    fn read(reader: key_package_count::Reader<'_>) -> Result<Self, WireFault> {
        Ok(Self(reader.get_unclaimed()))
    }
}

struct Login(Signed<LoginProof>);

impl Root for Login {
    type Schema = login::Owned;

    fn words(&self) -> usize {
        data_words(self.0.to_bytes().len())
    }

    fn write(&self, mut builder: login::Builder<'_>) {
        builder.set_proof(&self.0.to_bytes());
    }

    fn read(reader: login::Reader<'_>) -> Result<Self, WireFault> {
        read::signed(reader.get_proof()).map(Self)
    }
}

impl Root for LoggedIn {
    type Schema = logged_in::Owned;

    fn words(&self) -> usize {
        0
    }

    fn write(&self, mut builder: logged_in::Builder<'_>) {
        builder.set_server_time_ms(self.server_time.0);
        builder.set_key_packages(self.key_packages);
    }

    fn read(reader: logged_in::Reader<'_>) -> Result<Self, WireFault> {
        Ok(Self {
            server_time: UnixMillis(reader.get_server_time_ms()),
            key_packages: reader.get_key_packages(),
        })
    }
}

impl Root for Register {
    type Schema = register::Owned;

    fn words(&self) -> usize {
        data_words(tls_encode(&self.claim).len())
    }

    fn write(&self, mut builder: register::Builder<'_>) {
        builder.set_claim(&tls_encode(&self.claim));
        let mut token = builder.init_token();
        match &self.token {
            None => token.set_none(()),
            Some(text) => token.set_some(text.as_str()),
        }
    }

    fn read(reader: register::Reader<'_>) -> Result<Self, WireFault> {
        let token = reader.get_token().which();
        let token = match token.map_err(read::unknown("token"))? {
            register::token::None(()) => None,
            register::token::Some(text) => Some(read::text("token", TOKEN_MAX_BYTES, text)?),
        };
        Ok(Self {
            claim: read::encoded("account claim", reader.get_claim())?,
            token,
        })
    }
}

impl Root for PublishKeyPackages {
    type Schema = publish_key_packages::Owned;

    fn words(&self) -> usize {
        let packages = self.packages.iter();
        packages.map(|package| data_words(package.len())).sum()
    }

    fn write(&self, builder: publish_key_packages::Builder<'_>) {
        let count = u32::try_from(self.packages.len()).unwrap_or(u32::MAX);
        let mut packages = builder.init_packages(count);
        for (package, index) in self.packages.iter().zip(0..) {
            packages.set(index, package);
        }
    }

    fn read(reader: publish_key_packages::Reader<'_>) -> Result<Self, WireFault> {
        let (limit, list) = (MAX_KEY_PACKAGES_PER_CALL, reader.get_packages());
        let packages = read::data_list("KeyPackages", limit, list, read::bytes)?;
        Ok(Self { packages })
    }
}

impl Root for CreateRoom {
    type Schema = create_room::Owned;

    fn words(&self) -> usize {
        let record = self.record.to_bytes().len();
        [record, self.group_info.len(), self.tree.len()]
            .map(data_words)
            .iter()
            .sum()
    }

    fn write(&self, mut builder: create_room::Builder<'_>) {
        builder.set_record(&self.record.to_bytes());
        builder.set_message_id(&self.message_id.0);
        builder.set_group_info(&self.group_info);
        builder.set_tree(&self.tree);
    }

    fn read(reader: create_room::Reader<'_>) -> Result<Self, WireFault> {
        Ok(Self {
            record: read::signed(reader.get_record())?,
            message_id: read::message_id(reader.get_message_id())?,
            group_info: read::bytes(reader.get_group_info())?,
            tree: read::bytes(reader.get_tree())?,
        })
    }
}

impl<T: Root> Root for HubCall<T> {
    type Schema = hub_call::Owned<T::Schema>;

    fn words(&self) -> usize {
        self.request.words()
    }

    fn write(&self, mut builder: hub_call::Builder<'_, T::Schema>) {
        builder.set_hub(self.hub.to_string());
        self.request.write(builder.init_request());
    }

    fn read(reader: hub_call::Reader<'_, T::Schema>) -> Result<Self, WireFault> {
        Ok(Self {
            hub: read::server("hub", reader.get_hub())?,
            request: T::read(reader.get_request()?)?,
        })
    }
}

impl Root for SealedInvite {
    type Schema = sealed_invite::Owned;

    fn words(&self) -> usize {
        let sealed = self.sealed.iter();
        sealed
            .map(|(_, payload)| data_words(payload.len()) + 6)
            .sum()
    }

    fn write(&self, mut builder: sealed_invite::Builder<'_>) {
        builder.set_account(self.account.root_key().as_bytes());
        builder.set_home(self.home.to_string());
        builder.set_message_id(&self.message_id.0);
        let count = u32::try_from(self.sealed.len()).unwrap_or(u32::MAX);
        let mut list = builder.init_sealed(count);
        for ((device, payload), index) in self.sealed.iter().zip(0..) {
            let mut sealed = list.reborrow().get(index);
            sealed.set_device(&device.0);
            sealed.set_payload(payload);
        }
    }

    fn read(reader: sealed_invite::Reader<'_>) -> Result<Self, WireFault> {
        let list = reader.get_sealed()?;
        read::check_length("sealed payloads", SEALED_MAX, list.len() as usize)?;
        let sealed = list.iter().map(|sealed| {
            let device = read::device(sealed.get_device())?;
            Ok((device, read::bytes(sealed.get_payload())?))
        });
        Ok(Self {
            account: read::account(reader.get_account())?,
            home: read::server("home server", reader.get_home())?,
            message_id: read::message_id(reader.get_message_id())?,
            sealed: sealed.collect::<Result<_, WireFault>>()?,
        })
    }
}

impl Root for ServerStatus {
    type Schema = server_status::Owned;

    fn words(&self) -> usize {
        self.peers.len() * 40
    }

    fn write(&self, mut builder: server_status::Builder<'_>) {
        builder.set_server(self.server.to_string());
        builder.set_version(self.version.as_str());
        builder.set_time_ms(self.time.0);
        builder.set_started_ms(self.started.0);
        builder.set_waiting(self.waiting);
        let count = u32::try_from(self.peers.len()).unwrap_or(u32::MAX);
        let mut peers = builder.init_peers(count);
        for (peer, index) in self.peers.iter().zip(0..) {
            write_peer(peer, peers.reborrow().get(index));
        }
    }

    fn read(reader: server_status::Reader<'_>) -> Result<Self, WireFault> {
        let peers = reader.get_peers()?;
        read::check_length("peers", PEERS_MAX, peers.len() as usize)?;
        Ok(Self {
            server: read::server("server", reader.get_server())?,
            version: read::text("version", VERSION_MAX_BYTES, reader.get_version())?,
            time: UnixMillis(reader.get_time_ms()),
            started: UnixMillis(reader.get_started_ms()),
            waiting: reader.get_waiting(),
            peers: peers.iter().map(read_peer).collect::<Result<_, _>>()?,
        })
    }
}

fn write_peer(peer: &PeerStatus, mut builder: peer_status::Builder<'_>) {
    builder.set_server(peer.server.to_string());
    builder.set_owed(peer.owed);
    let mut reach = builder.init_reach();
    match peer.reach {
        PeerReach::Connected => reach.set_connected(()),
        PeerReach::Idle => reach.set_idle(()),
        PeerReach::Unreachable { since } => reach.set_unreachable_since_ms(since.0),
    }
}

fn read_peer(reader: peer_status::Reader<'_>) -> Result<PeerStatus, WireFault> {
    let reach = reader.get_reach().which();
    let reach = match reach.map_err(read::unknown("reach"))? {
        peer_status::reach::Connected(()) => PeerReach::Connected,
        peer_status::reach::Idle(()) => PeerReach::Idle,
        peer_status::reach::UnreachableSinceMs(since) => PeerReach::Unreachable {
            since: UnixMillis(since),
        },
    };
    Ok(PeerStatus {
        server: read::server("peer", reader.get_server())?,
        reach,
        owed: reader.get_owed(),
    })
}
