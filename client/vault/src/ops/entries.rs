//! Reading a room's log, entry by entry.
//!
//! An entry's message or change, the MLS state after it, the cursor and the head of the hash chain are
//! one transaction, so that no crash and no second process can read an entry twice or half.

use entente_client_core::event::ProblemKind;
use entente_client_core::goal::Goal;
use entente_client_core::log::{LogView, Verdict, judge_entry};
use entente_client_core::room::RoomState;
use entente_groups::{GroupMessage, RoomId};
use entente_identity::{ServerDid, decode_exact, encode};
use entente_protocol::entry::{CommitBody, Entry, EntryKind, Head, ProposalBody};
use rusqlite::params;

use crate::error::VaultError;
use crate::goals::{self, StoredCall};
use crate::ops::arrive::{Arrived, activate, note_room_state};
use crate::ops::{commit_entry, message_entry};
use crate::rooms;
use crate::step::Step;
use crate::vault::{Moment, Vault};

/// Most entries of one transaction.
const MAX_ENTRIES_PER_STEP: usize = 64;

/// What became of a page of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageOutcome {
    /// All of it is processed or known.
    Read,
    /// The room is not known here yet, as before its Welcome came: it has to be sent again later.
    UnknownRoom,
    /// Entries are missing before one of these: they have to be sent again from the cursor.
    Gap,
    /// The room's log is not followed: left, lost, or frozen.
    NotFollowed,
}

/// Whether to go on with the next entry.
pub(crate) enum Flow {
    On,
    Stop(PageOutcome),
}

impl Vault {
    /// Processes entries of one room, in order.
    ///
    /// # Errors
    /// The vault cannot be read or written. What is wrong with an entry is no error: it is noted as a
    /// problem, and the room goes on, comes back by a resync, or stops.
    pub fn read_entries(
        &mut self,
        room: &RoomId,
        hub: &ServerDid,
        entries: &[Entry],
        moment: Moment<'_>,
    ) -> Result<PageOutcome, VaultError> {
        let Moment { now, rng } = moment;
        for chunk in entries.chunks(MAX_ENTRIES_PER_STEP) {
            let outcome = self.step(
                Moment {
                    now,
                    rng: &mut *rng,
                },
                |step| {
                    let Some(row) = step.find_room(room)? else {
                        return Ok(PageOutcome::UnknownRoom);
                    };
                    if row.hub != *hub {
                        let text = format!(
                            "the server names {hub} as this room's hub, it is {}",
                            row.hub
                        );
                        step.problem(Some(*room), ProblemKind::ServerMisbehaved, &text)?;
                        return Ok(PageOutcome::NotFollowed);
                    }
                    for entry in chunk {
                        if let Flow::Stop(outcome) = read_entry(step, room, entry)? {
                            return Ok(outcome);
                        }
                    }
                    Ok(PageOutcome::Read)
                },
            )?;
            if outcome == PageOutcome::Gap {
                self.tell_of_gap(
                    room,
                    Moment {
                        now,
                        rng: &mut *rng,
                    },
                )?;
            }
            if outcome != PageOutcome::Read {
                return Ok(outcome);
            }
            self.gaps.remove(room);
        }
        Ok(PageOutcome::Read)
    }

    /// Entries that are missing once are asked for again; that they are still missing then is worth an
    /// alarm, once.
    fn tell_of_gap(&mut self, room: &RoomId, moment: Moment<'_>) -> Result<(), VaultError> {
        let cursor = self.room(room)?.cursor;
        let known = self.gaps.insert(*room, cursor);
        if known != Some(cursor) || !self.told_gaps.insert((*room, cursor)) {
            return Ok(());
        }
        self.step(moment, |step| {
            let text = format!(
                "what comes after position {} is missing, also when asked for again: the server \
                 leaves entries out, or deleted them as too old before this device came back",
                cursor.0
            );
            step.problem(Some(*room), ProblemKind::Gap, &text)
        })
    }
}

fn read_entry(step: &mut Step<'_>, room: &RoomId, entry: &Entry) -> Result<Flow, VaultError> {
    if entry.header.room != *room {
        let text = "the server sent another room's entry";
        step.problem(Some(*room), ProblemKind::ServerMisbehaved, text)?;
        return Ok(Flow::Stop(PageOutcome::NotFollowed));
    }
    let row = step.room(room)?;
    let (id, state, head) = (row.id, row.state, row.head);
    let coming_in = matches!(state, RoomState::Creating | RoomState::Joining);
    let sent = if coming_in {
        goals::sent(step.connection, id)?
    } else {
        None
    };
    let view = LogView {
        state,
        head,
        coming_in_by: sent.as_ref().and_then(|goal| goal.message_id),
    };
    match judge_entry(&view, entry) {
        Verdict::Known | Verdict::BeforeOwnTime => Ok(Flow::On),
        Verdict::NotFollowed => Ok(Flow::Stop(PageOutcome::NotFollowed)),
        Verdict::Gap => Ok(Flow::Stop(PageOutcome::Gap)),
        Verdict::Forked(fault) => {
            freeze(step, room, entry, ProblemKind::Forked, &fault.to_string())?;
            Ok(Flow::Stop(PageOutcome::NotFollowed))
        }
        Verdict::ComesIn => {
            come_in(step, room, entry, sent.and_then(|goal| goal.call))?;
            Ok(Flow::On)
        }
        Verdict::Next => read_next(step, room, entry),
    }
}

/// The entry by which this device comes in must hold what it made.
fn come_in(
    step: &mut Step<'_>,
    room: &RoomId,
    entry: &Entry,
    call: Option<StoredCall>,
) -> Result<(), VaultError> {
    let body = entry.body.as_slice();
    let as_made = match call {
        Some(StoredCall::Create) => entry.header.kind == EntryKind::Create,
        Some(StoredCall::Commit(bundle)) => decode_exact("commit entry", body)
            .is_ok_and(|body: CommitBody| body.commit == bundle.commit),
        Some(StoredCall::Propose(_)) | None => false,
    };
    if !as_made {
        let text = "the hub shows another entry under the id of the one that this device made";
        return freeze(step, room, entry, ProblemKind::Forked, text);
    }
    arrived(step, room, entry.header.head())
}

/// This device is in: by the hub's answer, or by its entry in the log, whichever comes first.
pub(crate) fn arrived(step: &mut Step<'_>, room: &RoomId, at: Head) -> Result<(), VaultError> {
    let id = step.room(room)?.id;
    let mut how = Arrived::New;
    if let Some(sent) = goals::sent(step.connection, id)? {
        if sent.goal == Goal::Resync {
            how = Arrived::Back;
        }
        goals::done(step.connection, sent.id, step.now)?;
    }
    activate(step, room, at, how)
}

fn read_next(step: &mut Step<'_>, room: &RoomId, entry: &Entry) -> Result<Flow, VaultError> {
    let flow = match entry.header.kind {
        EntryKind::Create => {
            let text = "the server sent a second founding of this room";
            step.problem(Some(*room), ProblemKind::ServerMisbehaved, text)?;
            Flow::On
        }
        EntryKind::Application => {
            message_entry::read(step, room, entry)?;
            Flow::On
        }
        EntryKind::Commit => commit_entry::read(step, room, entry)?,
        EntryKind::Proposal => read_proposal(step, room, entry)?,
    };
    if matches!(flow, Flow::On) {
        let head = entry.header.head();
        let row = step.room(room)?;
        row.head = Some(head);
        let id = row.id;
        rooms::keep_hash(step.connection, id, &head)?;
    }
    Ok(flow)
}

fn read_proposal(step: &mut Step<'_>, room: &RoomId, entry: &Entry) -> Result<Flow, VaultError> {
    let body = decode_exact("proposal entry", entry.body.as_slice());
    let Ok(body): Result<ProposalBody, _> = body else {
        let text = "the hub ordered a proposal that cannot be read";
        return commit_entry::lost(step, room, text);
    };
    if !has_form(entry, body.proposal.as_slice()) {
        let text = "the hub ordered something else as a proposal";
        return commit_entry::lost(step, room, text);
    }
    commit_entry::read_proposal(step, room, entry, &body)
}

/// Whether bytes are what the entry's header says: kind and epoch. Checked before MLS sees them, so
/// that nothing is merged that the log calls a message.
pub(crate) fn has_form(entry: &Entry, bytes: &[u8]) -> bool {
    let header = &entry.header;
    let Ok(message) = GroupMessage::parse(bytes) else {
        return false;
    };
    let kind = match &message {
        GroupMessage::Application(_) => EntryKind::Application,
        GroupMessage::Proposal(_) => EntryKind::Proposal,
        GroupMessage::Commit(_) => EntryKind::Commit,
    };
    kind == header.kind && message.epoch() == header.epoch && message.room() == header.room
}

/// Stops a room whose hub cannot be believed, and keeps what shows it.
pub(crate) fn freeze(
    step: &mut Step<'_>,
    room: &RoomId,
    entry: &Entry,
    kind: ProblemKind,
    why: &str,
) -> Result<(), VaultError> {
    step.room(room)?.state = RoomState::Frozen;
    step.connection.execute(
        "INSERT INTO evidence (room, seq, entry, time) VALUES (?1, ?2, ?3, ?4)",
        params![room.0, entry.header.seq.0, encode(entry), step.now.0],
    )?;
    let text = format!(
        "the room is frozen: {why}. Ask the other members; resync accepts what the hub shows"
    );
    step.problem(Some(*room), kind, &text)?;
    note_room_state(step, room)
}
