//! KeyPackages: stored by their devices, claimed one by one for rooms.

use entente_groups::{KeyPackageRef, KeyPackageUse, RoomId, judge_key_package};
use entente_identity::{AccountDid, DeviceId, ServerDid, UnixMillis};
use entente_protocol::call::{ClaimedKeyPackage, PublishKeyPackages};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::limits::MAX_KEY_PACKAGES_PER_CALL;

use crate::change::{Change, Decision};
use crate::rows::{ClaimRow, Claimant, KeyPackageRow, MemberRow};

/// Most unclaimed KeyPackages that a device may have here.
const MAX_STOCK: usize = 500;

/// Judges an upload: every KeyPackage is the uploading device's own and current. `stock` is how many
/// the device has here already. The reply is how many it has afterwards.
///
/// # Errors
/// Too many, or one that is not acceptable; then none is stored.
pub fn publish(
    me: &ServerDid,
    owner: (AccountDid, DeviceId),
    request: &PublishKeyPackages,
    stock: u32,
    now: UnixMillis,
) -> Result<Decision<u32>, Fault> {
    let count = request.packages.len();
    let total = count + usize::try_from(stock).unwrap_or(usize::MAX);
    if count > MAX_KEY_PACKAGES_PER_CALL || total > MAX_STOCK {
        let detail = format!(
            "at most {MAX_KEY_PACKAGES_PER_CALL} KeyPackages in one upload and {MAX_STOCK} in all"
        );
        return Err(Fault::new(FaultCode::TooLarge, detail));
    }
    let mut decision = Decision::reply(stock);
    for key_package in &request.packages {
        let row = judge(me, owner, key_package, now)?;
        match row.usage {
            KeyPackageUse::Once => decision.reply += 1,
            KeyPackageUse::LastResort => decision.changes.push(Change::DropLastResort {
                account: row.account,
                device: row.device,
                suite: row.suite,
            }),
        }
        decision.changes.push(Change::PutKeyPackage(row));
    }
    Ok(decision)
}

fn judge(
    me: &ServerDid,
    owner: (AccountDid, DeviceId),
    key_package: &[u8],
    now: UnixMillis,
) -> Result<KeyPackageRow, Fault> {
    let judged = judge_key_package(key_package, now)
        .map_err(|fault| Fault::new(FaultCode::BadRequest, fault.to_string()))?;
    let (account, device) = (judged.owner.account, judged.owner.device.id);
    if (account, device) != owner || judged.owner.home.server() != *me {
        let detail = "a device stores only its own KeyPackages, at its own server";
        return Err(Fault::new(FaultCode::BadRequest, detail));
    }
    Ok(KeyPackageRow {
        reference: judged.reference,
        account,
        device,
        key_package: key_package.to_vec(),
        suite: judged.suite,
        usage: judged.usage,
        expires: judged.expires,
        claimed: None,
    })
}

/// Gives out a KeyPackage of an account at home here. `claimable` is the one to give, if there is any,
/// `claimant` the hub that asks for it.
///
/// # Errors
/// One answer for nobody of that name and for no KeyPackage left, so that nothing is learnt.
pub fn claim_here(
    claimable: Option<KeyPackageRow>,
    claimant: Claimant,
) -> Result<Decision<ClaimedKeyPackage>, FaultCode> {
    let row = claimable.ok_or(FaultCode::NoKeyPackage)?;
    let mut decision = Decision::reply(ClaimedKeyPackage {
        key_package: row.key_package.clone(),
        reference: row.reference.clone(),
    });
    decision.changes.push(Change::PutKeyPackage(KeyPackageRow {
        claimed: Some(claimant),
        ..row
    }));
    Ok(decision)
}

/// At the hub: notes for which room a KeyPackage was claimed and where its Welcome has to go.
#[must_use]
pub fn note_claim(
    room: RoomId,
    reference: KeyPackageRef,
    home: ServerDid,
    now: UnixMillis,
) -> Decision<()> {
    let mut decision = Decision::reply(());
    decision.changes.push(Change::PutClaim(ClaimRow {
        room,
        reference,
        home,
        time: now,
    }));
    decision
}

/// At the hub: whether a device, for which `origin` vouches, may claim KeyPackages for a room.
///
/// # Errors
/// [`FaultCode::NotMember`].
pub fn may_claim(origin: &ServerDid, member: Option<&MemberRow>) -> Result<(), FaultCode> {
    member
        .filter(|member| member.left.is_none() && member.home == *origin)
        .map(|_| ())
        .ok_or(FaultCode::NotMember)
}
