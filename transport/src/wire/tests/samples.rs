//! One fixed value of every type and variant, for the golden bytes. Values are never changed; a new
//! method or variant gets a new one.

use entente_groups::{
    CommitBundle, CreateRecord, Epoch, KeyPackageRef, LeafIndex, MessageId, Role, RoomId,
    RoomPolicy, Suite, Ticket,
};
use entente_identity::{
    AccountClaim, AccountDid, Device, DeviceId, DeviceRole, HomeRecord, HpkePublicKey, ServerDid,
    Signed, SigningKey, UnixMillis, first_device_list,
};
use entente_protocol::call::*;
use entente_protocol::checkpoint::attest;
use entente_protocol::entry::{Entry, EntryHash, EntryHeader, EntryKind, Head, Seq, Term};
use entente_protocol::equivocation::{Equivocation, HeadsReply, History, ShownHead};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::flow::*;
use entente_protocol::hello::{Feature, Hello, HelloReply, KeyDocumentId, LoginProof, prove};
use entente_protocol::relay::{Batch, RelayReply};

const ROOM: RoomId = RoomId([0x11; 32]);
const MESSAGE: MessageId = MessageId([0x22; 16]);
const DEVICE: DeviceId = DeviceId([0x33; 16]);
const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
const HEAD: Head = Head {
    term: Term(2),
    seq: Seq(77),
    hash: EntryHash([0x44; 32]),
};

fn key() -> SigningKey {
    SigningKey::from_seed(&[0x55; 32])
}

fn account() -> AccountDid {
    AccountDid::new(key().public())
}

fn hub() -> ServerDid {
    "did:web:org-a.example".parse().expect("a DID")
}

fn home() -> ServerDid {
    "did:web:org-b.example".parse().expect("a DID")
}

fn claim() -> AccountClaim {
    let device = Device {
        id: DEVICE,
        signature_key: key().public(),
        hpke_key: HpkePublicKey([0x66; 32]),
        role: DeviceRole::Manager,
    };
    let handle = "alice@org-a.example".parse().expect("a handle");
    AccountClaim {
        account: account(),
        device_list: first_device_list(&key(), vec![device], NOW),
        signer_chain: vec![],
        home_record: HomeRecord::first(&key(), handle, NOW),
    }
}

fn record() -> Signed<CreateRecord> {
    let record = CreateRecord {
        creator: account(),
        hub: hub(),
        suite: Suite::PostQuantum,
        policy: RoomPolicy::founded_by(account()),
        created: NOW,
        nonce: [0x77; 16],
    };
    record.sign(&key())
}

fn ticket() -> Box<Signed<Ticket>> {
    let ticket = Ticket {
        room: ROOM,
        invitee: account(),
        role: Role::Member,
        min_list_version: 1,
        inviter: account(),
        inviter_leaf: LeafIndex(3),
    };
    Box::new(ticket.sign(&key(), NOW, 1000))
}

fn group_info() -> GroupInfoRequest {
    GroupInfoRequest {
        room: ROOM,
        access: RoomAccess::Member,
    }
}

fn tree_chunk() -> TreeChunkRequest {
    TreeChunkRequest {
        room: ROOM,
        access: RoomAccess::Ticket(ticket()),
        epoch: Epoch(5),
        hash: [0x88; 32],
        offset: 1 << 20,
    }
}

fn claim_key_package() -> ClaimKeyPackage {
    ClaimKeyPackage {
        room: ROOM,
        account: account(),
        home: home(),
        suite: Suite::PostQuantum,
    }
}

fn commit() -> CommitRequest {
    CommitRequest {
        room: ROOM,
        message_id: MESSAGE,
        bundle: CommitBundle {
            commit: b"commit".to_vec(),
            welcome: Some(b"welcome".to_vec()),
            group_info: b"group info".to_vec(),
        },
    }
}

fn proposal() -> Proposal {
    Proposal {
        room: ROOM,
        message_id: MESSAGE,
        proposal: b"proposal".to_vec(),
    }
}

fn to_hub<T>(request: T) -> HubCall<T> {
    HubCall {
        hub: hub(),
        request,
    }
}

fn vouched<T>(request: T) -> Vouched<T> {
    Vouched {
        account: account(),
        device: DEVICE,
        request,
    }
}

pub(super) fn client_requests() -> Vec<ClientRequest> {
    use ClientRequest as R;
    let login = LoginProof {
        account: account(),
        device: DEVICE,
        exporter: [0x99; 32],
    };
    vec![
        R::Register(Register {
            claim: claim(),
            token: None,
        }),
        R::Register(Register {
            claim: claim(),
            token: Some("open sesame".into()),
        }),
        R::Login(prove(&login, "device".into(), &hub(), &key(), NOW)),
        R::PublishKeyPackages(PublishKeyPackages {
            packages: vec![b"one".to_vec(), b"two".to_vec()],
        }),
        R::CreateRoom(CreateRoom {
            record: record(),
            message_id: MESSAGE,
            group_info: b"group info".to_vec(),
            tree: b"tree".to_vec(),
        }),
        R::GroupInfo(to_hub(group_info())),
        R::TreeChunk(to_hub(tree_chunk())),
        R::ClaimKeyPackage(to_hub(claim_key_package())),
        R::Commit(to_hub(commit())),
        R::Propose(to_hub(proposal())),
        R::Invite(SealedInvite {
            account: account(),
            home: home(),
            message_id: MESSAGE,
            sealed: vec![(DEVICE, b"sealed".to_vec())],
        }),
        R::Status,
    ]
}

fn group_info_reply() -> GroupInfoReply {
    GroupInfoReply {
        group_info: b"group info".to_vec(),
        tree: TreeRef {
            epoch: Epoch(5),
            hash: [0x88; 32],
            size: 4,
            inline: Some(b"tree".to_vec()),
        },
        pending: vec![b"proposal".to_vec()],
        head: HEAD,
    }
}

fn far_tree_reply() -> GroupInfoReply {
    let mut reply = group_info_reply();
    reply.tree.inline = None;
    reply
}

fn key_package() -> ClaimedKeyPackage {
    ClaimedKeyPackage {
        key_package: b"key package".to_vec(),
        reference: KeyPackageRef::new(&[0xaa; 48]),
    }
}

fn ordered() -> Ordered {
    Ordered {
        at: HEAD,
        sender: LeafIndex(3),
        time: NOW,
    }
}

fn status() -> ServerStatus {
    let peer = |reach| PeerStatus {
        server: home(),
        reach,
        owed: 9,
    };
    ServerStatus {
        server: hub(),
        version: "0.1.0".into(),
        time: NOW,
        started: UnixMillis(NOW.0 - 1000),
        waiting: 4,
        peers: vec![
            peer(PeerReach::Connected),
            peer(PeerReach::Idle),
            peer(PeerReach::Unreachable { since: NOW }),
        ],
    }
}

/// Replies with the numbers of their methods.
pub(super) fn client_replies() -> Vec<(u16, ClientResponse)> {
    use ClientResponse as R;
    let logged_in = LoggedIn {
        server_time: NOW,
        key_packages: 19,
    };
    vec![
        (0, R::Done),
        (1, R::LoggedIn(logged_in)),
        (2, R::KeyPackages(20)),
        (3, R::Ordered(ordered())),
        (4, R::GroupInfo(group_info_reply())),
        (4, R::GroupInfo(far_tree_reply())),
        (5, R::TreeChunk(b"chunk".to_vec())),
        (6, R::KeyPackage(key_package())),
        (7, R::Ordered(ordered())),
        (8, R::Ordered(ordered())),
        (9, R::Done),
        (10, R::Status(status())),
    ]
}

pub(super) fn peer_requests() -> Vec<PeerRequest> {
    use PeerRequest as R;
    let hello = Hello {
        server: home(),
        min_version: 1,
        max_version: 2,
        features: vec![Feature { id: 7, critical: 1 }],
        stream_epoch: 3,
        begins_after: 399,
        key_document: KeyDocumentId {
            seq: 1,
            hash: [0xbb; 32],
        },
        exporter: [0x99; 32],
    };
    vec![
        R::Hello(prove(&hello, home().to_string(), &hub(), &key(), NOW)),
        R::GroupInfo(vouched(group_info())),
        R::TreeChunk(vouched(tree_chunk())),
        R::ClaimKeyPackage(vouched(claim_key_package())),
        R::Commit(vouched(commit())),
        R::Propose(vouched(proposal())),
        R::Pull(Pull {
            room: ROOM,
            after: HEAD,
            until: Seq(99),
        }),
        R::Heads(shown_heads()),
    ]
}

/// Replies with the numbers of their methods.
pub(super) fn peer_replies() -> Vec<(u16, PeerResponse)> {
    use PeerResponse as R;
    let hello = HelloReply {
        server: hub(),
        version: 1,
        features: vec![],
        stream_epoch: 3,
        last_in: 399,
        key_document: KeyDocumentId {
            seq: 1,
            hash: [0xbb; 32],
        },
        exporter: [0x99; 32],
    };
    vec![
        (
            0,
            R::Hello(prove(&hello, hub().to_string(), &home(), &key(), NOW)),
        ),
        (1, R::GroupInfo(group_info_reply())),
        (2, R::TreeChunk(b"chunk".to_vec())),
        (3, R::KeyPackage(key_package())),
        (4, R::Ordered(ordered())),
        (5, R::Ordered(ordered())),
        (6, R::Entries(entries())),
        (
            7,
            R::Heads(HeadsReply {
                heads: shown_heads(),
                proofs: vec![equivocation()],
            }),
        ),
    ]
}

fn shown_heads() -> Vec<ShownHead> {
    let signed = entries().into_iter().filter_map(|entry| {
        let attestation = entry.attestation?;
        Some(ShownHead {
            header: entry.header,
            attestation,
        })
    });
    signed.collect()
}

/// Not a proof of anything: both histories are the same.
fn equivocation() -> Equivocation {
    let history = || History::from(shown_heads().remove(0));
    Equivocation {
        hub: hub(),
        key: key().public(),
        one: history(),
        other: history(),
    }
}

/// One entry that the hub signed as a head, and one that it did not.
fn entries() -> Vec<Entry> {
    let header = EntryHeader {
        room: ROOM,
        term: HEAD.term,
        seq: HEAD.seq,
        epoch: Epoch(5),
        kind: EntryKind::Application,
        origin: home(),
        sender: LeafIndex(3),
        message_id: MESSAGE,
        prev_hash: HEAD.hash,
        body_hash: Entry::body_hash(b"body"),
        time: NOW,
    };
    let attestation = attest(&[(ROOM, header.head())], &hub(), "fed-1", &key(), NOW).pop();
    let body = || b"body".as_slice().into();
    vec![
        Entry {
            header: header.clone(),
            body: body(),
            attestation,
        },
        Entry {
            header,
            body: body(),
            attestation: None,
        },
    ]
}

pub(super) fn faults() -> Vec<Fault> {
    vec![
        Fault::new(FaultCode::NotMember, "you were removed"),
        Fault::new(FaultCode::Busy, "later").retry_after(500),
    ]
}

pub(super) fn submit_frames() -> Vec<SubmitFrame> {
    let submission = Submission {
        room: ROOM,
        message_id: MESSAGE,
        epoch: Epoch(5),
        ciphertext: b"ciphertext".as_slice().into(),
    };
    vec![SubmitFrame {
        hub: hub(),
        submission,
    }]
}

pub(super) fn submit_replies() -> Vec<SubmitReply> {
    let outcomes = [
        SubmitOutcome::Stored,
        SubmitOutcome::Ordered {
            term: HEAD.term,
            seq: HEAD.seq,
        },
        SubmitOutcome::Refused(faults().remove(1)),
    ];
    let reply = |outcome| SubmitReply {
        room: ROOM,
        message_id: MESSAGE,
        outcome,
    };
    outcomes.into_iter().map(reply).collect()
}

pub(super) fn sync_requests() -> Vec<SyncRequest> {
    let cursors = vec![(ROOM, Seq(77)), (RoomId([0x12; 32]), Seq(78))];
    vec![
        SyncRequest::Open {
            cursors: cursors.clone(),
            queue_after: 6,
        },
        SyncRequest::Ack { cursors, queue: 7 },
    ]
}

pub(super) fn sync_events() -> Vec<SyncEvent> {
    let welcome = WelcomeItem {
        room: ROOM,
        hub: hub(),
        reference: KeyPackageRef::new(&[0xaa; 48]),
        welcome: b"welcome".as_slice().into(),
        epoch: Epoch(6),
        tree_hash: [0x88; 32],
        tree_bytes: 4,
        at: HEAD,
    };
    let invite = InviteItem {
        account: account(),
        device: DEVICE,
        inviter: account(),
        message_id: MESSAGE,
        sealed: b"sealed".as_slice().into(),
    };
    let refused = RefusedItem {
        room: ROOM,
        message_id: MESSAGE,
        code: 22,
    };
    let items = [
        DeviceItem::Welcome(welcome),
        DeviceItem::Invite(invite),
        DeviceItem::Refused(refused),
    ];
    let queued = items.map(|item| SyncEvent::Queued {
        number: 8,
        time: NOW,
        item,
    });
    let entries = SyncEvent::Entries {
        room: ROOM,
        hub: hub(),
        entries: entries(),
    };
    let delivered = SyncEvent::Delivered {
        room: ROOM,
        seq: Seq(77),
    };
    let mut events = vec![entries, delivered, SyncEvent::CaughtUp];
    events.extend(queued);
    events
}

pub(super) fn batches() -> Vec<Batch> {
    let items = vec![b"one".to_vec(), b"two".to_vec()];
    let signer = ("fed-1", &key(), NOW);
    vec![Batch::sign(&home(), &hub(), (3, 400), items, signer)]
}

pub(super) fn relay_replies() -> Vec<RelayReply> {
    vec![
        RelayReply::Ack {
            stream_epoch: 3,
            up_to: 401,
        },
        RelayReply::FutureCursor {
            stream_epoch: 3,
            last_in: 500,
        },
        RelayReply::Busy {
            retry_after_ms: 250,
        },
    ]
}
