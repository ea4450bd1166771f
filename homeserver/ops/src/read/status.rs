//! How the server's peers are, as far as the rows say.

use entente_homeserver_core::rows::PeerRow;
use entente_identity::AccountDid;

use crate::store::{Read, StoreFault};

/// What the rows say about waiting messages and peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// How many messages of the asker wait for their hubs.
    pub messages: u32,
    /// The peers.
    pub peers: Vec<PeerRow>,
}

/// Reads what waits.
///
/// # Errors
/// The store does not answer.
pub async fn waiting(read: &mut dyn Read, account: &AccountDid) -> Result<Waiting, StoreFault> {
    Ok(Waiting {
        messages: read.pending_count(account).await?,
        peers: read.peers().await?,
    })
}
