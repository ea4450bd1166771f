//! Who may do what in a room: a GroupContext extension that everyone reads the same way.
//!
//! Admins are listed by account, everyone else is a member; joining never makes an admin. Only an
//! admin changes the policy, by a GroupContextExtensions proposal in a commit.

use entente_identity::{AccountDid, decode_exact, encode};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

/// Most admins that a room lists.
pub const MAX_ADMINS: usize = 64;
/// The only encoding of a policy.
const VERSION: u8 = 1;

/// What an account may do in a room.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, TlsSize, TlsSerialize, TlsDeserialize,
)]
#[repr(u8)]
pub enum Role {
    /// Speaks, and invites where the policy lets members do so.
    Member = 1,
    /// Also removes others and changes the policy.
    Admin = 2,
}

/// Who may invite, by ticket or by adding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub enum InviteRight {
    /// Admins only.
    Admins = 1,
    /// Everyone in the room.
    Members = 2,
}

/// A room's policy.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct RoomPolicy {
    version: u8,
    invite: InviteRight,
    admins: Vec<AccountDid>,
}

/// Why bytes or a change are no acceptable policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFault {
    /// The bytes are no policy.
    #[error("the room policy is malformed: {0}")]
    Malformed(String),
    /// A version that this software does not know.
    #[error("room policy version {0} is not known; a newer client made it")]
    Version(u8),
    /// No admin, too many, or not in ascending order without repetition.
    #[error("a room policy lists 1 to {MAX_ADMINS} admins, each once, in ascending order")]
    Admins,
}

impl RoomPolicy {
    /// A policy with these admins.
    ///
    /// # Errors
    /// No admin or too many.
    pub fn new(
        admins: impl IntoIterator<Item = AccountDid>,
        invite: InviteRight,
    ) -> Result<Self, PolicyFault> {
        let mut admins: Vec<_> = admins.into_iter().collect();
        admins.sort_unstable();
        admins.dedup();
        let policy = Self {
            version: VERSION,
            invite,
            admins,
        };
        policy.check()?;
        Ok(policy)
    }

    /// The policy of a new room: its creator is the admin, and members may invite.
    #[must_use]
    pub fn founded_by(creator: AccountDid) -> Self {
        Self {
            version: VERSION,
            invite: InviteRight::Members,
            admins: vec![creator],
        }
    }

    /// The same policy with an account as admin.
    ///
    /// # Errors
    /// Too many admins.
    pub fn with_admin(&self, account: AccountDid) -> Result<Self, PolicyFault> {
        let admins = self.admins.iter().copied().chain([account]);
        Self::new(admins, self.invite)
    }

    /// The same policy with an account as plain member.
    ///
    /// # Errors
    /// The account is the only admin.
    pub fn without_admin(&self, account: &AccountDid) -> Result<Self, PolicyFault> {
        let admins = self.admins.iter().copied().filter(|a| a != account);
        Self::new(admins, self.invite)
    }

    /// The same policy with another right to invite.
    #[must_use]
    pub fn with_invite(&self, invite: InviteRight) -> Self {
        Self {
            invite,
            ..self.clone()
        }
    }

    /// The admins, in ascending order.
    #[must_use]
    pub fn admins(&self) -> &[AccountDid] {
        &self.admins
    }

    /// Who may invite.
    #[must_use]
    pub fn invite(&self) -> InviteRight {
        self.invite
    }

    /// An account's role, were it in the room.
    #[must_use]
    pub fn role_of(&self, account: &AccountDid) -> Role {
        if self.admins.binary_search(account).is_ok() {
            Role::Admin
        } else {
            Role::Member
        }
    }

    /// Whether `account` may bring in a device of `invitee`; its own devices always.
    #[must_use]
    pub fn may_invite(&self, account: &AccountDid, invitee: &AccountDid) -> bool {
        account == invitee
            || match self.invite {
                InviteRight::Admins => self.role_of(account) == Role::Admin,
                InviteRight::Members => true,
            }
    }

    /// Whether `account` may remove a device of `removed`; its own devices always.
    #[must_use]
    pub fn may_remove(&self, account: &AccountDid, removed: &AccountDid) -> bool {
        account == removed || self.role_of(account) == Role::Admin
    }

    /// Whether `account` may change this policy.
    #[must_use]
    pub fn may_change_policy(&self, account: &AccountDid) -> bool {
        self.role_of(account) == Role::Admin
    }

    /// The policy's bytes, as the extension holds them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads the extension's bytes.
    ///
    /// # Errors
    /// Malformed bytes, an unknown version, a bad list of admins.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PolicyFault> {
        if let Some(version) = bytes.first().filter(|version| **version != VERSION) {
            return Err(PolicyFault::Version(*version));
        }
        let policy: Self = decode_exact("room policy", bytes)
            .map_err(|fault| PolicyFault::Malformed(fault.reason))?;
        policy.check()?;
        Ok(policy)
    }

    /// Checks a policy that was read as part of something else.
    pub(crate) fn check(&self) -> Result<(), PolicyFault> {
        if self.version != VERSION {
            return Err(PolicyFault::Version(self.version));
        }
        let ascending = self.admins.windows(2).all(|pair| pair[0] < pair[1]);
        if self.admins.is_empty() || self.admins.len() > MAX_ADMINS || !ascending {
            return Err(PolicyFault::Admins);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use entente_identity::SigningKey;

    fn account(seed: u8) -> AccountDid {
        AccountDid::new(SigningKey::from_seed(&[seed; 32]).public())
    }

    #[test]
    fn admins_do_everything_and_members_what_the_policy_lets_them() {
        let (alice, bob, carol) = (account(1), account(2), account(3));
        let policy = RoomPolicy::founded_by(alice);
        assert!(policy.may_change_policy(&alice) && !policy.may_change_policy(&bob));
        assert!(policy.may_remove(&alice, &bob) && !policy.may_remove(&bob, &carol));
        assert!(policy.may_remove(&bob, &bob));
        assert!(policy.may_invite(&bob, &carol));
        let closed = policy.with_invite(InviteRight::Admins);
        assert!(!closed.may_invite(&bob, &carol) && closed.may_invite(&bob, &bob));
        assert_eq!(policy.without_admin(&alice), Err(PolicyFault::Admins));
    }

    #[test]
    fn one_policy_has_one_encoding() {
        let policy = RoomPolicy::new([account(3), account(1), account(3)], InviteRight::Admins)
            .expect("two admins");
        let bytes = policy.to_bytes();
        assert_eq!(RoomPolicy::from_bytes(&bytes), Ok(policy.clone()));
        let mut unsorted = policy.clone();
        unsorted.admins.reverse();
        assert_eq!(
            RoomPolicy::from_bytes(&unsorted.to_bytes()),
            Err(PolicyFault::Admins)
        );
        assert!(RoomPolicy::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
        assert_eq!(
            RoomPolicy::from_bytes(&[&[2], &bytes[1..]].concat()),
            Err(PolicyFault::Version(2))
        );
    }
}
