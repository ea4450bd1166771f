//! What openmls is given to work with: our storage over a [`GroupState`] and our choice of primitives.
//!
//! Entries are encoded by postcard; the keys do not name the group, since a state belongs to one. The
//! join configuration is a constant of this software and never stored.

use openmls_traits::OpenMlsProvider;
use openmls_traits::storage::{CURRENT_VERSION, StorageProvider, traits};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::join_config;
use crate::crypto::Crypto;
use crate::state::{EntryKind, GroupState, StateFault};

/// Storage, primitives and randomness for one group or device.
#[derive(Default)]
pub(crate) struct Provider {
    pub(crate) crypto: Crypto,
    pub(crate) state: GroupState,
}

impl Provider {
    pub(crate) fn new(state: GroupState) -> Self {
        Self {
            crypto: Crypto::default(),
            state,
        }
    }
}

impl OpenMlsProvider for Provider {
    type CryptoProvider = Crypto;
    type RandProvider = Crypto;
    type StorageProvider = GroupState;

    fn storage(&self) -> &GroupState {
        &self.state
    }

    fn crypto(&self) -> &Crypto {
        &self.crypto
    }

    fn rand(&self) -> &Crypto {
        &self.crypto
    }
}

fn codec(kind: u8, doing: &'static str, error: impl ToString) -> StateFault {
    StateFault::Codec {
        kind,
        doing,
        reason: error.to_string(),
    }
}

fn to_bytes(kind: EntryKind, value: &impl Serialize) -> Result<Vec<u8>, StateFault> {
    postcard::to_allocvec(value).map_err(|error| codec(kind as u8, "encoded", error))
}

fn of_bytes<T: DeserializeOwned>(kind: EntryKind, bytes: &[u8]) -> Result<T, StateFault> {
    postcard::from_bytes(bytes).map_err(|error| codec(kind as u8, "decoded", error))
}

/// The key of an entry: its kind and what tells it from others of the kind.
fn key(kind: EntryKind, name: &impl Serialize) -> Result<Vec<u8>, StateFault> {
    let mut key = vec![kind as u8];
    key.extend(to_bytes(kind, name)?);
    Ok(key)
}

impl GroupState {
    fn put(
        &self,
        kind: EntryKind,
        name: &impl Serialize,
        value: &impl Serialize,
    ) -> Result<(), StateFault> {
        self.write(key(kind, name)?, to_bytes(kind, value)?);
        Ok(())
    }

    fn find<T: DeserializeOwned>(
        &self,
        kind: EntryKind,
        name: &impl Serialize,
    ) -> Result<Option<T>, StateFault> {
        self.with(&key(kind, name)?, |bytes| {
            bytes.map(|bytes| of_bytes(kind, bytes)).transpose()
        })
    }

    fn forget(&self, kind: EntryKind, name: &impl Serialize) -> Result<(), StateFault> {
        self.delete(&key(kind, name)?);
        Ok(())
    }

    fn forget_all(&self, kind: EntryKind) {
        for (key, _) in self.entries_of(kind) {
            self.delete(&key);
        }
    }

    /// Adds to a list, whose items are numbered in the order in which they came.
    fn append(&self, kind: EntryKind, item: &impl Serialize) -> Result<(), StateFault> {
        let last = self.entries_of(kind).pop();
        let number = last.map_or(0, |(key, _)| list_number(&key).wrapping_add(1));
        let key = [&[kind as u8], &number.to_be_bytes()[..]].concat();
        self.write(key, to_bytes(kind, item)?);
        Ok(())
    }

    fn list<T: DeserializeOwned>(&self, kind: EntryKind) -> Result<Vec<T>, StateFault> {
        self.entries_of(kind)
            .iter()
            .map(|(_, bytes)| of_bytes(kind, bytes))
            .collect()
    }
}

fn list_number(key: &[u8]) -> u32 {
    let number = key.get(1..).and_then(|number| number.try_into().ok());
    number.map_or(0, u32::from_be_bytes)
}

/// Entries of which a group has one: how openmls writes, reads and deletes them.
macro_rules! one_per_group {
    ($write:ident, $read:ident, $delete:ident, $entity:ident, $kind:ident) => {
        fn $write<
            GroupId: traits::GroupId<CURRENT_VERSION>,
            Entity: traits::$entity<CURRENT_VERSION>,
        >(
            &self,
            _: &GroupId,
            value: &Entity,
        ) -> Result<(), StateFault> {
            self.put(EntryKind::$kind, &(), value)
        }

        fn $read<
            GroupId: traits::GroupId<CURRENT_VERSION>,
            Entity: traits::$entity<CURRENT_VERSION>,
        >(
            &self,
            _: &GroupId,
        ) -> Result<Option<Entity>, StateFault> {
            self.find(EntryKind::$kind, &())
        }

        fn $delete<GroupId: traits::GroupId<CURRENT_VERSION>>(
            &self,
            _: &GroupId,
        ) -> Result<(), StateFault> {
            self.forget(EntryKind::$kind, &())
        }
    };
}

/// Entries that are found by a name of their own.
macro_rules! by_name {
    ($write:ident, $delete:ident, $name:ident, $entity:ident, $kind:ident) => {
        fn $write<
            Name: traits::$name<CURRENT_VERSION>,
            Entity: traits::$entity<CURRENT_VERSION>,
        >(
            &self,
            name: &Name,
            value: &Entity,
        ) -> Result<(), StateFault> {
            self.put(EntryKind::$kind, name, value)
        }

        fn $delete<Name: traits::$name<CURRENT_VERSION>>(
            &self,
            name: &Name,
        ) -> Result<(), StateFault> {
            self.forget(EntryKind::$kind, name)
        }
    };
}

impl StorageProvider<CURRENT_VERSION> for GroupState {
    type Error = StateFault;

    one_per_group!(write_tree, tree, delete_tree, TreeSync, Tree);
    one_per_group!(
        write_interim_transcript_hash,
        interim_transcript_hash,
        delete_interim_transcript_hash,
        InterimTranscriptHash,
        InterimTranscriptHash
    );
    one_per_group!(
        write_context,
        group_context,
        delete_context,
        GroupContext,
        Context
    );
    one_per_group!(
        write_confirmation_tag,
        confirmation_tag,
        delete_confirmation_tag,
        ConfirmationTag,
        ConfirmationTag
    );
    one_per_group!(
        write_message_secrets,
        message_secrets,
        delete_message_secrets,
        MessageSecrets,
        MessageSecrets
    );
    one_per_group!(
        write_resumption_psk_store,
        resumption_psk_store,
        delete_all_resumption_psk_secrets,
        ResumptionPskStore,
        ResumptionPsks
    );
    one_per_group!(
        write_own_leaf_index,
        own_leaf_index,
        delete_own_leaf_index,
        LeafNodeIndex,
        OwnLeafIndex
    );
    one_per_group!(
        write_group_epoch_secrets,
        group_epoch_secrets,
        delete_group_epoch_secrets,
        GroupEpochSecrets,
        EpochSecrets
    );

    by_name!(
        write_signature_key_pair,
        delete_signature_key_pair,
        SignaturePublicKey,
        SignatureKeyPair,
        SignatureKeyPair
    );
    by_name!(
        write_encryption_key_pair,
        delete_encryption_key_pair,
        EncryptionKey,
        HpkeKeyPair,
        EncryptionKeyPair
    );
    by_name!(
        write_key_package,
        delete_key_package,
        HashReference,
        KeyPackage,
        KeyPackage
    );
    by_name!(write_psk, delete_psk, PskId, PskBundle, Psk);

    fn write_mls_join_config<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Config: traits::MlsGroupJoinConfig<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
        _: &Config,
    ) -> Result<(), StateFault> {
        Ok(())
    }

    /// Gives the constant configuration, by way of CBOR: its type is only known to openmls, and one of
    /// its fields wants a format that describes itself.
    fn mls_group_join_config<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Config: traits::MlsGroupJoinConfig<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
    ) -> Result<Option<Config>, StateFault> {
        let mut bytes = Vec::new();
        ciborium::into_writer(&join_config(), &mut bytes)
            .map_err(|error| codec(0x01, "encoded", error))?;
        ciborium::from_reader(bytes.as_slice())
            .map(Some)
            .map_err(|error| codec(0x01, "decoded", error))
    }

    fn delete_group_config<GroupId: traits::GroupId<CURRENT_VERSION>>(
        &self,
        _: &GroupId,
    ) -> Result<(), StateFault> {
        Ok(())
    }

    fn append_own_leaf_node<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        LeafNode: traits::LeafNode<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
        leaf_node: &LeafNode,
    ) -> Result<(), StateFault> {
        self.append(EntryKind::OwnLeafNodes, leaf_node)
    }

    fn own_leaf_nodes<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        LeafNode: traits::LeafNode<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
    ) -> Result<Vec<LeafNode>, StateFault> {
        self.list(EntryKind::OwnLeafNodes)
    }

    fn delete_own_leaf_nodes<GroupId: traits::GroupId<CURRENT_VERSION>>(
        &self,
        _: &GroupId,
    ) -> Result<(), StateFault> {
        self.forget_all(EntryKind::OwnLeafNodes);
        Ok(())
    }

    fn queue_proposal<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
        QueuedProposal: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
        proposal_ref: &ProposalRef,
        proposal: &QueuedProposal,
    ) -> Result<(), StateFault> {
        self.append(EntryKind::Proposal, &(proposal_ref, proposal))
    }

    fn queued_proposal_refs<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
    ) -> Result<Vec<ProposalRef>, StateFault> {
        self.entries_of(EntryKind::Proposal)
            .iter()
            .map(|(_, bytes)| proposal_ref_of(bytes))
            .collect()
    }

    fn queued_proposals<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
        QueuedProposal: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
    ) -> Result<Vec<(ProposalRef, QueuedProposal)>, StateFault> {
        self.list(EntryKind::Proposal)
    }

    fn remove_proposal<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
        proposal_ref: &ProposalRef,
    ) -> Result<(), StateFault> {
        let wanted = to_bytes(EntryKind::Proposal, proposal_ref)?;
        for (key, bytes) in self.entries_of(EntryKind::Proposal) {
            if bytes.starts_with(&wanted) {
                self.delete(&key);
            }
        }
        Ok(())
    }

    fn clear_proposal_queue<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        ProposalRef: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
    ) -> Result<(), StateFault> {
        self.forget_all(EntryKind::Proposal);
        Ok(())
    }

    fn write_group_state<
        State: traits::GroupState<CURRENT_VERSION>,
        GroupId: traits::GroupId<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
        state: &State,
    ) -> Result<(), StateFault> {
        self.put(EntryKind::GroupState, &(), state)
    }

    fn group_state<
        State: traits::GroupState<CURRENT_VERSION>,
        GroupId: traits::GroupId<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
    ) -> Result<Option<State>, StateFault> {
        self.find(EntryKind::GroupState, &())
    }

    fn delete_group_state<GroupId: traits::GroupId<CURRENT_VERSION>>(
        &self,
        _: &GroupId,
    ) -> Result<(), StateFault> {
        self.forget(EntryKind::GroupState, &())
    }

    fn write_encryption_epoch_key_pairs<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        EpochKey: traits::EpochKey<CURRENT_VERSION>,
        HpkeKeyPair: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
        epoch: &EpochKey,
        leaf_index: u32,
        key_pairs: &[HpkeKeyPair],
    ) -> Result<(), StateFault> {
        self.put(EntryKind::EpochKeyPairs, &(epoch, leaf_index), &key_pairs)
    }

    fn encryption_epoch_key_pairs<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        EpochKey: traits::EpochKey<CURRENT_VERSION>,
        HpkeKeyPair: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
        epoch: &EpochKey,
        leaf_index: u32,
    ) -> Result<Vec<HpkeKeyPair>, StateFault> {
        let found = self.find(EntryKind::EpochKeyPairs, &(epoch, leaf_index))?;
        Ok(found.unwrap_or_default())
    }

    fn delete_encryption_epoch_key_pairs<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        EpochKey: traits::EpochKey<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
        epoch: &EpochKey,
        leaf_index: u32,
    ) -> Result<(), StateFault> {
        self.forget(EntryKind::EpochKeyPairs, &(epoch, leaf_index))
    }

    fn signature_key_pair<
        SignaturePublicKey: traits::SignaturePublicKey<CURRENT_VERSION>,
        SignatureKeyPair: traits::SignatureKeyPair<CURRENT_VERSION>,
    >(
        &self,
        public_key: &SignaturePublicKey,
    ) -> Result<Option<SignatureKeyPair>, StateFault> {
        self.find(EntryKind::SignatureKeyPair, public_key)
    }

    fn encryption_key_pair<
        HpkeKeyPair: traits::HpkeKeyPair<CURRENT_VERSION>,
        EncryptionKey: traits::EncryptionKey<CURRENT_VERSION>,
    >(
        &self,
        public_key: &EncryptionKey,
    ) -> Result<Option<HpkeKeyPair>, StateFault> {
        self.find(EntryKind::EncryptionKeyPair, public_key)
    }

    fn key_package<
        KeyPackageRef: traits::HashReference<CURRENT_VERSION>,
        KeyPackage: traits::KeyPackage<CURRENT_VERSION>,
    >(
        &self,
        hash_ref: &KeyPackageRef,
    ) -> Result<Option<KeyPackage>, StateFault> {
        self.find(EntryKind::KeyPackage, hash_ref)
    }

    fn psk<PskBundle: traits::PskBundle<CURRENT_VERSION>, PskId: traits::PskId<CURRENT_VERSION>>(
        &self,
        psk_id: &PskId,
    ) -> Result<Option<PskBundle>, StateFault> {
        self.find(EntryKind::Psk, psk_id)
    }

    fn write_application_export_tree<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Tree: traits::ApplicationExportTree<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
        tree: &Tree,
    ) -> Result<(), StateFault> {
        self.put(EntryKind::ExportTree, &(), tree)
    }

    fn application_export_tree<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Tree: traits::ApplicationExportTree<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
    ) -> Result<Option<Tree>, StateFault> {
        self.find(EntryKind::ExportTree, &())
    }

    fn delete_application_export_tree<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        Tree: traits::ApplicationExportTree<CURRENT_VERSION>,
    >(
        &self,
        _: &GroupId,
    ) -> Result<(), StateFault> {
        self.forget(EntryKind::ExportTree, &())
    }
}

/// The reference with which a queued proposal's entry begins.
fn proposal_ref_of<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StateFault> {
    postcard::take_from_bytes(bytes)
        .map(|(proposal_ref, _)| proposal_ref)
        .map_err(|error| codec(EntryKind::Proposal as u8, "decoded", error))
}
