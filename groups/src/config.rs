//! How Entente uses MLS: the constants of its profile, in one place.

use openmls::prelude::{
    Capabilities, CredentialType, ExtensionType, Lifetime, MlsGroupJoinConfig,
    PURE_PLAINTEXT_WIRE_FORMAT_POLICY, ProposalType, ProtocolVersion,
    RequiredCapabilitiesExtension, SenderRatchetConfiguration,
};

use crate::suite::Suite;

/// The leaf extension that shows whose device a leaf is; private use (RFC 9420 §17.3).
pub(crate) const LEAF_EXTENSION: u16 = 0xf0e1;
/// The GroupContext extension with the room's policy; private use.
pub(crate) const POLICY_EXTENSION: u16 = 0xf0e2;
/// The KeyPackage extension with its lifetime as we judge it; private use.
pub(crate) const LIFETIME_EXTENSION: u16 = 0xf0e3;

/// Application messages are padded to multiples of this, in bytes, so that lengths tell less.
const PADDING_BYTES: usize = 64;
/// How many messages of one sender may arrive late within an epoch.
const OUT_OF_ORDER_TOLERANCE: u32 = 16;
/// How many messages of one sender may be missing within an epoch.
const MAXIMUM_FORWARD_DISTANCE: u32 = 2000;

/// The MLS lifetime of every leaf: unbounded. openmls compares it with the system clock each time a
/// leaf is processed, so that a bounded one would make members who read the log at different times
/// disagree; [`LIFETIME_EXTENSION`] holds the one that is judged.
pub(crate) const UNBOUNDED: (u64, u64) = (0, u64::MAX);

/// The lifetime that every leaf has for MLS.
pub(crate) fn unbounded_lifetime() -> Lifetime {
    Lifetime::init(UNBOUNDED.0, UNBOUNDED.1)
}

/// The configuration of every group.
pub(crate) fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .padding_size(PADDING_BYTES)
        .max_past_epochs(0)
        .number_of_resumption_psks(0)
        .use_ratchet_tree_extension(false)
        .sender_ratchet_configuration(ratchets())
        .build()
}

/// How far a sender's messages may be out of order.
pub(crate) fn ratchets() -> SenderRatchetConfiguration {
    SenderRatchetConfiguration::new(OUT_OF_ORDER_TOLERANCE, MAXIMUM_FORWARD_DISTANCE)
}

/// What every leaf says it can do.
pub(crate) fn capabilities() -> Capabilities {
    Capabilities::builder()
        .versions(vec![ProtocolVersion::Mls10])
        .ciphersuites(Suite::ALL.map(Suite::mls).to_vec())
        .extensions(vec![
            ExtensionType::LastResort,
            ExtensionType::Unknown(LEAF_EXTENSION),
            ExtensionType::Unknown(POLICY_EXTENSION),
            ExtensionType::Unknown(LIFETIME_EXTENSION),
        ])
        .proposals(vec![ProposalType::SelfRemove])
        .credentials(vec![CredentialType::Basic])
        .build()
}

/// What every group requires of its leaves.
pub(crate) fn required_capabilities() -> RequiredCapabilitiesExtension {
    RequiredCapabilitiesExtension::new(
        &[
            ExtensionType::Unknown(LEAF_EXTENSION),
            ExtensionType::Unknown(POLICY_EXTENSION),
        ],
        &[ProposalType::SelfRemove],
        &[CredentialType::Basic],
    )
}
