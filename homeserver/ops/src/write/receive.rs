//! A peer's batch: each new item has its effect, is parked, or is dropped; then the cursor moves, in
//! the same transaction.

use std::collections::BTreeMap;

use entente_federation::inbox::{InStream, Intake};
use entente_groups::KeyPackageUse;
use entente_homeserver_core::equivocation::Standing;
use entente_homeserver_core::receive::{self, KnownRoom, Received};
use entente_homeserver_core::rows::{ParkedRow, PeerRow};
use entente_homeserver_core::submit::{Known, relayed};
use entente_homeserver_core::{Change, Decision};
use entente_identity::{PublicKey, ServerDid};
use entente_protocol::entry::{Entry, EntryHeader};
use entente_protocol::fault::FaultCode;
use entente_protocol::relay::{Item, RelayReply, RelayedSubmission, VerifiedBatch};

use super::{Outcome, freeze, refuse};
use crate::command::Answer;
use crate::read::heads;
use crate::store::StoreFault;
use crate::wanted::Wanted;
use crate::work::Work;

/// Most items of one peer that may wait parked; beyond it the peer is told to wait.
const MAX_PARKED: u64 = 10_000;
/// What a peer with too many parked items is told, in milliseconds.
const PARKED_RETRY_MS: u32 = 5_000;
/// What the sender of a batch after one that was not taken is told, in milliseconds.
const GAP_RETRY_MS: u32 = 50;

pub(crate) async fn run(work: &mut Work<'_>, batch: VerifiedBatch) -> Outcome {
    let row = work.peer(&batch.origin).await?;
    let skip = match row.incoming.intake(&batch) {
        Intake::Take { skip } => skip,
        Intake::OtherEpoch if row.incoming.epoch > batch.stream_epoch => {
            return Ok(Ok(Answer::Received(RelayReply::FutureCursor {
                stream_epoch: row.incoming.epoch,
                last_in: row.incoming.last,
            })));
        }
        Intake::Gap { .. } => {
            let retry_after_ms = GAP_RETRY_MS;
            return Ok(Ok(Answer::Received(RelayReply::Busy { retry_after_ms })));
        }
        Intake::OtherEpoch => return refuse(FaultCode::PeerMisbehaved),
    };
    let mut parked = None;
    let new = &batch.items[skip..];
    let count = new.len();
    let items: Vec<_> = new.iter().map(|bytes| Item::from_bytes(bytes)).collect();
    let wanted = wanted(&work.here.me, &batch.origin, items.iter().flatten());
    work.load(wanted).await?;
    for (done, item) in items.into_iter().enumerate() {
        let number = batch.first + (skip + done) as u64;
        let sender = (&batch.origin, &batch.key);
        let place = (row.incoming.epoch, number);
        let item = item.map_err(|fault| fault.to_string());
        if !take(work, sender, place, (item, &new[done]), &mut parked).await? {
            let retry_after_ms = PARKED_RETRY_MS;
            advance(work, &batch.origin, row.incoming, done).await?;
            return Ok(Ok(Answer::Received(RelayReply::Busy { retry_after_ms })));
        }
    }
    let incoming = advance(work, &batch.origin, row.incoming, count).await?;
    Ok(Ok(Answer::Received(RelayReply::Ack {
        stream_epoch: incoming.epoch,
        up_to: incoming.last,
    })))
}

/// What the items of a batch will ask for, as far as it grows with their number.
fn wanted<'a>(me: &ServerDid, from: &ServerDid, items: impl Iterator<Item = &'a Item>) -> Wanted {
    let mut wanted = Wanted::default();
    for item in items {
        match item {
            Item::Entry(entry) => want_entry(&mut wanted, me, &entry.header),
            Item::Submission(relayed) => {
                let submission = &relayed.submission;
                let room = submission.room;
                wanted.rooms.insert(room);
                let member = (room, relayed.account, relayed.device);
                wanted.members.insert(member);
                let message = (room, from.clone(), submission.message_id);
                wanted.messages.insert(message);
            }
            Item::Refusal(refusal) => {
                wanted.rooms.insert(refusal.room);
                wanted.pending.insert((refusal.room, refusal.message_id));
            }
            Item::Delivered(watermark) => _ = wanted.rooms.insert(watermark.room),
            Item::Welcome(_) | Item::Invite(_) => {}
        }
    }
    wanted
}

/// What an entry will ask for.
pub(super) fn want_entry(wanted: &mut Wanted, me: &ServerDid, header: &EntryHeader) {
    wanted.rooms.insert(header.room);
    let message = (header.room, header.origin.clone(), header.message_id);
    wanted.messages.insert(message);
    if header.origin == *me {
        wanted.pending.insert((header.room, header.message_id));
    }
}

/// Moves the cursor. The row is loaded again: the items may have changed what is owed to the peer.
async fn advance(
    work: &mut Work<'_>,
    peer: &ServerDid,
    incoming: InStream,
    count: usize,
) -> Result<InStream, StoreFault> {
    let row = work.peer(peer).await?;
    let incoming = incoming.advanced(count);
    let mut decision = Decision::reply(());
    decision
        .changes
        .push(Change::PutPeer(PeerRow { incoming, ..row }));
    work.record(decision).await?;
    Ok(incoming)
}

/// Takes one item; `false` when it would have to be parked and no more may be.
async fn take(
    work: &mut Work<'_>,
    (from, key): (&ServerDid, &PublicKey),
    (stream_epoch, number): (u64, u64),
    (item, bytes): (Result<Item, String>, &[u8]),
    parked: &mut Option<u64>,
) -> Result<bool, StoreFault> {
    let (received, entry) = match item {
        Ok(Item::Entry(entry)) => {
            let place = (entry.header.room, entry.header.seq);
            let received = if !work.attestation_holds(&entry, from, key) {
                let reason = "the hub's signature on the end of the log does not hold";
                Received::Dropped(reason.to_owned())
            } else if let Some(second) = second_history(work, from, key, &entry).await? {
                second
            } else {
                take_entry(work, from, entry).await?
            };
            (received, Some(place))
        }
        Ok(item) => (take_other(work, from, item).await?, None),
        Err(reason) => (Received::Parked(reason), None),
    };
    let Received::Parked(reason) = received else {
        return Ok(true);
    };
    let count = match parked {
        Some(count) => *count,
        None => work.tx().await?.parked_count(from).await?,
    };
    *parked = Some(count + 1);
    if count >= MAX_PARKED {
        return Ok(false);
    }
    let mut decision = Decision::reply(());
    decision.changes.push(Change::Park(ParkedRow {
        peer: from.clone(),
        stream_epoch,
        number,
        entry,
        bytes: bytes.to_vec(),
        reason,
        time: work.now,
    }));
    work.record(decision).await?;
    Ok(true)
}

/// A hub that shows another entry at a position that is known here: if it signed both, the room freezes.
async fn second_history(
    work: &mut Work<'_>,
    from: &ServerDid,
    key: &PublicKey,
    entry: &Entry,
) -> Result<Option<Received>, StoreFault> {
    let header = &entry.header;
    let room = work.room(&header.room).await?;
    let Some(room) = room.filter(|room| room.hub == *from && header.seq <= room.head.seq) else {
        return Ok(None);
    };
    let here = heads::header_at(work.tx().await?, &room.room, header.seq).await?;
    if here.is_none_or(|here| here.hash() == header.hash()) {
        return Ok(None);
    }
    let proof = match entry.shown_head() {
        Some(shown) => heads::prove(work.tx().await?, &room, &shown, *key).await?,
        None => None,
    };
    if let Some((proof, shown)) = proof {
        freeze::record(work, proof, shown).await?;
    }
    let reason = "the hub shows another entry at a position that is known here".to_owned();
    Ok(Some(Received::Dropped(reason)))
}

pub(super) async fn take_entry(
    work: &mut Work<'_>,
    from: &ServerDid,
    entry: Entry,
) -> Result<Received, StoreFault> {
    let me = work.here.me.clone();
    let header = &entry.header;
    let before = work.ordered(header.room, &header.origin, header.message_id);
    if before
        .await?
        .is_some_and(|before| before.at.seq != header.seq)
    {
        let reason = "the hub shows one message at two positions".to_owned();
        return Ok(Received::Dropped(reason));
    }
    let room = work.room(&header.room).await?;
    let pending = if header.origin == me {
        work.pending(header.room, header.message_id).await?
    } else {
        None
    };
    let continues = room
        .as_ref()
        .is_some_and(|room| header.prev_hash == room.head.hash);
    let has_members = match &room {
        Some(_) if continues => true,
        Some(_) => has_local_members(work, &entry).await?,
        None => false,
    };
    let known = KnownRoom {
        room: room.as_ref(),
        has_members,
        pending: pending.as_ref(),
        standing: work.standing(&header.room).await?,
    };
    let decision = receive::entry(&me, from, known, &entry);
    work.record(decision).await
}

async fn has_local_members(work: &mut Work<'_>, entry: &Entry) -> Result<bool, StoreFault> {
    let me = work.here.me.clone();
    let members = work.tx().await?.members(&entry.header.room).await?;
    Ok(members.iter().any(|member| member.home == me))
}

async fn take_other(
    work: &mut Work<'_>,
    from: &ServerDid,
    item: Item,
) -> Result<Received, StoreFault> {
    let decision = match item {
        Item::Submission(relayed) => return take_submission(work, from, relayed).await,
        Item::Welcome(item) => {
            let tx = work.tx().await?;
            let package = tx.key_package(&item.reference).await?;
            let waiting = match &package {
                Some(package) if package.usage == KeyPackageUse::LastResort => {
                    work.waiting_invites((package.account, package.device))
                        .await?
                }
                _ => BTreeMap::new(),
            };
            receive::welcome(from, package.as_ref(), &waiting, item)
        }
        Item::Invite(item) => {
            let key = (item.account, item.device);
            let device = work.device(key).await?;
            let waiting = match device {
                Some(_) => work.waiting_invites(key).await?,
                None => BTreeMap::new(),
            };
            receive::invite(from, device.as_ref(), &waiting, item)
        }
        Item::Refusal(item) => {
            let pending = work.pending(item.room, item.message_id).await?;
            let room = work.room(&item.room).await?;
            receive::refusal(from, room.as_ref(), pending.as_ref(), &item)
        }
        Item::Delivered(watermark) => {
            let room = work.room(&watermark.room).await?;
            receive::delivered(from, room.as_ref(), watermark)
        }
        Item::Entry(entry) => return take_entry(work, from, entry).await,
    };
    work.record(decision).await
}

async fn take_submission(
    work: &mut Work<'_>,
    from: &ServerDid,
    item: RelayedSubmission,
) -> Result<Received, StoreFault> {
    let me = work.here.me.clone();
    let submission = &item.submission;
    let id = submission.room;
    let ordered = work.ordered(id, from, submission.message_id).await?;
    let room = work.room(&id).await?;
    let member = work.member(id, (item.account, item.device)).await?;
    let known = Known {
        room: room.as_ref(),
        member: member.as_ref(),
        ordered,
        pending: false,
        standing: Standing::Open,
    };
    let decision = match relayed(&me, from, known, submission, work.now) {
        Ok(decision) => decision.map(|_| Received::Applied),
        Err(code) => receive::refuse_submission(from, &item, code),
    };
    work.record(decision).await
}
