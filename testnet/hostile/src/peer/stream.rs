//! What a hostile organization relays: batches under any numbers, signed by any key.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use entente_identity::ServerDid;
use entente_protocol::limits::{MAX_BATCH_BYTES, MAX_BATCH_ITEMS};
use entente_protocol::relay::{Batch, Item, RelayReply};
use entente_transport::{FlowReceiver, FlowSender};
use tokio::time::sleep;

use super::PeerLink;
use crate::clock::now;
use crate::patience::soon;

/// How often a batch is sent again when the server is busy.
const TRIES: usize = 40;

/// A relay flow.
pub struct Stream {
    /// The link that it is on.
    pub link: PeerLink,
    /// The number that the next item in order has.
    pub next: u64,
    batches: FlowSender<Batch>,
    replies: FlowReceiver<RelayReply>,
}

impl Stream {
    pub(super) async fn open(link: PeerLink) -> Result<Self> {
        let (batches, replies) = link.open_relay().await?;
        let next = link.reply.last_in + 1;
        Ok(Self {
            link,
            next,
            batches,
            replies,
        })
    }

    /// Signs items under numbers of the caller's choice, for a server of the caller's choice.
    #[must_use]
    pub fn sign_for(
        &self,
        to: &ServerDid,
        (stream_epoch, first): (u64, u64),
        items: Vec<Vec<u8>>,
    ) -> Batch {
        let voice = &self.link.voice;
        let signer = (voice.key_id.as_str(), &voice.key, now());
        Batch::sign(&voice.did, to, (stream_epoch, first), items, signer)
    }

    /// Signs items for the server of this link under its epoch.
    #[must_use]
    pub fn sign(&self, first: u64, items: Vec<Vec<u8>>) -> Batch {
        self.sign_for(&self.link.to, (self.link.stream_epoch, first), items)
    }

    /// Sends a batch as it is.
    ///
    /// # Errors
    /// The flow is broken.
    pub async fn send(&mut self, batch: &Batch) -> Result<()> {
        Ok(self.batches.send(batch).await?)
    }

    /// The next reply; `None` if the server has given the flow up.
    ///
    /// # Errors
    /// Nothing comes in time.
    pub async fn reply(&mut self) -> Result<Option<RelayReply>> {
        let reply = soon("a reply to a batch", self.replies.next()).await?;
        // A broken flow and an ended one are the same to whoever attacks.
        Ok(reply.unwrap_or(None))
    }

    /// Sends a batch and waits for what the server says.
    ///
    /// # Errors
    /// Nothing comes in time.
    pub async fn exchange(&mut self, batch: &Batch) -> Result<Option<RelayReply>> {
        // A flow that the server has given up breaks here already.
        let _ = self.batches.send(batch).await;
        self.reply().await
    }

    /// Hands items over in order until the server owns all of them, as an honest server would.
    ///
    /// # Errors
    /// The server gives the flow up, or stays busy.
    pub async fn deliver(&mut self, items: &[Item]) -> Result<()> {
        let bytes = items.iter().map(Item::to_bytes).collect();
        self.deliver_bytes(bytes).await
    }

    /// The same with items in any encoding.
    ///
    /// # Errors
    /// As of [`Self::deliver`].
    pub async fn deliver_bytes(&mut self, items: Vec<Vec<u8>>) -> Result<()> {
        let mut rest = items.as_slice();
        let mut tries = 0;
        while !rest.is_empty() {
            let run = &rest[..run_length(rest)];
            let batch = self.sign(self.next, run.to_vec());
            match self.exchange(&batch).await?.context("the flow ended")? {
                RelayReply::Ack { up_to, .. } => {
                    let owned = usize::try_from(up_to + 1 - self.next)?;
                    rest = &rest[owned..];
                    self.next = up_to + 1;
                }
                RelayReply::Busy { retry_after_ms } if tries < TRIES => {
                    tries += 1;
                    sleep(Duration::from_millis(retry_after_ms.into())).await;
                }
                other => bail!("not owned: {other:?}"),
            }
        }
        Ok(())
    }
}

/// How many items fit into one batch.
fn run_length(items: &[Vec<u8>]) -> usize {
    let mut bytes = 0;
    let fitting = items.iter().take(MAX_BATCH_ITEMS).take_while(|item| {
        bytes += item.len();
        bytes <= MAX_BATCH_BYTES
    });
    fitting.count().max(1)
}
