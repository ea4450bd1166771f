//! What goes into the next batch for a peer.

use entente_identity::ServerDid;
use entente_protocol::limits::MAX_BATCH_BYTES;

use crate::store::{Page, Read, StoreFault};

/// A run of owed items, numbered without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The number of the first item.
    pub first: u64,
    /// The items' bytes.
    pub items: Vec<Vec<u8>>,
}

/// The next items owed to a peer after a number: at most `limit`, at most a batch's bytes.
///
/// # Errors
/// The store does not answer, or the numbers have a gap.
pub async fn next_run(
    read: &mut dyn Read,
    peer: &ServerDid,
    after: u64,
    limit: usize,
) -> Result<Option<Run>, StoreFault> {
    let page = Page {
        items: limit,
        bytes: MAX_BATCH_BYTES,
    };
    let rows = read.owed(peer, after, page).await?;
    let Some((first, _)) = rows.first() else {
        return Ok(None);
    };
    let first = *first;
    let unbroken = (first..).zip(&rows).all(|(want, (got, _))| want == *got);
    if first != after + 1 || !unbroken {
        return Err(StoreFault::Broken(format!(
            "what is owed to {peer} has a gap after {after}"
        )));
    }
    let items = rows.into_iter().map(|(_, bytes)| bytes).collect();
    Ok(Some(Run { first, items }))
}
