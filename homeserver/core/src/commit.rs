//! A commit is ordered: the only way in which a room's group changes.
//!
//! Checking is costly and runs before, against one epoch ([`check`]); ordering compares that epoch
//! and the pending proposals with the room's and is cheap ([`CheckedBundle::order`]). Commit, Welcomes
//! and GroupInfo are one transaction; the first valid commit of an epoch wins.

use std::collections::BTreeSet;

use entente_federation::hub::Draft;
use entente_groups::{
    CommitFault, Epoch, KeyPackageRef, LeafIndex, MemberInfo, MessageId, PublicRoom, RoomId,
    RosterDelta,
};
use entente_identity::{AccountDid, DeviceId, ServerDid, UnixMillis, encode};
use entente_protocol::call::{CommitRequest, Ordered};
use entente_protocol::entry::{CommitBody, EntryKind, Seq};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::flow::{DeviceItem, WelcomeItem};
use entente_protocol::limits::MAX_BODY_BYTES;
use entente_protocol::relay::Item;
use sha2::{Digest, Sha256};

use crate::change::{Change, Decision, Effect, Owed, Queued};
use crate::group_rows::{GroupRows, patch, undo};
use crate::order::{append, followers, oldest_kept};
use crate::rows::{ClaimRow, EpochRow, KeyPackageRow, MemberRow, RoomRow};

/// A commit bundle that may be ordered, if the room has not moved since.
#[derive(Clone, Debug)]
pub struct CheckedBundle {
    request: CommitRequest,
    epoch: Epoch,
    pending: Vec<Seq>,
    committer: LeafIndex,
    roster: RosterDelta,
    welcome_refs: Vec<KeyPackageRef>,
    /// The servers of the members after it.
    homes: BTreeSet<ServerDid>,
    ended: EpochRow,
    next: EpochRow,
    group: Change,
    time: UnixMillis,
}

/// A room's group as its hub has it: everything that a commit is checked against.
#[derive(Debug)]
pub struct CurrentGroup {
    /// The room.
    pub room: RoomRow,
    /// Its current epoch.
    pub epoch: EpochRow,
    /// The rows of its group.
    pub rows: GroupRows,
    /// The group read from them.
    pub group: PublicRoom,
    /// The proposals that the next commit must cover.
    pub pending: Vec<Vec<u8>>,
}

/// Who asks the hub for something: a device, and the server that vouches for it.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The account.
    pub account: AccountDid,
    /// The device.
    pub device: DeviceId,
    /// The server at which it is logged in.
    pub origin: ServerDid,
}

/// Where a Welcome goes.
#[derive(Clone, Debug)]
pub enum WelcomeRoute {
    /// To a device of this server.
    Here(KeyPackageRow),
    /// To the device's own server.
    There(ClaimRow),
}

/// Checks a bundle against the room's current epoch and the proposals pending in it: costly, and of
/// no effect. `now` is the time at which it would be ordered.
///
/// # Errors
/// Any rule that it breaks, with the sentence for the committer.
pub fn check(
    current: &CurrentGroup,
    asker: &Asker,
    request: CommitRequest,
    now: UnixMillis,
) -> Result<CheckedBundle, Fault> {
    let bundle = &request.bundle;
    let parts = [
        bundle.commit.len(),
        bundle.group_info.len(),
        bundle.welcome.as_ref().map_or(0, Vec::len),
    ];
    if parts.iter().any(|bytes| *bytes > MAX_BODY_BYTES) {
        return Err(Fault::new(
            FaultCode::TooLarge,
            "a part of the commit is too large",
        ));
    }
    let mut checked = current
        .group
        .check_commit(bundle, &current.pending, now)
        .map_err(|fault| commit_fault(&fault))?;
    let who = &checked.committer;
    if (who.account, who.device) != (asker.account, asker.device) {
        let detail = "the commit is another device's than the one that hands it in";
        return Err(Fault::new(FaultCode::CommitRefused, detail));
    }
    if who.home != asker.origin {
        let detail = format!(
            "the device's leaf names {} as its server, it came from {}",
            who.home, asker.origin
        );
        return Err(Fault::new(FaultCode::CommitRefused, detail));
    }
    let delta = checked.next.take_delta();
    Ok(CheckedBundle {
        epoch: current.room.epoch,
        pending: current.room.pending.clone(),
        ended: EpochRow {
            undo: undo(&current.rows, &delta),
            ..current.epoch.clone()
        },
        group: patch(request.room, delta),
        next: epoch_row(&checked.next, bundle.group_info.clone()),
        request,
        committer: checked.committer.leaf,
        roster: checked.roster,
        welcome_refs: checked.welcome_refs,
        homes: checked
            .next
            .members()
            .map(|member| member.home.clone())
            .collect(),
        time: now,
    })
}

/// Says what was wrong with a handshake.
#[must_use]
pub fn commit_fault(fault: &CommitFault) -> Fault {
    let code = match fault {
        CommitFault::WrongEpoch { .. } => FaultCode::WrongEpoch,
        CommitFault::State(_) => FaultCode::Internal,
        CommitFault::Message(_) | CommitFault::OtherRoom => FaultCode::BadRequest,
        CommitFault::Mls(_)
        | CommitFault::Rule(_)
        | CommitFault::GroupInfo(_)
        | CommitFault::Welcome
        | CommitFault::TooManyProposals => FaultCode::CommitRefused,
    };
    Fault::new(code, fault.to_string())
}

/// The row that keeps a room's group at an epoch.
#[must_use]
pub fn epoch_row(group: &PublicRoom, group_info: Vec<u8>) -> EpochRow {
    let tree = group.ratchet_tree();
    EpochRow {
        room: group.room(),
        epoch: group.epoch(),
        group_info,
        undo: Vec::new(),
        tree_hash: Sha256::digest(&tree).into(),
        tree_bytes: u32::try_from(tree.len()).expect("a tree is far below 4 GiB"),
    }
}

impl CheckedBundle {
    /// The room.
    #[must_use]
    pub fn room(&self) -> RoomId {
        self.request.room
    }

    /// The sender's id for it.
    #[must_use]
    pub fn message_id(&self) -> MessageId {
        self.request.message_id
    }

    /// The KeyPackages whose devices get the Welcome.
    #[must_use]
    pub fn welcome_refs(&self) -> &[KeyPackageRef] {
        &self.welcome_refs
    }

    /// Orders the commit; `routes` says where each Welcome goes. The entry bears the time of the check:
    /// members judge a ticket by that very time, so that nobody disagrees about its end.
    ///
    /// # Errors
    /// [`FaultCode::WrongEpoch`] when the room has moved since the check; [`FaultCode::CommitRefused`]
    /// when a KeyPackage was not claimed through this hub.
    pub fn order(
        self,
        me: &ServerDid,
        origin: &ServerDid,
        room: &RoomRow,
        routes: Vec<WelcomeRoute>,
    ) -> Result<Decision<Ordered>, FaultCode> {
        if room.epoch != self.epoch || room.pending != self.pending {
            return Err(FaultCode::WrongEpoch);
        }
        if routes.len() != self.welcome_refs.len() {
            return Err(FaultCode::CommitRefused);
        }
        let draft = Draft {
            kind: EntryKind::Commit,
            epoch: self.epoch,
            origin: origin.clone(),
            sender: self.committer,
            message_id: self.request.message_id,
            body: encode(&CommitBody {
                commit: self.request.bundle.commit.clone().into(),
                roster: self.roster.clone(),
            }),
        };
        let after = followers(me, self.homes.iter());
        let before = RoomRow {
            followers: with(&room.followers, &after),
            ..room.clone()
        };
        let (mut decision, mut next) = append(&before, draft, self.time);
        next.epoch = self.next.epoch;
        next.pending = Vec::new();
        next.followers = after;
        if next.followers.is_empty() && before.followers.is_empty() {
            next.delivered = next.head.seq;
        }
        let at = decision.reply;
        decision.changes.push(Change::PutRoom(next));
        self.change_members(me, &at, &mut decision);
        self.route_welcomes(me, &at, routes, &mut decision);
        decision.changes.extend([
            self.group,
            Change::PutEpoch(self.ended),
            Change::PutEpoch(self.next.clone()),
            Change::DropEpochs {
                room: room.room,
                before: oldest_kept(self.next.epoch),
            },
        ]);
        Ok(decision)
    }

    fn change_members(&self, me: &ServerDid, at: &Ordered, decision: &mut Decision<Ordered>) {
        let room = self.request.room;
        let seq = at.at.seq;
        for gone in &self.roster.left {
            decision.changes.push(Change::EndMember {
                room,
                account: gone.account,
                device: gone.device,
                left: seq,
            });
        }
        for member in &self.roster.joined {
            decision
                .changes
                .push(Change::PutMember(member_row(room, member, seq)));
            if member.home == *me {
                let wake = Effect::WakeDevice(member.account, member.device);
                decision.effects.push(wake);
            }
        }
    }

    fn route_welcomes(
        &self,
        me: &ServerDid,
        at: &Ordered,
        routes: Vec<WelcomeRoute>,
        decision: &mut Decision<Ordered>,
    ) {
        let Some(welcome) = &self.request.bundle.welcome else {
            return;
        };
        let item = |reference: KeyPackageRef| WelcomeItem {
            room: self.request.room,
            hub: me.clone(),
            reference,
            welcome: welcome.clone().into(),
            epoch: self.next.epoch,
            tree_hash: self.next.tree_hash,
            tree_bytes: self.next.tree_bytes,
            at: at.at,
        };
        for route in routes {
            match route {
                WelcomeRoute::Here(package) => {
                    welcome_here(&package, None, item(package.reference.clone()), decision);
                }
                WelcomeRoute::There(claim) => {
                    let bytes = Item::Welcome(item(claim.reference)).to_bytes();
                    decision.effects.push(Effect::WakePeer(claim.home.clone()));
                    decision.owed.push((claim.home, Owed::Item(bytes)));
                }
            }
        }
    }
}

/// Hands a Welcome to a device of this server; a KeyPackage of single use is used up by it. `counted` is the
/// server whose share of what may wait for the device it takes, if any.
pub(crate) fn welcome_here<T>(
    package: &KeyPackageRow,
    counted: Option<&ServerDid>,
    welcome: WelcomeItem,
    decision: &mut Decision<T>,
) {
    let device = (package.account, package.device);
    if package.usage == entente_groups::KeyPackageUse::Once {
        let used = package.reference.clone();
        decision.changes.push(Change::DropKeyPackage(used));
    }
    decision
        .effects
        .push(Effect::WakeDevice(device.0, device.1));
    decision.queued.push(Queued {
        invited_by: counted.cloned(),
        ..Queued::new(device, DeviceItem::Welcome(welcome))
    });
}

/// A member's time that begins with this entry.
pub(crate) fn member_row(room: RoomId, member: &MemberInfo, joined: Seq) -> MemberRow {
    MemberRow {
        room,
        account: member.account,
        device: member.device,
        leaf: member.leaf,
        home: member.home.clone(),
        joined,
        left: None,
    }
}

/// Both lists as one, ascending, each server once.
fn with(a: &[ServerDid], b: &[ServerDid]) -> Vec<ServerDid> {
    let mut both = [a, b].concat();
    both.sort_unstable();
    both.dedup();
    both
}
