//! Founding a room: the group is made and stored here, then handed to the hub.

use entente_client_core::goal::{FoundGoal, Goal, GoalId};
use entente_client_core::invite::cut;
use entente_client_core::room::RoomState;
use entente_groups::{CreateRecord, Epoch, InviteRight, Member, RoomId, Suite, room_id};
use entente_protocol::entry::Seq;

use crate::error::VaultError;
use crate::goals::{self, StoredCall};
use crate::ops::arrive::fill_roster;
use crate::rooms::{self, RoomRow};
use crate::vault::{Moment, Vault};

/// A room to be founded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRoom {
    /// Its name.
    pub name: String,
    /// Its topic; may be empty.
    pub topic: String,
    /// Its cipher suite.
    pub suite: Suite,
    /// Who may invite.
    pub invite: InviteRight,
}

impl NewRoom {
    /// A room with the preferred suite, where members may invite.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            topic: String::new(),
            suite: Suite::default(),
            invite: InviteRight::Members,
        }
    }
}

impl Vault {
    /// Founds a room with the own homeserver as hub; the goal says when the hub has it.
    ///
    /// # Errors
    /// The vault cannot be written.
    pub fn found_room(
        &mut self,
        new: &NewRoom,
        moment: Moment<'_>,
    ) -> Result<(RoomId, GoalId), VaultError> {
        self.step(moment, |step| {
            let own = step.own;
            let (hub, now) = (own.home(), step.now);
            let mut record =
                CreateRecord::new(own.account, hub.clone(), new.suite, now, &mut step.rng);
            record.policy = record.policy.with_invite(new.invite);
            let signed = record.sign(&own.signing);
            let founding = Member::create(&signed, &own.identity(), &own.signing)?;
            let room = room_id(&signed);
            let row = rooms::insert(
                step.connection,
                RoomRow {
                    id: 0,
                    room,
                    hub,
                    suite: new.suite,
                    state: RoomState::Creating,
                    name: cut(&new.name).to_owned(),
                    topic: cut(&new.topic).to_owned(),
                    renamed: false,
                    policy: record.policy,
                    version: 0,
                    epoch: Epoch(0),
                    first_epoch: Epoch(0),
                    head: None,
                    proposals: 0,
                    delivered: Seq(0),
                    read_seq: Seq(0),
                },
            )?;
            let id = row.id;
            step.adopt_room(row);
            step.replace_member(founding.member)?;
            fill_roster(step, &room)?;
            let goal = Goal::Found(FoundGoal {
                record: signed,
                group_info: founding.group_info.into(),
                tree: founding.tree.into(),
            });
            let goal = goals::insert(step.connection, id, &goal, now, now)?;
            let message_id = step.message_id();
            let call = StoredCall::Create;
            goals::call(step.connection, goal, message_id, Epoch(0), &call, now)?;
            Ok((room, goal))
        })
    }
}
