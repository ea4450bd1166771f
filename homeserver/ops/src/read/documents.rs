//! The published document of a handle.

use entente_identity::{LocalPart, UserDocument};

use crate::store::{Read, StoreFault};

/// The DID document of a name here, if it is taken.
///
/// # Errors
/// The store does not answer.
pub async fn user_document(
    read: &mut dyn Read,
    local: &LocalPart,
) -> Result<Option<Vec<u8>>, StoreFault> {
    let Some(row) = read.account_named(local).await? else {
        return Ok(None);
    };
    let account = row
        .claim
        .verify()
        .map_err(|fault| StoreFault::Broken(fault.to_string()))?;
    Ok(Some(UserDocument::to_json(&account)))
}
