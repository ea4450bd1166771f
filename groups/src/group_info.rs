//! GroupInfo: what a joiner starts from, checked byte by byte against the group that it describes.
//!
//! The server serves it without the tree, which is fetched by its hash. Its external key cannot be
//! checked without the group's secrets; everything else is.

use entente_identity::{PublicKey, Signature};
use openmls::group::GroupContext;
use openmls::prelude::group_info::VerifiableGroupInfo;
use openmls::prelude::{ConfirmationTag, Extension, ExtensionType, LeafNodeIndex, PublicGroup};
use tls_codec::{Serialize as _, TlsSerialize, TlsSize, VLByteSlice, VLBytes};

use crate::ids::LeafIndex;
use crate::message::{MessageFault, mls_bytes, parse_group_info};

/// MLSMessage { mls10, mls_group_info } (RFC 9420 §6).
const HEAD: [u8; 4] = [0, 1, 0, 4];
/// The label under which a GroupInfo is signed (RFC 9420 §5.1.2 and §12.4.3).
const SIGNATURE_LABEL: &[u8] = b"MLS 1.0 GroupInfoTBS";

/// Why a GroupInfo is not the one of its group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupInfoFault {
    /// Not a GroupInfo.
    #[error(transparent)]
    Message(#[from] MessageFault),
    /// It holds the tree, or lacks the external key, or has other extensions.
    #[error("a room's GroupInfo has the external key as its only extension, and no tree")]
    Extensions,
    /// Context, confirmation tag or signer differ from the group's.
    #[error("the GroupInfo describes another group, epoch or signer than the commit makes")]
    Mismatch,
    /// The signature does not verify.
    #[error("the GroupInfo's signature does not verify")]
    Signature,
}

/// SignContent (RFC 9420 §5.1.2).
#[derive(TlsSize, TlsSerialize)]
struct SignContent<'a> {
    label: VLByteSlice<'a>,
    content: VLByteSlice<'a>,
}

/// The group that a GroupInfo must describe.
pub(crate) struct Described<'a> {
    pub(crate) context: &'a GroupContext,
    pub(crate) confirmation_tag: &'a ConfirmationTag,
    pub(crate) signer: LeafIndex,
    pub(crate) signer_key: &'a PublicKey,
}

impl<'a> Described<'a> {
    pub(crate) fn of(group: &'a PublicGroup, signer: LeafIndex, signer_key: &'a PublicKey) -> Self {
        Self {
            context: group.group_context(),
            confirmation_tag: group.confirmation_tag(),
            signer,
            signer_key,
        }
    }
}

/// Checks that a GroupInfo holds the external key and nothing else.
pub(crate) fn check_extensions(group_info: &VerifiableGroupInfo) -> Result<(), GroupInfoFault> {
    let types = group_info
        .extensions()
        .iter()
        .map(Extension::extension_type);
    if types.eq([ExtensionType::ExternalPub]) {
        Ok(())
    } else {
        Err(GroupInfoFault::Extensions)
    }
}

/// Checks a GroupInfo against the group that it must describe.
pub(crate) fn check_group_info(bytes: &[u8], group: &Described<'_>) -> Result<(), GroupInfoFault> {
    let group_info = parse_group_info(bytes)?;
    check_extensions(&group_info)?;
    let extensions = group_info.extensions();
    let signed = [
        mls_bytes(group.context),
        mls_bytes(extensions),
        mls_bytes(group.confirmation_tag),
        mls_bytes(&LeafNodeIndex::from(group.signer)),
    ]
    .concat();
    let rest = bytes
        .strip_prefix(&HEAD)
        .and_then(|rest| rest.strip_prefix(&signed[..]))
        .ok_or(GroupInfoFault::Mismatch)?;
    let signature: VLBytes = entente_identity::decode_exact("GroupInfo signature", rest)
        .map_err(|_| GroupInfoFault::Mismatch)?;
    let signature = signature.as_slice().try_into().map(Signature::from_bytes);
    let signature = signature.map_err(|_| GroupInfoFault::Signature)?;
    let content = SignContent {
        label: VLByteSlice(SIGNATURE_LABEL),
        content: VLByteSlice(&signed),
    };
    let content = content
        .tls_serialize_detached()
        .map_err(|_| GroupInfoFault::Mismatch)?;
    group
        .signer_key
        .verify(&content, &signature)
        .map_err(|_| GroupInfoFault::Signature)
}
