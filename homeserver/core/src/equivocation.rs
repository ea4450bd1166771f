//! A room's hub showed two histories: the room stands still, and its members here get the proof.

use entente_identity::{ServerDid, UnixMillis};
use entente_protocol::equivocation::{Equivocation, Shown};
use entente_protocol::flow::DeviceItem;

use crate::change::{Change, Decision, Effect, Queued};
use crate::rows::{EquivocationRow, MemberRow};

/// Whether a room goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    #[default]
    Open,
    /// Its hub showed two histories.
    Frozen,
}

/// Freezes a room for a proof that was verified. `members` are the devices in it now; those at home
/// here get the proof. A room that is frozen already stays as it is.
#[must_use]
pub fn freeze(
    me: &ServerDid,
    standing: Standing,
    (proof, shown): (Equivocation, Shown),
    members: &[MemberRow],
    now: UnixMillis,
) -> Decision<()> {
    let mut decision = Decision::reply(());
    if standing == Standing::Frozen {
        return decision;
    }
    for member in members.iter().filter(|member| member.home == *me) {
        let (account, device) = (member.account, member.device);
        let item = DeviceItem::Equivocation(proof.clone());
        decision.queued.push(Queued::new((account, device), item));
        let wake = Effect::WakeDevice(account, device);
        decision.effects.push(wake);
    }
    let row = EquivocationRow {
        room: shown.room,
        time: now,
        proof,
    };
    let change = Change::PutEquivocation(Box::new(row));
    decision.changes.push(change);
    decision
}
