//! Generators of everything that travels.

use entente_groups::{
    CommitBundle, CreateRecord, Epoch, KeyPackageRef, LeafIndex, MessageId, Role, RoomId,
    RoomPolicy, Suite, Ticket,
};
use entente_identity::{
    AccountClaim, AccountDid, Audience, Device, DeviceId, DeviceRole, HomeRecord, HpkePublicKey,
    ServerDid, Signed, SignedBody, SigningContext, SigningKey, UnixMillis, first_device_list,
};
use entente_protocol::call::*;
use entente_protocol::checkpoint::attest;
use entente_protocol::entry::{Entry, EntryHash, EntryHeader, EntryKind, Head, Seq, Term};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::flow::*;
use entente_protocol::hello::{Feature, Hello, HelloReply, KeyDocumentId, LoginProof};
use entente_protocol::relay::{Batch, RelayReply};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

fn key() -> impl Strategy<Value = SigningKey> {
    any::<[u8; 32]>().prop_map(|seed| SigningKey::from_seed(&seed))
}

fn account() -> impl Strategy<Value = AccountDid> {
    key().prop_map(|key| AccountDid::new(key.public()))
}

fn server() -> impl Strategy<Value = ServerDid> {
    "[a-z][a-z0-9]{0,30}(\\.[a-z][a-z0-9]{0,10}){1,3}".prop_map(|domain| {
        format!("did:web:{domain}")
            .parse()
            .expect("a canonical DID")
    })
}

fn room() -> impl Strategy<Value = RoomId> {
    any::<[u8; 32]>().prop_map(RoomId)
}

fn message_id() -> impl Strategy<Value = MessageId> {
    any::<[u8; 16]>().prop_map(MessageId)
}

fn device() -> impl Strategy<Value = DeviceId> {
    any::<[u8; 16]>().prop_map(DeviceId)
}

fn time() -> impl Strategy<Value = UnixMillis> {
    any::<u64>().prop_map(UnixMillis)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..200)
}

fn suite() -> impl Strategy<Value = Suite> {
    select(Suite::ALL.to_vec())
}

fn reference() -> impl Strategy<Value = KeyPackageRef> {
    vec(any::<u8>(), 1..=64).prop_map(|bytes| KeyPackageRef::new(&bytes))
}

prop_compose! {
    fn head()(term: u32, seq: u64, hash: [u8; 32]) -> Head {
        Head { term: Term(term), seq: Seq(seq), hash: EntryHash(hash) }
    }
}

prop_compose! {
    pub(super) fn fault()(
        code in select(FaultCode::ALL.to_vec()),
        detail in "\\PC{0,200}",
        retry_after_ms in any::<Option<u32>>(),
    ) -> Fault {
        Fault { code, detail, retry_after_ms }
    }
}

fn signed<T: SignedBody>(body: impl Strategy<Value = T>) -> impl Strategy<Value = Signed<T>> {
    (body, key(), time(), option::of(time())).prop_map(|(body, key, created, expires)| {
        let context = SigningContext {
            key_id: "k".into(),
            origin: "did:web:org-a.example".into(),
            audience: Audience::Public,
            created,
            expires,
        };
        Signed::sign(&body, &context, &key)
    })
}

prop_compose! {
    fn claim()(root in key(), id in device(), hpke: [u8; 32], name in "[a-z]{1,20}", created in time())
        -> AccountClaim
    {
        let device = Device {
            id,
            signature_key: SigningKey::from_seed(&hpke).public(),
            hpke_key: HpkePublicKey(hpke),
            role: DeviceRole::Manager,
        };
        let handle = format!("{name}@org-a.example").parse().expect("a handle");
        AccountClaim {
            account: AccountDid::new(root.public()),
            device_list: first_device_list(&root, vec![device], created),
            signer_chain: vec![],
            home_record: HomeRecord::first(&root, handle, created),
        }
    }
}

prop_compose! {
    fn create_record()(
        creator in account(), hub in server(), suite in suite(), created in time(), nonce: [u8; 16],
    ) -> CreateRecord {
        let policy = RoomPolicy::founded_by(creator);
        CreateRecord { creator, hub, suite, policy, created, nonce }
    }
}

prop_compose! {
    fn ticket()(
        room in room(), invitee in account(), inviter in account(), leaf: u32, min_list_version: u32,
    ) -> Ticket {
        let (role, inviter_leaf) = (Role::Member, LeafIndex(leaf));
        Ticket { room, invitee, role, min_list_version, inviter, inviter_leaf }
    }
}

fn access() -> impl Strategy<Value = RoomAccess> {
    prop_oneof![
        Just(RoomAccess::Member),
        signed(ticket()).prop_map(|ticket| RoomAccess::Ticket(Box::new(ticket))),
    ]
}

prop_compose! {
    fn login_proof()(account in account(), device in device(), exporter: [u8; 32]) -> LoginProof {
        LoginProof { account, device, exporter }
    }
}

prop_compose! {
    fn group_info_request()(room in room(), access in access()) -> GroupInfoRequest {
        GroupInfoRequest { room, access }
    }
}

prop_compose! {
    fn tree_chunk_request()(
        room in room(), access in access(), epoch: u64, hash: [u8; 32], offset: u32,
    ) -> TreeChunkRequest {
        TreeChunkRequest { room, access, epoch: Epoch(epoch), hash, offset }
    }
}

prop_compose! {
    fn claim_key_package()(
        room in room(), account in account(), home in server(), suite in suite(),
    ) -> ClaimKeyPackage {
        ClaimKeyPackage { room, account, home, suite }
    }
}

prop_compose! {
    fn commit()(
        room in room(), message_id in message_id(), commit in bytes(),
        welcome in option::of(bytes()), group_info in bytes(),
    ) -> CommitRequest {
        let bundle = CommitBundle { commit, welcome, group_info };
        CommitRequest { room, message_id, bundle }
    }
}

prop_compose! {
    fn proposal()(room in room(), message_id in message_id(), proposal in bytes()) -> Proposal {
        Proposal { room, message_id, proposal }
    }
}

prop_compose! {
    fn create_room()(
        record in signed(create_record()), message_id in message_id(),
        group_info in bytes(), tree in bytes(),
    ) -> CreateRoom {
        CreateRoom { record, message_id, group_info, tree }
    }
}

prop_compose! {
    fn invite()(
        account in account(), home in server(), message_id in message_id(),
        sealed in vec((device(), bytes()), 0..5),
    ) -> SealedInvite {
        SealedInvite { account, home, message_id, sealed }
    }
}

fn to_hub<T: std::fmt::Debug>(
    request: impl Strategy<Value = T>,
) -> impl Strategy<Value = HubCall<T>> {
    (server(), request).prop_map(|(hub, request)| HubCall { hub, request })
}

fn vouched<T: std::fmt::Debug>(
    request: impl Strategy<Value = T>,
) -> impl Strategy<Value = Vouched<T>> {
    (account(), device(), request).prop_map(|(account, device, request)| Vouched {
        account,
        device,
        request,
    })
}

pub(super) fn client_request() -> impl Strategy<Value = ClientRequest> {
    use ClientRequest as R;
    let token = option::of("\\PC{0,60}");
    let register = (claim(), token).prop_map(|(claim, token)| Register { claim, token });
    let packages = vec(bytes(), 0..5).prop_map(|packages| PublishKeyPackages { packages });
    prop_oneof![
        register.prop_map(R::Register),
        signed(login_proof()).prop_map(R::Login),
        packages.prop_map(R::PublishKeyPackages),
        create_room().prop_map(R::CreateRoom),
        to_hub(group_info_request()).prop_map(R::GroupInfo),
        to_hub(tree_chunk_request()).prop_map(R::TreeChunk),
        to_hub(claim_key_package()).prop_map(R::ClaimKeyPackage),
        to_hub(commit()).prop_map(R::Commit),
        to_hub(proposal()).prop_map(R::Propose),
        invite().prop_map(R::Invite),
        Just(R::Status),
    ]
}

prop_compose! {
    fn hello()(
        server in server(), versions: (u16, u16), features in features(), stream: (u64, u64),
        document: (u64, [u8; 32]), exporter: [u8; 32],
    ) -> Hello {
        Hello {
            server,
            min_version: versions.0,
            max_version: versions.1,
            features,
            stream_epoch: stream.0,
            begins_after: stream.1,
            key_document: KeyDocumentId { seq: document.0, hash: document.1 },
            exporter,
        }
    }
}

prop_compose! {
    fn hello_reply()(
        server in server(), version: u16, features in features(), stream: (u64, u64),
        document: (u64, [u8; 32]), exporter: [u8; 32],
    ) -> HelloReply {
        HelloReply {
            server,
            version,
            features,
            stream_epoch: stream.0,
            last_in: stream.1,
            key_document: KeyDocumentId { seq: document.0, hash: document.1 },
            exporter,
        }
    }
}

fn features() -> impl Strategy<Value = Vec<Feature>> {
    let feature = any::<(u16, u8)>().prop_map(|(id, critical)| Feature { id, critical });
    vec(feature, 0..4)
}

pub(super) fn peer_request() -> impl Strategy<Value = PeerRequest> {
    use PeerRequest as R;
    let pull = (room(), head(), any::<u64>());
    let pull = pull.prop_map(|(room, after, until)| Pull {
        room,
        after,
        until: Seq(until),
    });
    prop_oneof![
        signed(hello()).prop_map(R::Hello),
        vouched(group_info_request()).prop_map(R::GroupInfo),
        vouched(tree_chunk_request()).prop_map(R::TreeChunk),
        vouched(claim_key_package()).prop_map(R::ClaimKeyPackage),
        vouched(commit()).prop_map(R::Commit),
        vouched(proposal()).prop_map(R::Propose),
        pull.prop_map(R::Pull),
    ]
}

prop_compose! {
    fn group_info_reply()(
        group_info in bytes(), epoch: u64, hash: [u8; 32], size: u32,
        inline in option::of(bytes()), pending in vec(bytes(), 0..4), head in head(),
    ) -> GroupInfoReply {
        let tree = TreeRef { epoch: Epoch(epoch), hash, size, inline };
        GroupInfoReply { group_info, tree, pending, head }
    }
}

prop_compose! {
    fn key_package()(key_package in bytes(), reference in reference()) -> ClaimedKeyPackage {
        ClaimedKeyPackage { key_package, reference }
    }
}

prop_compose! {
    fn ordered()(at in head(), sender: u32, time in time()) -> Ordered {
        Ordered { at, sender: LeafIndex(sender), time }
    }
}

fn reach() -> impl Strategy<Value = PeerReach> {
    prop_oneof![
        Just(PeerReach::Connected),
        Just(PeerReach::Idle),
        time().prop_map(|since| PeerReach::Unreachable { since }),
    ]
}

prop_compose! {
    fn peer_status()(server in server(), reach in reach(), owed: u64) -> PeerStatus {
        PeerStatus { server, reach, owed }
    }
}

prop_compose! {
    fn status()(
        server in server(), version in "[0-9.]{1,10}", time in time(), started in time(),
        waiting: u32, peers in vec(peer_status(), 0..4),
    ) -> ServerStatus {
        ServerStatus { server, version, time, started, waiting, peers }
    }
}

/// A reply with the number of a method that gives it.
pub(super) fn client_reply() -> impl Strategy<Value = (u16, ClientResponse)> {
    use ClientResponse as R;
    let logged_in = (time(), any::<u32>()).prop_map(|(server_time, key_packages)| LoggedIn {
        server_time,
        key_packages,
    });
    prop_oneof![
        select(vec![0, 9]).prop_map(|method| (method, R::Done)),
        logged_in.prop_map(|reply| (1, R::LoggedIn(reply))),
        any::<u32>().prop_map(|count| (2, R::KeyPackages(count))),
        (select(vec![3, 7, 8]), ordered()).prop_map(|(method, at)| (method, R::Ordered(at))),
        group_info_reply().prop_map(|reply| (4, R::GroupInfo(reply))),
        bytes().prop_map(|bytes| (5, R::TreeChunk(bytes))),
        key_package().prop_map(|reply| (6, R::KeyPackage(reply))),
        status().prop_map(|reply| (10, R::Status(reply))),
    ]
}

/// A reply with the number of a method that gives it.
pub(super) fn peer_reply() -> impl Strategy<Value = (u16, PeerResponse)> {
    use PeerResponse as R;
    prop_oneof![
        signed(hello_reply()).prop_map(|reply| (0, R::Hello(reply))),
        group_info_reply().prop_map(|reply| (1, R::GroupInfo(reply))),
        bytes().prop_map(|bytes| (2, R::TreeChunk(bytes))),
        key_package().prop_map(|reply| (3, R::KeyPackage(reply))),
        (select(vec![4, 5]), ordered()).prop_map(|(method, at)| (method, R::Ordered(at))),
        vec(entry(), 0..4).prop_map(|entries| (6, R::Entries(entries))),
    ]
}

prop_compose! {
    fn entry()(
        room in room(), at in head(), epoch: u64, sender: u32, origin in server(),
        message_id in message_id(), body in bytes(), time in time(), attested: bool,
        kind in select(vec![
            EntryKind::Create, EntryKind::Application, EntryKind::Commit, EntryKind::Proposal,
        ]),
    ) -> Entry {
        let header = EntryHeader {
            room,
            term: at.term,
            seq: at.seq,
            epoch: Epoch(epoch),
            kind,
            origin: origin.clone(),
            sender: LeafIndex(sender),
            message_id,
            prev_hash: at.hash,
            body_hash: Entry::body_hash(&body),
            time,
        };
        let key = SigningKey::from_seed(&at.hash.0);
        let attestation = attest(&[(room, at)], &origin, "k", &key, time).pop();
        Entry { header, body: body.into(), attestation: attestation.filter(|_| attested) }
    }
}

prop_compose! {
    pub(super) fn submit_frame()(
        hub in server(), room in room(), message_id in message_id(), epoch: u64,
        ciphertext in bytes(),
    ) -> SubmitFrame {
        let (epoch, ciphertext) = (Epoch(epoch), ciphertext.into());
        SubmitFrame { hub, submission: Submission { room, message_id, epoch, ciphertext } }
    }
}

pub(super) fn submit_reply() -> impl Strategy<Value = SubmitReply> {
    let ordered = any::<(u32, u64)>().prop_map(|(term, seq)| SubmitOutcome::Ordered {
        term: Term(term),
        seq: Seq(seq),
    });
    let outcome = prop_oneof![
        Just(SubmitOutcome::Stored),
        ordered,
        fault().prop_map(SubmitOutcome::Refused),
    ];
    (room(), message_id(), outcome).prop_map(|(room, message_id, outcome)| SubmitReply {
        room,
        message_id,
        outcome,
    })
}

pub(super) fn sync_request() -> impl Strategy<Value = SyncRequest> {
    let cursor = (room(), any::<u64>().prop_map(Seq));
    (vec(cursor, 0..20), any::<u64>(), any::<bool>()).prop_map(|(cursors, queue, open)| {
        if open {
            let queue_after = queue;
            SyncRequest::Open {
                cursors,
                queue_after,
            }
        } else {
            SyncRequest::Ack { cursors, queue }
        }
    })
}

fn device_item() -> impl Strategy<Value = DeviceItem> {
    let welcome = (
        room(),
        server(),
        reference(),
        bytes(),
        head(),
        any::<[u8; 32]>(),
    );
    let welcome = welcome.prop_map(
        |(room, hub, reference, welcome, at, tree_hash)| WelcomeItem {
            room,
            hub,
            reference,
            welcome: welcome.into(),
            epoch: Epoch(at.seq.0),
            tree_hash,
            tree_bytes: at.term.0,
            at,
        },
    );
    let invite = (account(), device(), account(), message_id(), bytes());
    let invite = invite.prop_map(
        |(account, device, inviter, message_id, sealed)| InviteItem {
            account,
            device,
            inviter,
            message_id,
            sealed: sealed.into(),
        },
    );
    let refused = (room(), message_id(), any::<u16>());
    let refused = refused.prop_map(|(room, message_id, code)| RefusedItem {
        room,
        message_id,
        code,
    });
    prop_oneof![
        welcome.prop_map(DeviceItem::Welcome),
        invite.prop_map(DeviceItem::Invite),
        refused.prop_map(DeviceItem::Refused),
    ]
}

pub(super) fn sync_event() -> impl Strategy<Value = SyncEvent> {
    let entries = (room(), server(), vec(entry(), 0..4));
    let queued = (any::<u64>(), time(), device_item());
    let delivered = (room(), any::<u64>().prop_map(Seq));
    prop_oneof![
        entries.prop_map(|(room, hub, entries)| SyncEvent::Entries { room, hub, entries }),
        queued.prop_map(|(number, time, item)| SyncEvent::Queued { number, time, item }),
        delivered.prop_map(|(room, seq)| SyncEvent::Delivered { room, seq }),
        Just(SyncEvent::CaughtUp),
    ]
}

pub(super) fn batch() -> impl Strategy<Value = Batch> {
    let numbers = any::<(u64, u64)>();
    let parts = (
        key(),
        server(),
        server(),
        numbers,
        vec(bytes(), 0..6),
        time(),
    );
    parts.prop_map(|(key, origin, destination, numbers, items, now)| {
        Batch::sign(&origin, &destination, numbers, items, ("k", &key, now))
    })
}

pub(super) fn relay_reply() -> impl Strategy<Value = RelayReply> {
    let ack = any::<(u64, u64)>().prop_map(|(stream_epoch, up_to)| RelayReply::Ack {
        stream_epoch,
        up_to,
    });
    let future = any::<(u64, u64)>().prop_map(|(stream_epoch, last_in)| RelayReply::FutureCursor {
        stream_epoch,
        last_in,
    });
    let busy = any::<u32>().prop_map(|retry_after_ms| RelayReply::Busy { retry_after_ms });
    prop_oneof![ack, future, busy]
}
