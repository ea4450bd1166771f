//! Who is in a room: the members of a tree, and how a commit changes them.

use std::collections::BTreeMap;

use entente_identity::{AccountDid, DeviceId, PublicKey, ServerDid};
use openmls::prelude::{LeafNodeIndex, PublicGroup};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use crate::ids::LeafIndex;
use crate::leaf::{LeafFault, VerifiedLeaf, owner_of};
use crate::policy::{Role, RoomPolicy};

/// One device in a room.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct MemberInfo {
    /// Its leaf.
    pub leaf: LeafIndex,
    /// Its account.
    pub account: AccountDid,
    /// Which of the account's devices.
    pub device: DeviceId,
    /// The key with which it signs.
    pub device_key: PublicKey,
    /// The version of the device list that its certificate names.
    pub list_version: u32,
    /// The account's homeserver, to which its messages go.
    pub home: ServerDid,
    /// What its account may do.
    pub role: Role,
}

/// One device that is no longer in a room.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Departure {
    /// The leaf that it had.
    pub leaf: LeafIndex,
    /// Its account.
    pub account: AccountDid,
    /// Which of the account's devices.
    pub device: DeviceId,
}

/// How a commit changed who is in a room. A device that comes back to another leaf, or with another
/// home, stands in both lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct RosterDelta {
    /// Who came.
    pub joined: Vec<MemberInfo>,
    /// Who went.
    pub left: Vec<Departure>,
}

impl MemberInfo {
    pub(crate) fn new(leaf: LeafIndex, owner: &VerifiedLeaf, policy: &RoomPolicy) -> Self {
        Self {
            leaf,
            account: owner.account,
            device: owner.device.id,
            device_key: owner.device.signature_key,
            list_version: owner.list_version,
            home: owner.server(),
            role: policy.role_of(&owner.account),
        }
    }

    pub(crate) fn departure(&self) -> Departure {
        Departure {
            leaf: self.leaf,
            account: self.account,
            device: self.device,
        }
    }

    /// Whether nothing but the role differs.
    fn same_device(&self, other: &Self) -> bool {
        self.leaf == other.leaf
            && self.account == other.account
            && self.device == other.device
            && self.device_key == other.device_key
            && self.home == other.home
    }
}

/// The members of a tree by leaf.
pub(crate) type Roster = BTreeMap<LeafIndex, MemberInfo>;

/// Reads the roster of a tree whose leaves were all judged.
pub(crate) fn roster_of(group: &PublicGroup, policy: &RoomPolicy) -> Result<Roster, LeafFault> {
    group
        .treesync()
        .full_leaves()
        .map(|(index, leaf)| {
            let index = LeafIndex::from(index);
            Ok((index, MemberInfo::new(index, &owner_of(leaf)?, policy)))
        })
        .collect()
}

/// The roster after a commit: read anew only for the devices of `fresh`, whose leaves are new or changed.
pub(crate) fn roster_after(
    before: &Roster,
    group: &PublicGroup,
    policy: &RoomPolicy,
    fresh: &[PublicKey],
) -> Result<Roster, LeafFault> {
    group
        .treesync()
        .full_leaves()
        .map(|(index, leaf)| {
            let index = LeafIndex::from(index);
            let known = before.get(&index).filter(|member| {
                leaf.signature_key().as_slice() == member.device_key.as_bytes()
                    && !fresh.contains(&member.device_key)
            });
            let member = match known {
                Some(member) => MemberInfo {
                    role: policy.role_of(&member.account),
                    ..member.clone()
                },
                None => MemberInfo::new(index, &owner_of(leaf)?, policy),
            };
            Ok((index, member))
        })
        .collect()
}

/// The member at one leaf of a tree whose leaves were all judged.
pub(crate) fn member_at(
    group: &PublicGroup,
    leaf: LeafIndex,
    policy: &RoomPolicy,
) -> Result<Option<MemberInfo>, LeafFault> {
    group
        .leaf(LeafNodeIndex::new(leaf.0))
        .map(|node| Ok(MemberInfo::new(leaf, &owner_of(node)?, policy)))
        .transpose()
}

/// How one roster became the other.
pub(crate) fn roster_delta(before: &Roster, after: &Roster) -> RosterDelta {
    let stays = |member: &MemberInfo, others: &Roster| {
        others
            .get(&member.leaf)
            .is_some_and(|other| member.same_device(other))
    };
    RosterDelta {
        joined: after
            .values()
            .filter(|member| !stays(member, before))
            .cloned()
            .collect(),
        left: before
            .values()
            .filter(|member| !stays(member, after))
            .map(MemberInfo::departure)
            .collect(),
    }
}
