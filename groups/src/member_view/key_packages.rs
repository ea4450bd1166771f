//! A device's KeyPackages with their private keys, until a Welcome uses them.

use std::fmt;

use entente_identity::{SigningKey, UnixMillis};
use openmls::prelude::{KeyPackage, MlsMessageOut};

use super::{DeviceSigner, MemberFault, mls};
use crate::config::{capabilities, unbounded_lifetime};
use crate::ids::KeyPackageRef;
use crate::key_package::{
    KeyPackageLifetime, KeyPackageUse, MAX_KEY_PACKAGE_LIFETIME_MS, reference_of,
};
use crate::leaf::LeafIdentity;
use crate::message::mls_bytes;
use crate::provider::Provider;
use crate::state::{EntryKind, GroupState, StateDelta, StateFault};
use crate::suite::Suite;

/// The private halves of a device's KeyPackages, as rows to be stored.
#[derive(Default)]
pub struct KeyPackages {
    provider: Provider,
}

/// Which KeyPackages to make.
#[derive(Clone, Copy, Debug)]
pub struct KeyPackageOrder {
    /// How many.
    pub count: usize,
    /// For rooms of which suite.
    pub suite: Suite,
    /// How often each may be used.
    pub usage: KeyPackageUse,
    /// When they are made.
    pub now: UnixMillis,
    /// For how long they are valid, in milliseconds.
    pub lifetime_ms: u64,
}

/// A KeyPackage to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKeyPackage {
    /// Its name.
    pub reference: KeyPackageRef,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// When it ends.
    pub expires: UnixMillis,
}

impl KeyPackages {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Loads all of a device's KeyPackages from their rows.
    ///
    /// # Errors
    /// The rows are damaged.
    pub fn load(rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Result<Self, StateFault> {
        Ok(Self {
            provider: Provider::new(GroupState::from_rows(rows)?),
        })
    }

    /// The rows that changed since the last call.
    #[must_use]
    pub fn take_delta(&mut self) -> StateDelta {
        self.provider.state.take_delta()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.provider.state.entries_of(EntryKind::KeyPackage).len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes KeyPackages; their private halves stay here.
    ///
    /// # Errors
    /// The key is not the one of the device that the identity names.
    pub fn generate(
        &mut self,
        order: KeyPackageOrder,
        identity: &LeafIdentity,
        key: &SigningKey,
    ) -> Result<Vec<NewKeyPackage>, MemberFault> {
        if identity.verify()?.device.signature_key != key.public() {
            return Err(MemberFault::WrongKey);
        }
        (0..order.count)
            .map(|_| self.generate_one(order, identity, key))
            .collect()
    }

    fn generate_one(
        &mut self,
        order: KeyPackageOrder,
        identity: &LeafIdentity,
        key: &SigningKey,
    ) -> Result<NewKeyPackage, MemberFault> {
        let lifetime_ms = order.lifetime_ms.min(MAX_KEY_PACKAGE_LIFETIME_MS);
        let lifetime = KeyPackageLifetime {
            begins: order.now,
            expires: order.now.after(lifetime_ms),
        };
        let bundle = KeyPackage::builder()
            .key_package_lifetime(unbounded_lifetime())
            .key_package_extensions(lifetime.extensions(order.usage))
            .leaf_node_capabilities(capabilities())
            .leaf_node_extensions(identity.extensions())
            .build(
                order.suite.mls(),
                &self.provider,
                &DeviceSigner(key),
                identity.credential(key.public().as_bytes()),
            )
            .map_err(mls)?;
        let key_package = bundle.into_key_package();
        Ok(NewKeyPackage {
            reference: reference_of(&key_package, &self.provider.crypto)?,
            bytes: mls_bytes(&MlsMessageOut::from(key_package)),
            expires: lifetime.expires,
        })
    }

    /// Drops a KeyPackage that was never used.
    pub fn discard(&mut self, reference: &KeyPackageRef) {
        let found = self.key_of(reference);
        if let Some(key) = found {
            self.provider.state.delete(&key);
        }
    }

    /// Whether the private half of a KeyPackage is here.
    #[must_use]
    pub fn contains(&self, reference: &KeyPackageRef) -> bool {
        self.key_of(reference).is_some()
    }

    /// The row of a KeyPackage: its key holds the reference, after kind and length.
    fn key_of(&self, reference: &KeyPackageRef) -> Option<Vec<u8>> {
        let entries = self.provider.state.entries_of(EntryKind::KeyPackage);
        let mut keys = entries.into_iter().map(|(key, _)| key);
        keys.find(|key| key.ends_with(reference.as_slice()))
    }

    /// The entry of one of these KeyPackages.
    pub(super) fn entry(&self, references: &[KeyPackageRef]) -> Option<(Vec<u8>, Vec<u8>)> {
        let key = references.iter().find_map(|r| self.key_of(r))?;
        let value = self.provider.state.read(&key)?;
        Some((key, value.to_vec()))
    }

    pub(super) fn remove_entry(&mut self, key: &[u8]) {
        self.provider.state.delete(key);
    }
}

impl fmt::Debug for KeyPackages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPackages({})", self.len())
    }
}
