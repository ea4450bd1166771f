//! A device founds a room, with this server as its hub.

use entente_federation::hub::{self, Draft};
use entente_groups::{CreateRecord, Epoch, MessageId, PublicRoom, RosterDelta, room_id};
use entente_identity::{AccountDid, DeviceId, ServerDid, Signed, UnixMillis, encode};
use entente_protocol::call::Ordered;
use entente_protocol::entry::{CreateBody, EntryKind, Seq};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::limits::MAX_BODY_BYTES;

use crate::change::{Change, Decision, Effect};
use crate::commit::epoch_row;
use crate::group_rows::patch;
use crate::order::append;
use crate::rows::{EpochRow, MemberRow, RoomRow};

/// A room that may be founded: everything costly is checked.
#[derive(Clone, Debug)]
pub struct CheckedRoom {
    record: Signed<CreateRecord>,
    message_id: MessageId,
    epoch: EpochRow,
    group: Change,
    member: MemberRow,
    roster: RosterDelta,
}

/// Checks what a device hands in to found a room: costly, and of no effect.
///
/// # Errors
/// Record, GroupInfo and tree do not belong together, or belong to another account or hub.
pub fn check(
    me: &ServerDid,
    sender: (AccountDid, DeviceId),
    request: &entente_protocol::call::CreateRoom,
) -> Result<CheckedRoom, Fault> {
    if request.group_info.len().max(request.tree.len()) > MAX_BODY_BYTES {
        return Err(Fault::new(
            FaultCode::TooLarge,
            "the room's first epoch is too large",
        ));
    }
    let refuse = |detail: String| Fault::new(FaultCode::BadRequest, detail);
    let mut room = PublicRoom::from_create(&request.record, &request.group_info, &request.tree)
        .map_err(|fault| refuse(fault.to_string()))?;
    let hub = request
        .record
        .claimed_body()
        .map_err(|fault| refuse(fault.to_string()))?
        .hub;
    let members: Vec<_> = room.members().cloned().collect();
    let founder = members
        .first()
        .filter(|f| (f.account, f.device) == sender && f.home == *me && hub == *me)
        .ok_or_else(|| {
            refuse("a room is founded by the device that asks, at its own server".into())
        })?;
    Ok(CheckedRoom {
        record: request.record.clone(),
        message_id: request.message_id,
        member: MemberRow {
            room: room.room(),
            account: founder.account,
            device: founder.device,
            leaf: founder.leaf,
            home: founder.home.clone(),
            joined: Seq(1),
            left: None,
        },
        epoch: epoch_row(&room, request.group_info.clone()),
        group: patch(room.room(), room.take_delta()),
        roster: RosterDelta {
            joined: members,
            left: Vec::new(),
        },
    })
}

impl CheckedRoom {
    /// The room that is founded.
    #[must_use]
    pub fn room(&self) -> entente_groups::RoomId {
        room_id(&self.record)
    }

    /// The sender's id for the create entry.
    #[must_use]
    pub fn message_id(&self) -> MessageId {
        self.message_id
    }

    /// Founds the room. `existing` is the room of that name, `ordered` where this very request was
    /// ordered before.
    ///
    /// # Errors
    /// The room exists by another request.
    pub fn found(
        self,
        me: &ServerDid,
        existing: Option<&RoomRow>,
        ordered: Option<Ordered>,
        now: UnixMillis,
    ) -> Result<Decision<Ordered>, FaultCode> {
        if let Some(ordered) = ordered {
            return Ok(Decision::reply(ordered));
        }
        if existing.is_some() {
            return Err(FaultCode::RoomExists);
        }
        let room = RoomRow {
            room: self.room(),
            hub: me.clone(),
            head: hub::before_first(),
            epoch: Epoch(0),
            delivered: Seq(0),
            pending: Vec::new(),
            followers: Vec::new(),
        };
        let draft = Draft {
            kind: EntryKind::Create,
            epoch: Epoch(0),
            origin: me.clone(),
            sender: self.member.leaf,
            message_id: self.message_id,
            body: encode(&CreateBody {
                record: self.record,
                roster: self.roster,
            }),
        };
        let (mut decision, next) = append(&room, draft, now);
        let (account, device) = (self.member.account, self.member.device);
        decision.changes.extend([
            Change::PutRoom(next),
            Change::PutMember(self.member),
            Change::PutEpoch(self.epoch),
            self.group,
        ]);
        decision.effects.push(Effect::WakeDevice(account, device));
        Ok(decision)
    }
}
