//! Strangers ask whether a person or a room exists.

use anyhow::{Result, ensure};
use entente_groups::{KeyPackageUse, MessageId, RoomId, Suite};
use entente_identity::{AccountDid, ServerDid, SigningKey};
use entente_protocol::call::{
    ClaimKeyPackage, ClientRequest, CommitRequest, GroupInfoRequest, HubCall, PeerRequest,
    Proposal, Pull, RoomAccess, TreeChunkRequest,
};
use entente_protocol::entry::{EntryHash, Head, Seq, Term};
use entente_protocol::fault::Fault;
use entente_protocol::flow::{Submission, SubmitOutcome};
use entente_protocol::hello::LOGIN_EXPORTER_LABEL;
use entente_transport::CallError;

use super::{Attack, attack};
use crate::arena::Arena;
use crate::device::{Device, nonsense_invite};
use crate::dice::Dice;
use crate::gathering::{Gathering, vouched};
use crate::person::Person;
use crate::wire::frame::{group_info_frame, login_frame, number};
use crate::wire::link::{RawAnswer, RawLink};

pub(super) const ATTACKS: &[Attack] = &[
    attack!("does-a-person-exist", Devices,
        "Logins as an account that exists and one that does not, byte for byte; invitations and KeyPackages of both; handles over HTTPS."
        => "the same answer to both, whole",
        person),
    attack!("does-a-room-exist", Devices,
        "A stranger's device asks for everything about a room that exists and one that does not."
        => "the same answer to both, whole",
        room),
    attack!("does-a-room-exist-for-a-peer", Peers,
        "A server without members in a room asks for everything about it, and about one that does not exist."
        => "the same answer to both, whole",
        room_for_peer),
];

/// An account that nobody has.
fn nobody(dice: &mut Dice) -> AccountDid {
    AccountDid::new(SigningKey::generate(dice.rng()).public())
}

async fn person(arena: &Arena, mut dice: Dice) -> Result<()> {
    let alice = arena.newcomer(&arena.a, "alice", &mut dice).await?;
    let eve = arena.newcomer(&arena.a, "eve", &mut dice).await?;
    logins(arena, &alice, &eve.person, &mut dice).await?;
    // Invitations: to somebody and to nobody.
    let ghost = Person::new(
        format!("{}@{}", arena.fresh("ghost"), arena.a.did.domain()).parse()?,
        &mut dice,
    );
    let mut answers = Vec::new();
    for to in [&alice.person, &ghost] {
        let request = nonsense_invite(to, MessageId(dice.bytes()));
        answers.push(eve.link.call(&request).await);
    }
    ensure!(answers[0] == answers[1], "invitations: {answers:?}");
    // KeyPackages: of somebody without any, of nobody.
    let seat = eve.found(&mut dice).await?;
    let claim = |account| {
        ClientRequest::ClaimKeyPackage(HubCall {
            hub: arena.a.did.clone(),
            request: ClaimKeyPackage {
                room: seat.room(),
                account,
                home: arena.a.did.clone(),
                suite: Suite::Classical,
            },
        })
    };
    alice.publish(KeyPackageUse::Once, 1).await?;
    eve.link.call(&claim(alice.person.account)).await?;
    let empty = eve.link.call(&claim(alice.person.account)).await;
    let absent = eve.link.call(&claim(nobody(&mut dice))).await;
    ensure!(empty == absent, "KeyPackages: {empty:?} and {absent:?}");
    handles(arena, &alice.person).await
}

/// Logins that do not hold: as somebody, as a device that somebody does not have, and as nobody.
async fn logins(arena: &Arena, alice: &Device, eve: &Person, dice: &mut Dice) -> Result<()> {
    let mut answers = Vec::new();
    for try_number in 0..3 {
        let link = RawLink::client(&arena.a).await?;
        let mut proof = eve.login(link.exporter(LOGIN_EXPORTER_LABEL));
        match try_number {
            0 => (proof.account, proof.device) = (alice.person.account, alice.person.device),
            1 => proof.account = alice.person.account,
            _ => proof.account = nobody(dice),
        }
        let time = crate::clock::now();
        let statement = crate::wire::statement::Statement::of(
            &proof,
            &eve.key().public(),
            &proof.account.to_string(),
            &entente_identity::Audience::Server(arena.a.did.clone()),
            (time, Some(time.after(60_000))),
        );
        let frame = login_frame(&statement.sign(eve.key()));
        answers.push(link.call(number::LOGIN, &frame).await?);
    }
    let same = answers.iter().all(|answer| *answer == answers[0]);
    let fault = matches!(answers[0], RawAnswer::Fault(_));
    ensure!(same && fault, "logins: {answers:?}");
    Ok(())
}

/// A handle that exists is published; all that do not are alike.
async fn handles(arena: &Arena, alice: &Person) -> Result<()> {
    let domain = arena.a.did.domain().as_str();
    let get = async |path: &str| arena.web.get(arena.a.https, domain, path).await;
    let local = alice.handle.local();
    let published = get(&format!("/u/{local}/did.json")).await?;
    ensure!(published.status == 200, "{}", published.head);
    let absent = get("/u/nobody-of-that-name/did.json").await?;
    ensure!(absent.status == 404, "{}", absent.head);
    for path in [
        "/u/%00/did.json",
        "/u/UPPER/did.json",
        "/u/with%20space/did.json",
        "/u/../did.json",
        &format!("/u/{local}/keys.json"),
        &format!("/u/{local}"),
        "/u/",
        "/nothing",
    ] {
        let answer = get(path).await?;
        ensure!(answer == absent, "{path}: {answer:?} and {absent:?}");
    }
    Ok(())
}

/// Two answers to one question must be the same.
fn alike<T: std::fmt::Debug>(
    what: &str,
    one: Result<T, CallError>,
    other: Result<T, CallError>,
) -> Result<()> {
    let told = |answer: &Result<T, CallError>| match answer {
        Err(CallError::Refused(fault)) => Some(fault.clone()),
        _ => None,
    };
    let (told_one, told_other): (Option<Fault>, Option<Fault>) = (told(&one), told(&other));
    ensure!(
        told_one.is_some() && told_one == told_other,
        "{what}: {one:?} where it exists, {other:?} where it does not"
    );
    Ok(())
}

async fn room(arena: &Arena, mut dice: Dice) -> Result<()> {
    let alice = arena.newcomer(&arena.a, "alice", &mut dice).await?;
    let mut seat = alice.found(&mut dice).await?;
    let eve = arena.newcomer(&arena.a, "eve", &mut dice).await?;
    let own = eve.found(&mut dice).await?;
    let forged = own.ticket(eve.person.account, &eve.person)?;
    let bundle = seat.member.refresh(None, alice.person.key())?;
    seat.member.discard_pending()?;
    let proposal = seat.leaving(&alice.person, &mut dice)?.proposal;
    let hub = &arena.a.did;
    let (known, unknown) = (seat.room(), RoomId(dice.bytes()));
    let tickets = [
        RoomAccess::Member,
        RoomAccess::Ticket(Box::new(forged.clone())),
    ];
    let mut differing = Vec::new();
    for access in tickets {
        let ask = |room| group_info(hub, room, access.clone());
        let what = format!(
            "GroupInfo by {}",
            if access == RoomAccess::Member {
                "membership"
            } else {
                "ticket"
            }
        );
        differing.extend(compare(&eve, &what, ask(known), ask(unknown)).await);
        let ask = |room| tree_chunk(hub, room, access.clone());
        differing.extend(compare(&eve, "TreeChunk", ask(known), ask(unknown)).await);
    }
    let commit = |room| at_hub_commit(hub, room, &bundle);
    differing.extend(compare(&eve, "Commit", commit(known), commit(unknown)).await);
    let propose = |room| at_hub_propose(hub, room, &proposal);
    differing.extend(compare(&eve, "Propose", propose(known), propose(unknown)).await);
    let claim = |room| at_hub_claim(hub, room, alice.person.account);
    differing.extend(compare(&eve, "ClaimKeyPackage", claim(known), claim(unknown)).await);
    differing.extend(submissions(&eve, hub, known, unknown, &mut dice).await?);
    differing.extend(raw_bytes(arena, &eve, known, unknown).await?);
    ensure!(differing.is_empty(), "{}", differing.join("; "));
    Ok(())
}

/// What a device learns from asking the same about two rooms.
async fn compare(
    device: &Device,
    what: &str,
    known: ClientRequest,
    unknown: ClientRequest,
) -> Option<String> {
    let known = device.link.call(&known).await;
    let unknown = device.link.call(&unknown).await;
    alike(what, known, unknown)
        .err()
        .map(|error| error.to_string())
}

fn group_info(hub: &ServerDid, room: RoomId, access: RoomAccess) -> ClientRequest {
    ClientRequest::GroupInfo(HubCall {
        hub: hub.clone(),
        request: GroupInfoRequest { room, access },
    })
}

fn tree_chunk(hub: &ServerDid, room: RoomId, access: RoomAccess) -> ClientRequest {
    ClientRequest::TreeChunk(HubCall {
        hub: hub.clone(),
        request: TreeChunkRequest {
            room,
            access,
            epoch: entente_groups::Epoch(0),
            hash: [0; 32],
            offset: 0,
        },
    })
}

fn at_hub_commit(
    hub: &ServerDid,
    room: RoomId,
    bundle: &entente_groups::CommitBundle,
) -> ClientRequest {
    ClientRequest::Commit(HubCall {
        hub: hub.clone(),
        request: CommitRequest {
            room,
            message_id: MessageId([3; 16]),
            bundle: bundle.clone(),
        },
    })
}

fn at_hub_propose(hub: &ServerDid, room: RoomId, proposal: &[u8]) -> ClientRequest {
    ClientRequest::Propose(HubCall {
        hub: hub.clone(),
        request: Proposal {
            room,
            message_id: MessageId([4; 16]),
            proposal: proposal.to_vec(),
        },
    })
}

fn at_hub_claim(hub: &ServerDid, room: RoomId, account: AccountDid) -> ClientRequest {
    ClientRequest::ClaimKeyPackage(HubCall {
        hub: hub.clone(),
        request: ClaimKeyPackage {
            room,
            account,
            home: hub.clone(),
            suite: Suite::Classical,
        },
    })
}

/// Messages to both rooms.
async fn submissions(
    eve: &Device,
    hub: &ServerDid,
    known: RoomId,
    unknown: RoomId,
    dice: &mut Dice,
) -> Result<Option<String>> {
    let mut flow = eve.submitting().await?;
    let mut outcomes = Vec::new();
    for room in [known, unknown] {
        let submission = Submission {
            room,
            message_id: MessageId(dice.bytes()),
            epoch: entente_groups::Epoch(0),
            ciphertext: dice.many(80).into(),
        };
        outcomes.push(flow.submit(hub, submission).await?);
    }
    let refused = matches!(outcomes[0], SubmitOutcome::Refused(_));
    let same = refused && outcomes[0] == outcomes[1];
    Ok((!same).then(|| format!("a message: {outcomes:?}")))
}

/// The bytes of whole answers, as they travel.
async fn raw_bytes(
    arena: &Arena,
    eve: &Device,
    known: RoomId,
    unknown: RoomId,
) -> Result<Option<String>> {
    let link = RawLink::client(&arena.a).await?;
    let exporter = link.exporter(LOGIN_EXPORTER_LABEL);
    let proof = eve.person.signed_login(exporter, &arena.a.did).to_bytes();
    let login = link.call(number::LOGIN, &login_frame(&proof)).await?;
    ensure!(login.is_reply(), "not logged in: {login:?}");
    let mut answers = Vec::new();
    for room in [known, unknown] {
        let frame = group_info_frame(&arena.a.did, &room);
        answers.push(link.call(number::GROUP_INFO, &frame).await?);
    }
    ensure!(!answers[0].is_reply(), "told: {:?}", answers[0]);
    Ok((answers[0] != answers[1]).then(|| "the bytes of answers differ".to_owned()))
}

async fn room_for_peer(arena: &Arena, mut dice: Dice) -> Result<()> {
    let trudy = arena.trudy()?;
    let gathering = Gathering::new(arena, &mut dice).await?;
    let handle = format!("{}@{}", arena.fresh("spy"), trudy.did.domain());
    let spy = Person::new(handle.parse()?, &mut dice);
    let link = trudy.link(&arena.a).await?;
    let unknown = RoomId(dice.bytes());
    let head = |seq| Head {
        term: Term::FIRST,
        seq: Seq(seq),
        hash: EntryHash([0; 32]),
    };
    let pull = |room, seq| {
        PeerRequest::Pull(Pull {
            room,
            after: head(seq),
            until: Seq(u64::MAX),
        })
    };
    let group_info = |room| {
        let access = RoomAccess::Member;
        PeerRequest::GroupInfo(vouched(&spy, GroupInfoRequest { room, access }))
    };
    let chunk = |room| {
        PeerRequest::TreeChunk(vouched(
            &spy,
            TreeChunkRequest {
                room,
                access: RoomAccess::Member,
                epoch: entente_groups::Epoch(1),
                hash: [0; 32],
                offset: 0,
            },
        ))
    };
    let known = gathering.room();
    let questions = [
        ("Pull", pull(known, 0), pull(unknown, 0)),
        ("Pull of a position", pull(known, 2), pull(unknown, 2)),
        ("GroupInfo", group_info(known), group_info(unknown)),
        ("TreeChunk", chunk(known), chunk(unknown)),
    ];
    let mut differing = Vec::new();
    for (what, known, unknown) in questions {
        let (one, other) = (link.call(&known).await, link.call(&unknown).await);
        differing.extend(alike(what, one, other).err().map(|error| error.to_string()));
    }
    ensure!(differing.is_empty(), "{}", differing.join("; "));
    Ok(())
}
