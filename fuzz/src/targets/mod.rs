//! All targets, one file per family.

pub(crate) mod calls;
mod content;
pub(crate) mod flows;
mod group;
mod identity;
mod invite;
mod keys;
mod local;
mod log;
mod member;
mod names;
mod signed;
mod streams;

use crate::target::Target;

/// Every target. Those that cost cryptography are tried less often by the smoke test.
pub const TARGETS: &[Target] = &[
    streams::STREAMS,
    calls::CLIENT_REQUESTS,
    calls::CLIENT_REPLIES,
    calls::PEER_REQUESTS,
    calls::PEER_REPLIES,
    flows::SUBMIT_FLOW,
    flows::SYNC_FLOW,
    flows::RELAY_FLOW,
    flows::FAULTS,
    flows::BATCHES,
    log::ITEMS,
    log::ENTRIES,
    log::DEVICE_ITEMS,
    log::CHECKPOINTS,
    signed::SIGNED_OBJECTS,
    signed::GREETINGS,
    signed::KEY_DOCUMENTS,
    identity::SERVER_DOCUMENTS,
    identity::USER_DOCUMENTS,
    identity::ACCOUNTS,
    names::NAMES,
    keys::SIGNATURES,
    invite::TICKETS,
    invite::SEALED_INVITES,
    invite::INVITE_PAYLOADS,
    group::POLICIES,
    group::GROUP_MESSAGES,
    group::KEY_PACKAGES,
    group::COMMIT_BUNDLES,
    group::PROPOSALS,
    group::FOUNDINGS,
    member::MEMBER_MESSAGES,
    member::LATE_MESSAGES,
    member::WELCOMES,
    member::JOIN_OFFERS,
    content::CONTENTS,
    content::INERT_TEXT,
    local::CONFIG_FILES,
    local::HOST_TABLES,
];
