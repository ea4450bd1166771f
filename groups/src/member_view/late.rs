//! Reading messages that were ordered after the commit that ended their epoch.
//!
//! openmls would keep past epochs inside the entry that every message rewrites; here each is a value
//! of its own, written once when its epoch ends and never again. Nothing is ticked off in it: whoever
//! reads with it recognises repetitions by message id.

use std::fmt;

use entente_identity::{AccountDid, DeviceId, PublicKey, ServerDid, decode_exact, encode};
use openmls::group::Member as MlsMember;
use openmls::prelude::LeafNodeIndex;
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes};
use zeroize::Zeroizing;

use super::Member;
use super::process::{ProcessFault, Processed, ReadMessage};
use crate::ids::{Epoch, LeafIndex, RoomId};
use crate::leaf::credential;
use crate::message::{GroupMessage, MessageFault};
use crate::policy::Role;
use crate::roster::MemberInfo;
use crate::state::{EntryKind, StateFault};

/// The only version of a snapshot's bytes.
const VERSION: u8 = 1;
/// How the stored message secrets begin when no past epoch is in them: postcard's
/// `MessageSecretsStore { max_epochs: 0, past_epoch_trees: [], … }`.
const NO_PAST_EPOCHS: [u8; 2] = [0, 0];
/// The same with room for one past epoch, and one in it.
const ONE_PAST_EPOCH: [u8; 2] = [1, 1];

/// What is needed to read late messages of one epoch that is over; secret.
#[derive(Clone, PartialEq, Eq)]
pub struct EpochSnapshot {
    body: SnapshotBody,
}

#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
struct SnapshotBody {
    version: u8,
    room: RoomId,
    epoch: Epoch,
    secrets: VLBytes,
    homes: Vec<ServerDid>,
    members: Vec<SnapshotMember>,
}

/// A member in few bytes: its home is a place in the list of homes.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
struct SnapshotMember {
    leaf: LeafIndex,
    root_key: PublicKey,
    device: DeviceId,
    device_key: PublicKey,
    list_version: u32,
    home: u16,
    role: Role,
}

/// Why a late message cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LateFault {
    /// The bytes are no message of a room.
    #[error(transparent)]
    Message(#[from] MessageFault),
    /// The snapshot is of another room or epoch.
    #[error("the snapshot is of another epoch than the message")]
    OtherEpoch,
    /// The epoch is not over.
    #[error("the epoch of the message is not over")]
    NotOver,
    /// Sent by this device.
    #[error("the message is this device's own")]
    Own,
    /// The message cannot be read.
    #[error(transparent)]
    Process(#[from] ProcessFault),
    /// The snapshot or the state is damaged.
    #[error(transparent)]
    State(#[from] StateFault),
}

impl EpochSnapshot {
    pub(super) fn of<'a>(
        member: &Member,
        roster: impl Iterator<Item = &'a MemberInfo>,
    ) -> Result<Self, StateFault> {
        let stored = member
            .provider
            .state
            .read(&[EntryKind::MessageSecrets as u8]);
        let stored = stored.ok_or(StateFault::Damaged("the message secrets are missing"))?;
        let secrets = stored
            .strip_prefix(&NO_PAST_EPOCHS)
            .ok_or(StateFault::Damaged("the message secrets hold past epochs"))?;
        let mut homes: Vec<ServerDid> = Vec::new();
        let members = roster
            .map(|info| {
                let known = homes.iter().position(|home| *home == info.home);
                let home = known.unwrap_or_else(|| {
                    homes.push(info.home.clone());
                    homes.len() - 1
                });
                let home = u16::try_from(home).map_err(|_| StateFault::Damaged("homes"))?;
                Ok(SnapshotMember::new(info, home))
            })
            .collect::<Result<_, StateFault>>()?;
        Ok(Self {
            body: SnapshotBody {
                version: VERSION,
                room: member.room,
                epoch: member.epoch(),
                secrets: secrets.into(),
                homes,
                members,
            },
        })
    }

    /// The epoch of which it is.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.body.epoch
    }

    /// The snapshot's bytes, for storage in an encrypted place.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(encode(&self.body))
    }

    /// Reads a snapshot's bytes.
    ///
    /// # Errors
    /// The bytes are no snapshot.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateFault> {
        decode_exact("epoch snapshot", bytes)
            .ok()
            .filter(|body: &SnapshotBody| body.version == VERSION)
            .map(|body| Self { body })
            .ok_or(StateFault::Damaged("an epoch snapshot"))
    }

    pub(super) fn member(&self, leaf: LeafIndex) -> Option<MemberInfo> {
        let member = self.body.members.iter().find(|m| m.leaf == leaf)?;
        Some(MemberInfo {
            leaf,
            account: AccountDid::new(member.root_key),
            device: member.device,
            device_key: member.device_key,
            list_version: member.list_version,
            home: self.body.homes.get(usize::from(member.home))?.clone(),
            role: member.role,
        })
    }

    /// Message secrets as openmls stores them, with this epoch as the only past one. What it takes for
    /// the current epoch's are this epoch's, too: they are never asked for.
    fn as_past_epoch(&self) -> Result<Zeroizing<Vec<u8>>, StateFault> {
        let leaves: Vec<MlsMember> = self.body.members.iter().map(SnapshotMember::mls).collect();
        let secrets = self.body.secrets.as_slice();
        let encoded = |value: postcard::Result<Vec<u8>>| {
            value.map_err(|_| StateFault::Damaged("an epoch snapshot"))
        };
        let epoch = encoded(postcard::to_allocvec(&self.body.epoch.0))?;
        let leaves = encoded(postcard::to_allocvec(&leaves))?;
        let parts = [&ONE_PAST_EPOCH[..], &epoch, secrets, &leaves, secrets];
        Ok(Zeroizing::new(parts.concat()))
    }
}

impl SnapshotMember {
    fn new(info: &MemberInfo, home: u16) -> Self {
        Self {
            leaf: info.leaf,
            root_key: *info.account.root_key(),
            device: info.device,
            device_key: info.device_key,
            list_version: info.list_version,
            home,
            role: info.role,
        }
    }

    /// The member as openmls needs it to verify a message: it never encrypts to it.
    fn mls(&self) -> MlsMember {
        MlsMember::new(
            LeafNodeIndex::from(self.leaf),
            Vec::new(),
            self.device_key.as_bytes().to_vec(),
            credential(&AccountDid::new(self.root_key)),
        )
    }
}

impl Member {
    /// Reads a message of an epoch that is over, with that epoch's snapshot. Changes nothing.
    ///
    /// # Errors
    /// Another epoch's message, or one that does not decrypt.
    pub fn read_late(
        &self,
        snapshot: &EpochSnapshot,
        bytes: &[u8],
    ) -> Result<ReadMessage, LateFault> {
        let GroupMessage::Application(message) = GroupMessage::parse(bytes)? else {
            let expected = "an application message";
            return Err(MessageFault::WrongKind { expected }.into());
        };
        let body = &snapshot.body;
        if message.room != body.room || message.epoch != body.epoch || body.room != self.room {
            return Err(LateFault::OtherEpoch);
        }
        if body.epoch >= self.epoch() {
            return Err(LateFault::NotOver);
        }
        let state = self.provider.state.fork();
        let secrets = snapshot.as_past_epoch()?;
        state.write(vec![EntryKind::MessageSecrets as u8], secrets.to_vec());
        let mut past = Self::of_state(self.room, state)?;
        match past.process_application(message, Some(snapshot))? {
            Processed::Application(read) => Ok(read),
            Processed::OwnApplication(_) => Err(LateFault::Own),
            Processed::Proposal(_) | Processed::Commit(_) => Err(LateFault::OtherEpoch),
        }
    }
}

impl fmt::Debug for EpochSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EpochSnapshot(epoch {})", self.body.epoch)
    }
}
