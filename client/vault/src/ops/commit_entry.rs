//! Reading a commit or a proposal: who came, who went, what became of an own change.

use entente_client_core::duty::{Arrival, commit_delay_ms, posts_profile};
use entente_client_core::event::{
    MembershipChange, MembershipNote, Occurrence, PolicyNote, ProblemKind,
};
use entente_client_core::room::RoomState;
use entente_groups::{
    Departure, MemberInfo, MergedCommit, ProcessFault, Processed, RoomId, RosterDelta,
};
use entente_identity::{AccountDid, Handle, decode_exact};
use entente_protocol::content::Content;
use entente_protocol::entry::{CommitBody, Entry, ProposalBody};
use entente_protocol::limits::MAX_PAST_EPOCHS;
use rusqlite::params;

use crate::error::VaultError;
use crate::goals::{self, StoredCall};
use crate::ops::arrive::{enlist, go_out, lose_track};
use crate::ops::entries::{Flow, PageOutcome, freeze, has_form};
use crate::ops::send::{post, want_cover};
use crate::step::Step;
use crate::{accounts, outbox, rooms};

/// Reads a commit of the log.
pub(crate) fn read(step: &mut Step<'_>, room: &RoomId, entry: &Entry) -> Result<Flow, VaultError> {
    let body = decode_exact("commit entry", entry.body.as_slice());
    let Ok(body): Result<CommitBody, _> = body else {
        return lost(step, room, "the hub ordered a commit that cannot be read");
    };
    let commit = body.commit.as_slice();
    if !has_form(entry, commit) {
        return lost(step, room, "the hub ordered something else as a commit");
    }
    match step.member(room)?.process(commit, entry.header.time) {
        Ok(Processed::Commit(merged)) => {
            merged_commit(step, room, entry, &body.roster, merged)?;
            Ok(Flow::On)
        }
        Ok(Processed::Application(_) | Processed::OwnApplication(_) | Processed::Proposal(_)) => {
            Err(VaultError::Damaged(
                "a commit was processed as something else",
            ))
        }
        Err(fault) => cannot_follow(step, room, entry, &fault),
    }
}

/// Reads a proposal of the log: somebody leaves, and the hub has cut its device off already.
pub(crate) fn read_proposal(
    step: &mut Step<'_>,
    room: &RoomId,
    entry: &Entry,
    body: &ProposalBody,
) -> Result<Flow, VaultError> {
    let own_leaf = step.member(room)?.own_leaf();
    if body.leaver.leaf == own_leaf && entry.header.sender == own_leaf {
        go_out(step, room, RoomState::Left)?;
        return Ok(Flow::On);
    }
    let proposal = body.proposal.as_slice();
    match step.member(room)?.process(proposal, entry.header.time) {
        Ok(Processed::Proposal(departure)) => {
            proposed(step, room, entry, body, &departure)?;
            Ok(Flow::On)
        }
        Ok(Processed::Application(_) | Processed::OwnApplication(_) | Processed::Commit(_)) => Err(
            VaultError::Damaged("a proposal was processed as something else"),
        ),
        Err(fault) => cannot_follow(step, room, entry, &fault),
    }
}

/// Stops because of an entry that this device cannot follow, and wants to come back.
pub(crate) fn lost(step: &mut Step<'_>, room: &RoomId, why: &str) -> Result<Flow, VaultError> {
    lose_track(step, room, why)?;
    Ok(Flow::Stop(PageOutcome::NotFollowed))
}

fn cannot_follow(
    step: &mut Step<'_>,
    room: &RoomId,
    entry: &Entry,
    fault: &ProcessFault,
) -> Result<Flow, VaultError> {
    match fault {
        ProcessFault::Rule(rule) => {
            let why = format!("its hub ordered what breaks the room's rules: {rule}");
            freeze(step, room, entry, ProblemKind::RuleBroken, &why)?;
            Ok(Flow::Stop(PageOutcome::NotFollowed))
        }
        ProcessFault::Removed => {
            go_out(step, room, RoomState::Removed)?;
            Ok(Flow::Stop(PageOutcome::NotFollowed))
        }
        ProcessFault::Message(_)
        | ProcessFault::OtherRoom
        | ProcessFault::PastEpoch { .. }
        | ProcessFault::FutureEpoch { .. }
        | ProcessFault::Repeated
        | ProcessFault::Undecryptable(_)
        | ProcessFault::Mls(_)
        | ProcessFault::State(_) => {
            let why = format!("entry {}: {fault}", entry.header.seq.0);
            lost(step, room, &why)
        }
    }
}

fn proposed(
    step: &mut Step<'_>,
    room: &RoomId,
    entry: &Entry,
    body: &ProposalBody,
    departure: &Departure,
) -> Result<(), VaultError> {
    if departure.leaf != entry.header.sender || *departure != body.leaver {
        let text = "the hub named another device than the one that leaves";
        step.problem(Some(*room), ProblemKind::RosterMismatch, text)?;
    }
    let row = step.room(room)?;
    row.proposals += 1;
    let id = row.id;
    rooms::mark_leaving(step.connection, id, departure.leaf)?;
    note_membership(step, room, &departure.account, MembershipChange::Left, None)?;
    let devices = rooms::roster(step.connection, id)?.len();
    let delay_ms = commit_delay_ms(devices, &mut step.rng);
    want_cover(step, room, delay_ms)
}

fn merged_commit(
    step: &mut Step<'_>,
    room: &RoomId,
    entry: &Entry,
    told: &RosterDelta,
    merged: MergedCommit,
) -> Result<(), VaultError> {
    if merged.committer.leaf != entry.header.sender {
        let text = "the hub named another committer than the commit's own signature shows";
        step.problem(Some(*room), ProblemKind::SenderMismatch, text)?;
    }
    if merged.roster != *told {
        let text = "the hub described a change of members differently from the commit itself; \
                    it may send messages to others, who cannot read them";
        step.problem(Some(*room), ProblemKind::RosterMismatch, text)?;
    }
    settle_goals(step, room, entry, merged.own)?;
    if merged.removed_self {
        let by = merged.committer.account;
        let own = step.own.account;
        note_membership(step, room, &own, MembershipChange::Removed, Some(by))?;
        return go_out(step, room, RoomState::Removed);
    }
    let row = step.room(room)?;
    row.epoch = merged.epoch;
    row.proposals = 0;
    if let Some(policy) = &merged.new_policy {
        row.policy = policy.clone();
    }
    let id = row.id;
    keep_snapshot(step, id, &merged)?;
    apply_roster(step, room, &merged)?;
    outbox::release_epoch(step.connection, id)?;
    if merged.new_policy.is_some() {
        let by = merged.committer.account;
        step.note(&Occurrence::Policy(PolicyNote { room: *room, by }))?;
    }
    post_profile(step, room, &merged)
}

/// An own change is done when its own entry comes, and made anew when another commit came first.
fn settle_goals(
    step: &mut Step<'_>,
    room: &RoomId,
    entry: &Entry,
    own: bool,
) -> Result<(), VaultError> {
    let id = step.room(room)?.id;
    let Some(sent) = goals::sent(step.connection, id)? else {
        return Ok(());
    };
    if !matches!(sent.call, Some(StoredCall::Commit(_))) {
        return Ok(());
    }
    if own && sent.message_id == Some(entry.header.message_id) {
        goals::done(step.connection, sent.id, step.now)
    } else {
        goals::anew(step.connection, sent.id, step.now, step.now)
    }
}

fn keep_snapshot(step: &Step<'_>, room: i64, merged: &MergedCommit) -> Result<(), VaultError> {
    let past = &merged.past;
    step.connection
        .prepare_cached(
            "INSERT OR REPLACE INTO epoch_snapshot (room, epoch, snapshot) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![room, past.epoch().0, past.to_bytes().as_slice()])?;
    let oldest = merged.epoch.0.saturating_sub(MAX_PAST_EPOCHS);
    step.connection
        .prepare_cached("DELETE FROM epoch_snapshot WHERE room = ?1 AND epoch < ?2")?
        .execute(params![room, oldest])?;
    Ok(())
}

fn apply_roster(
    step: &mut Step<'_>,
    room: &RoomId,
    merged: &MergedCommit,
) -> Result<(), VaultError> {
    let id = step.room(room)?.id;
    let committer = &merged.committer;
    let returned = |gone: &Departure| {
        let same = |m: &MemberInfo| m.account == gone.account && m.device == gone.device;
        merged.roster.joined.iter().any(same)
    };
    for gone in &merged.roster.left {
        let was_leaving = rooms::take_from_roster(step.connection, id, gone.leaf)?;
        if was_leaving != Some(true) && !returned(gone) {
            let by = Some(committer.account);
            note_membership(step, room, &gone.account, MembershipChange::Removed, by)?;
        }
    }
    for come in &merged.roster.joined {
        enlist(step, room, come)?;
        let back = merged
            .roster
            .left
            .iter()
            .any(|gone| gone.account == come.account && gone.device == come.device);
        let (change, by) = match (back, come.leaf == committer.leaf) {
            (true, _) => (MembershipChange::Returned, None),
            (false, true) => (MembershipChange::Joined, None),
            (false, false) => (MembershipChange::Added, Some(committer.account)),
        };
        note_membership(step, room, &come.account, change, by)?;
    }
    Ok(())
}

/// Tells a newcomer the room's name and topic, if that is this device's duty.
fn post_profile(
    step: &mut Step<'_>,
    room: &RoomId,
    merged: &MergedCommit,
) -> Result<(), VaultError> {
    let returned = |m: &&MemberInfo| {
        let same = |gone: &Departure| gone.account == m.account && gone.device == m.device;
        merged.roster.left.iter().any(same)
    };
    let Some(newcomer) = merged.roster.joined.iter().find(|m| !returned(m)) else {
        return Ok(());
    };
    let arrival = match (newcomer.leaf == merged.committer.leaf, merged.own) {
        (true, _) => Arrival::ByTicket,
        (false, true) => Arrival::AddedHere,
        (false, false) => Arrival::AddedElsewhere,
    };
    let own_leaf = step.member(room)?.own_leaf();
    let row = step.room(room)?;
    let (id, name, topic, renamed) = (row.id, row.name.clone(), row.topic.clone(), row.renamed);
    let roster = rooms::roster(step.connection, id)?;
    let others = roster.iter().map(|row| row.leaf);
    let others = others.filter(|leaf| *leaf != newcomer.leaf);
    if name.is_empty() || !posts_profile(arrival, own_leaf, others, renamed) {
        return Ok(());
    }
    let profile = Content::room_profile(&name, &topic, &mut step.rng);
    post(step, room, &profile).map(|_| ())
}

fn note_membership(
    step: &Step<'_>,
    room: &RoomId,
    account: &AccountDid,
    change: MembershipChange,
    by: Option<AccountDid>,
) -> Result<(), VaultError> {
    let handle: Option<Handle> = accounts::handle_of(step.connection, account)?;
    step.note(&Occurrence::Membership(MembershipNote {
        room: *room,
        account: *account,
        handle: handle.ok_or(VaultError::Damaged("a member has no row"))?,
        change,
        by,
    }))
}
