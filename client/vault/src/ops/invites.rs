//! Invitations: sealed and sent to others, received and taken up.

use entente_client_core::event::{Occurrence, ProblemKind};
use entente_client_core::goal::{Goal, GoalId, JoinGoal};
use entente_client_core::invite::{Invite, InviteBinding, InviteId, InvitePayload};
use entente_client_core::message::HandleTrust;
use entente_client_core::outbox::Next;
use entente_client_core::room::RoomState;
use entente_groups::{
    Epoch, MessageId, RoomId, RoomPolicy, RuleFault, Sealed, SealedKind, Suite, seal,
};
use entente_identity::{
    AccountDid, DeviceId, ServerDid, UnixMillis, VerifiedAccount, decode_exact, encode,
};
use entente_protocol::call::{ClientRequest, SealedInvite};
use entente_protocol::entry::Seq;
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::flow::InviteItem;
use entente_protocol::limits::TICKET_LIFETIME_MS;
use rusqlite::{Connection, Row, params};
use tls_codec::VLBytes;

use crate::accounts;
use crate::columns::{Root, Text, Tls, optional, senseless};
use crate::error::VaultError;
use crate::goals::{self, GoalFate};
use crate::ops::goal_work::Work;
use crate::rooms::{self, RoomRow};
use crate::step::Step;
use crate::vault::{Moment, Vault};

/// Names an invitation that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SentInviteId(pub u64);

const OPEN: u8 = 0;
const ACCEPTED: u8 = 1;
const DECLINED: u8 = 2;

const TO_BE_SENT: u8 = 0;
const SENT: u8 = 1;
const REFUSED: u8 = 2;

impl Vault {
    /// Invites somebody whose account was resolved: a ticket, sealed to each of its devices. The ticket
    /// binds to the version of the device list, so that a device revoked before does not come in.
    ///
    /// # Errors
    /// No such room, not a member, or the room does not let this account invite.
    pub fn invite(
        &mut self,
        room: &RoomId,
        person: &VerifiedAccount,
        moment: Moment<'_>,
    ) -> Result<SentInviteId, VaultError> {
        self.step(moment, |step| {
            let (own, now) = (step.own, step.now);
            let account = person.claim.account;
            let row = step.room(room)?;
            if row.state != RoomState::Active {
                return Err(VaultError::RoomState(row.state));
            }
            let (id, hub) = (row.id, row.hub.clone());
            let (name, topic) = (row.name.clone(), row.topic.clone());
            let roster = rooms::roster(step.connection, id)?;
            if roster.iter().any(|m| m.account == account && !m.leaving) {
                return Err(VaultError::AlreadyMember(account));
            }
            let version = person.devices.version;
            let ticket = step.member(room)?.issue_ticket(
                account,
                version,
                TICKET_LIFETIME_MS,
                now,
                &own.signing,
            )?;
            let payload = InvitePayload::new(ticket, hub, own.handle.clone(), &name, &topic);
            let message_id = step.message_id();
            let sealed = seal_to_devices(step, person, message_id, &payload)?;
            store_sent(step, person, message_id, &sealed)
        })
    }

    /// Whether an invitation has reached the own homeserver.
    ///
    /// # Errors
    /// No such invitation.
    pub fn sent_invite_fate(&mut self, invite: SentInviteId) -> Result<GoalFate, VaultError> {
        let sql = "SELECT state, fault, detail FROM sent_invite WHERE id = ?1";
        let fate = self.connection.query_row(sql, [invite.0], |row| {
            Ok(match row.get::<_, u8>(0)? {
                SENT => GoalFate::Done,
                REFUSED => GoalFate::Failed {
                    code: FaultCode::from_number(row.get(1)?),
                    detail: row.get(2)?,
                },
                _ => GoalFate::Open(entente_client_core::goal::GoalState::InFlight),
            })
        });
        optional(fate)?.ok_or(VaultError::Damaged("an invitation on its way is gone"))
    }

    /// Notes the answer to an invitation on its way.
    ///
    /// # Errors
    /// The vault cannot be written.
    pub fn invite_answered(
        &mut self,
        invite: SentInviteId,
        answer: &Result<(), Fault>,
        moment: Moment<'_>,
    ) -> Result<(), VaultError> {
        self.step(moment, |step| answered(step, invite, answer))
    }

    /// The invitations that are open and have not ended.
    ///
    /// # Errors
    /// The vault cannot be read.
    pub fn open_invites(&mut self, now: UnixMillis) -> Result<Vec<Invite>, VaultError> {
        let sql = format!("{SELECT} WHERE i.state = {OPEN} AND i.expires > ?1 ORDER BY i.id");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map([now.0], |row| Ok(read(row)?.0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Takes an invitation up; the goal says when this device is in.
    ///
    /// # Errors
    /// No such invitation, or in the room already.
    pub fn accept_invite(
        &mut self,
        invite: InviteId,
        moment: Moment<'_>,
    ) -> Result<(RoomId, GoalId), VaultError> {
        self.step(moment, |step| {
            let found = find(step.connection, invite)?;
            let (invite, payload) = found.ok_or(VaultError::NoSuchInvite(invite))?;
            let id = room_to_join(step, &invite)?;
            let goal = Goal::Join(JoinGoal {
                ticket: payload.ticket,
                invite: invite.id.0,
            });
            let goal = goals::insert(step.connection, id, &goal, step.now, step.now)?;
            set_state(step, invite.id, ACCEPTED)?;
            Ok((invite.room, goal))
        })
    }

    /// Declines an invitation: it is no longer shown. The inviter is not told.
    ///
    /// # Errors
    /// No such invitation.
    pub fn decline_invite(
        &mut self,
        invite: InviteId,
        moment: Moment<'_>,
    ) -> Result<(), VaultError> {
        self.step(moment, |step| {
            find(step.connection, invite)?.ok_or(VaultError::NoSuchInvite(invite))?;
            set_state(step, invite, DECLINED)
        })
    }
}

type SealedList = Vec<(DeviceId, VLBytes)>;

fn seal_to_devices(
    step: &Step<'_>,
    person: &VerifiedAccount,
    message_id: MessageId,
    payload: &InvitePayload,
) -> Result<SealedList, VaultError> {
    let account = person.claim.account;
    let mut sealed = Vec::with_capacity(person.devices.devices.len());
    for device in &person.devices.devices {
        let binding = InviteBinding {
            account,
            device: device.id,
            inviter: step.own.account,
            message_id,
        };
        let made = seal(
            &device.hpke_key,
            SealedKind::Invite,
            &binding.to_bytes(),
            &payload.to_bytes(),
        );
        // A device with an unusable key cannot be invited; the others can.
        if let Ok(made) = made {
            sealed.push((device.id, encode(&made).into()));
        }
    }
    if sealed.is_empty() {
        return Err(VaultError::NoUsableDevice(account));
    }
    Ok(sealed)
}

fn store_sent(
    step: &Step<'_>,
    person: &VerifiedAccount,
    message_id: MessageId,
    sealed: &SealedList,
) -> Result<SentInviteId, VaultError> {
    step.connection.execute(
        "INSERT INTO sent_invite (message_id, root, home, sealed, state, failures, not_before,
                                  fault, detail, changed)
         VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, 0, '', ?6)",
        params![
            message_id.0,
            person.claim.account.root_key().as_bytes(),
            person.home.server().to_string(),
            encode(sealed),
            TO_BE_SENT,
            step.now.0,
        ],
    )?;
    let id = u64::try_from(step.connection.last_insert_rowid());
    Ok(SentInviteId(id.expect("SQLite counts rows from 1")))
}

/// The invitations that are to be handed over now.
pub(crate) fn due(step: &Step<'_>) -> Result<Vec<Work>, VaultError> {
    let mut statement = step.connection.prepare_cached(
        "SELECT id, message_id, root, home, sealed FROM sent_invite
         WHERE state = 0 AND not_before <= ?1 ORDER BY id",
    )?;
    let rows = statement.query_map([step.now.0], |row| {
        let sealed = row.get::<_, Tls<SealedList>>(4)?.0;
        let bytes = |(device, sealed): (DeviceId, VLBytes)| (device, sealed.as_slice().to_vec());
        Ok(Work::Invite {
            invite: SentInviteId(row.get(0)?),
            request: ClientRequest::Invite(SealedInvite {
                account: row.get::<_, Root>(2)?.0,
                home: row.get::<_, Text<ServerDid>>(3)?.0,
                message_id: MessageId(row.get(1)?),
                sealed: sealed.into_iter().map(bytes).collect(),
            }),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn any_due(connection: &Connection, now: UnixMillis) -> Result<bool, VaultError> {
    let found = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM sent_invite WHERE state = 0 AND not_before <= ?1)",
        )?
        .query_row([now.0], |row| row.get(0))?;
    Ok(found)
}

pub(crate) fn next_due(
    connection: &Connection,
    now: UnixMillis,
) -> Result<Option<UnixMillis>, VaultError> {
    let due: Option<u64> = connection.query_row(
        "SELECT min(not_before) FROM sent_invite WHERE state = 0 AND not_before > ?1",
        [now.0],
        |row| row.get(0),
    )?;
    Ok(due.map(UnixMillis))
}

fn answered(
    step: &mut Step<'_>,
    invite: SentInviteId,
    answer: &Result<(), Fault>,
) -> Result<(), VaultError> {
    let Err(fault) = answer else {
        let sql = "UPDATE sent_invite SET state = ?2, sealed = x'', changed = ?3 WHERE id = ?1";
        step.connection
            .execute(sql, params![invite.0, SENT, step.now.0])?;
        return Ok(());
    };
    let sql = "SELECT failures FROM sent_invite WHERE id = ?1 AND state = 0";
    let failures = step.connection.query_row(sql, [invite.0], |row| row.get(0));
    let Some(failures) = optional(failures)? else {
        return Ok(());
    };
    let waiting = entente_client_core::message::MessageState::Waiting;
    let next = entente_client_core::outbox::after_refusal(waiting, fault, failures, &mut step.rng);
    if let Next::Resubmit { delay_ms } = next {
        step.connection.execute(
            "UPDATE sent_invite SET failures = failures + 1, not_before = ?2 WHERE id = ?1",
            params![invite.0, step.now.after(delay_ms).0],
        )?;
    } else {
        step.connection.execute(
            "UPDATE sent_invite SET state = ?2, sealed = x'', fault = ?3, detail = ?4, changed = ?5
             WHERE id = ?1",
            params![
                invite.0,
                REFUSED,
                fault.code as u16,
                fault.detail,
                step.now.0
            ],
        )?;
    }
    Ok(())
}

const SELECT: &str = "SELECT i.id, i.room, i.payload, a.root, i.received, i.expires, h.account,
                             i.inviter, i.state
                      FROM invite i JOIN account a ON a.id = i.inviter
                      LEFT JOIN handle_pin h ON h.handle = a.handle";

fn read(row: &Row<'_>) -> rusqlite::Result<(Invite, InvitePayload)> {
    let payload = row.get::<_, Tls<InvitePayload>>(2)?.0;
    let (pinned, inviter): (Option<i64>, i64) = (row.get(6)?, row.get(7)?);
    let trust = match pinned {
        None => HandleTrust::Claimed,
        Some(pinned) if pinned == inviter => HandleTrust::Confirmed,
        Some(_) => HandleTrust::Contradicted,
    };
    let id: i64 = row.get(0)?;
    let invite = Invite {
        id: InviteId(u32::try_from(id).map_err(|_| senseless(0, "no invitation"))?),
        room: RoomId(row.get(1)?),
        hub: payload.hub.clone(),
        name: payload.name().to_owned(),
        topic: payload.topic().to_owned(),
        inviter: row.get::<_, Root>(3)?.0,
        inviter_handle: payload.inviter.clone(),
        inviter_trust: trust,
        received: UnixMillis(row.get(4)?),
        expires: UnixMillis(row.get(5)?),
    };
    Ok((invite, payload))
}

fn find(
    connection: &Connection,
    invite: InviteId,
) -> Result<Option<(Invite, InvitePayload)>, VaultError> {
    let sql = format!("{SELECT} WHERE i.id = ?1 AND i.state = {OPEN}");
    optional(connection.prepare_cached(&sql)?.query_row([invite.0], read))
}

/// An invitation, in whatever state, for an event about it.
pub(crate) fn at(connection: &Connection, invite: InviteId) -> Result<Option<Invite>, VaultError> {
    let sql = format!("{SELECT} WHERE i.id = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    optional(statement.query_row([invite.0], |row| Ok(read(row)?.0)))
}

fn set_state(step: &Step<'_>, invite: InviteId, state: u8) -> Result<(), VaultError> {
    step.connection.execute(
        "UPDATE invite SET state = ?2 WHERE id = ?1",
        params![invite.0, state],
    )?;
    Ok(())
}

/// Joining failed: the invitation is open again, unless it lets nobody in.
pub(crate) fn join_failed(step: &Step<'_>, invite: u32, void: bool) -> Result<(), VaultError> {
    let state = if void { DECLINED } else { OPEN };
    set_state(step, InviteId(invite), state)
}

/// The room of an invitation, ready to be joined.
fn room_to_join(step: &mut Step<'_>, invite: &Invite) -> Result<i64, VaultError> {
    if let Some(row) = step.find_room(&invite.room)? {
        if !row.state.is_over() {
            return Err(VaultError::RoomState(row.state));
        }
        row.state = RoomState::Joining;
        row.hub = invite.hub.clone();
        row.name = invite.name.clone();
        row.topic = invite.topic.clone();
        return Ok(row.id);
    }
    let row = rooms::insert(
        step.connection,
        unknown_room(
            invite.room,
            &invite.hub,
            &invite.inviter,
            RoomState::Joining,
        ),
    )?;
    let id = row.id;
    step.adopt_room(row);
    let row = step.room(&invite.room)?;
    row.name = invite.name.clone();
    row.topic = invite.topic.clone();
    Ok(id)
}

/// A room of which nothing is known but its hub; suite and policy come with its group.
pub(crate) fn unknown_room(
    room: RoomId,
    hub: &ServerDid,
    somebody: &AccountDid,
    state: RoomState,
) -> RoomRow {
    RoomRow {
        id: 0,
        room,
        hub: hub.clone(),
        suite: Suite::default(),
        state,
        name: String::new(),
        topic: String::new(),
        renamed: false,
        policy: RoomPolicy::founded_by(*somebody),
        version: 0,
        epoch: Epoch(0),
        first_epoch: Epoch(0),
        head: None,
        proposals: 0,
        delivered: Seq(0),
        read_seq: Seq(0),
    }
}

/// An invitation came by way of the device's queue.
pub(crate) fn received(
    step: &mut Step<'_>,
    item: &InviteItem,
    time: UnixMillis,
) -> Result<(), VaultError> {
    let own = step.own;
    if item.account != own.account || item.device != own.device {
        let text = "the server delivered an invitation of another device";
        return step.problem(None, ProblemKind::ServerMisbehaved, text);
    }
    let binding = InviteBinding {
        account: item.account,
        device: item.device,
        inviter: item.inviter,
        message_id: item.message_id,
    };
    let sealed: Result<Sealed, _> = decode_exact("sealed invitation", item.sealed.as_slice());
    let opened = sealed
        .map_err(|fault| fault.to_string())
        .and_then(|sealed| {
            own.hpke
                .open(SealedKind::Invite, &binding.to_bytes(), &sealed)
                .map_err(|fault| fault.to_string())
        })
        .and_then(|bytes| InvitePayload::open(&bytes, &binding).map_err(|fault| fault.to_string()));
    match opened {
        Ok(payload) => store_received(step, item, &payload, time),
        Err(why) => {
            let text = format!("an invitation by {} cannot be used: {why}", item.inviter);
            step.problem(None, ProblemKind::Unusable, &text)
        }
    }
}

fn store_received(
    step: &Step<'_>,
    item: &InviteItem,
    payload: &InvitePayload,
    time: UnixMillis,
) -> Result<(), VaultError> {
    let claimed = payload.ticket.claimed_body();
    let room = claimed.map_err(|_| RuleFault::UnknownSender)?.room;
    let context = payload.ticket.claimed_context().ok();
    let expires = context.and_then(|context| context.expires).unwrap_or(time);
    let inviter = accounts::meet(step.connection, &item.inviter, &payload.inviter, 0)?;
    let mut statement = step.connection.prepare_cached(
        "INSERT OR IGNORE INTO invite (inviter, message_id, room, payload, received, expires, state)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING id",
    )?;
    let values = params![
        inviter,
        item.message_id.0,
        room.0,
        encode(payload),
        time.0,
        expires.0,
        OPEN,
    ];
    match optional(statement.query_row(values, |row| row.get(0)))? {
        Some(id) => step.note(&Occurrence::Invite(id)),
        None => Ok(()),
    }
}
