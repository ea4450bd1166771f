//! Pins: what this device has once seen of people, and what may follow.
//!
//! A handle stands for one account, and an account's device list only grows in version. Whatever
//! breaks this is shown like a changed key: the person decides, no program does.

use entente_identity::{AccountDid, Handle, VerifiedAccount};

use crate::message::HandleTrust;

/// A handle that was resolved once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlePin {
    /// The handle.
    pub handle: Handle,
    /// The account that its document named.
    pub account: AccountDid,
}

/// The newest device list of an account that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListPin {
    /// Its version.
    pub version: u32,
    /// Its hash; unknown if the version was only seen in a room.
    pub hash: Option<[u8; 32]>,
}

/// A resolved document contradicts what is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinFault {
    /// The handle names another account than before.
    #[error(
        "{handle} was {known} and is now {found}: another person, or somebody pretends. Ask them by \
         another way; if it is right, accept the change explicitly"
    )]
    AccountChanged {
        /// The handle.
        handle: Handle,
        /// The account that is pinned.
        known: AccountDid,
        /// The account that the document names.
        found: AccountDid,
    },
    /// The device list is older than one that was seen.
    #[error(
        "{handle}'s server shows device list version {found}, version {known} was seen before: it \
         may be hiding that a device was revoked"
    )]
    OlderList {
        /// The handle.
        handle: Handle,
        /// The version that is pinned.
        known: u32,
        /// The version that came.
        found: u32,
    },
    /// Two device lists of one version.
    #[error("{handle}'s account shows two different device lists of version {version}")]
    ForkedList {
        /// The handle.
        handle: Handle,
        /// The version.
        version: u32,
    },
}

/// Whether the person has agreed to a changed account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountChange {
    /// A changed account is a fault.
    Refuse,
    /// The person has checked it.
    Accept,
}

/// Compares a resolved handle with the pins, and gives the new pin of the account's list.
///
/// # Errors
/// See [`PinFault`].
pub fn judge_person(
    found: &VerifiedAccount,
    handle_pin: Option<&HandlePin>,
    list_pin: Option<ListPin>,
    change: AccountChange,
) -> Result<ListPin, PinFault> {
    let handle = &found.home.handle;
    let account = found.claim.account;
    let changed = handle_pin.filter(|pin| pin.account != account);
    if let (Some(pin), AccountChange::Refuse) = (changed, change) {
        return Err(PinFault::AccountChanged {
            handle: handle.clone(),
            known: pin.account,
            found: account,
        });
    }
    let hash = found.claim.device_list.hash();
    let version = found.devices.version;
    let fresh = ListPin {
        version,
        hash: Some(hash),
    };
    match list_pin {
        Some(pin) if version < pin.version => Err(PinFault::OlderList {
            handle: handle.clone(),
            known: pin.version,
            found: version,
        }),
        Some(pin) if version == pin.version && pin.hash.is_some_and(|known| known != hash) => {
            Err(PinFault::ForkedList {
                handle: handle.clone(),
                version,
            })
        }
        Some(_) | None => Ok(fresh),
    }
}

/// How far a handle that an account claims can be believed, given the account that is pinned to it.
#[must_use]
pub fn handle_trust(account: &AccountDid, pinned: Option<&AccountDid>) -> HandleTrust {
    match pinned {
        None => HandleTrust::Claimed,
        Some(pinned) if pinned == account => HandleTrust::Confirmed,
        Some(_) => HandleTrust::Contradicted,
    }
}

#[cfg(test)]
mod tests {
    use entente_identity::{
        AccountClaim, Device, DeviceId, DeviceRole, HomeRecord, HpkePublicKey, SigningKey,
        UnixMillis, first_device_list,
    };

    use super::*;

    fn person(seed: u8, device: u8) -> VerifiedAccount {
        let root = SigningKey::from_seed(&[seed; 32]);
        let device = Device {
            id: DeviceId([device; 16]),
            signature_key: SigningKey::from_seed(&[device; 32]).public(),
            hpke_key: HpkePublicKey([device; 32]),
            role: DeviceRole::Manager,
        };
        let handle: Handle = "alice@org-a.example".parse().expect("a handle");
        let now = UnixMillis(1);
        let claim = AccountClaim {
            account: AccountDid::new(root.public()),
            device_list: first_device_list(&root, vec![device], now),
            signer_chain: Vec::new(),
            home_record: HomeRecord::first(&root, handle, now),
        };
        claim.verify().expect("an account")
    }

    fn pin(person: &VerifiedAccount) -> HandlePin {
        HandlePin {
            handle: person.home.handle.clone(),
            account: person.claim.account,
        }
    }

    #[test]
    fn another_account_under_a_known_handle_needs_consent() {
        let (alice, other) = (person(1, 2), person(3, 4));
        let judge = |change| judge_person(&other, Some(&pin(&alice)), None, change);
        assert!(matches!(
            judge(AccountChange::Refuse),
            Err(PinFault::AccountChanged { .. })
        ));
        assert!(judge(AccountChange::Accept).is_ok());
        let same = judge_person(&alice, Some(&pin(&alice)), None, AccountChange::Refuse);
        assert_eq!(same.map(|pin| pin.version), Ok(1));
    }

    #[test]
    fn a_device_list_goes_forward_only_and_never_forks() {
        let alice = person(1, 2);
        let judge = |version, hash| {
            let pin = ListPin { version, hash };
            judge_person(&alice, None, Some(pin), AccountChange::Refuse)
        };
        let own = alice.claim.device_list.hash();
        assert!(judge(1, Some(own)).is_ok() && judge(1, None).is_ok());
        assert!(matches!(judge(2, None), Err(PinFault::OlderList { .. })));
        assert!(matches!(
            judge(1, Some([9; 32])),
            Err(PinFault::ForkedList { .. })
        ));
    }

    #[test]
    fn trust_follows_the_pin() {
        let (alice, other) = (person(1, 2).claim.account, person(3, 4).claim.account);
        assert_eq!(handle_trust(&alice, None), HandleTrust::Claimed);
        assert_eq!(handle_trust(&alice, Some(&alice)), HandleTrust::Confirmed);
        assert_eq!(
            handle_trust(&alice, Some(&other)),
            HandleTrust::Contradicted
        );
    }
}
