//! What the streams of all peers may make this side hold and wait for, together.
//!
//! A frame that has come in part has to be kept. Each connection's share is bounded by its streams; this
//! bounds the sum over all connections, once for clients and once for servers, so that neither can
//! starve the other. Whoever would go beyond it is refused at once: waiting would keep what it holds.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connection::Link;
use crate::limits::{HALF_RECEIVED_FREE_BYTES, StreamLimits};

/// Bytes for which one permit stands.
const UNIT_BYTES: usize = 1 << 10;

/// The limits of one endpoint's streams, and the memory that is left for their frames.
#[derive(Debug)]
pub(crate) struct Memory {
    limits: StreamLimits,
    clients: Arc<Semaphore>,
    peers: Arc<Semaphore>,
}

/// What one stream holds of the memory.
#[derive(Debug)]
pub(crate) struct Share {
    pool: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

/// The memory for half received frames is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UsedUp;

impl Memory {
    pub(crate) fn new(limits: StreamLimits) -> Self {
        let pool = || Arc::new(Semaphore::new(limits.half_received_bytes / UNIT_BYTES));
        Self {
            limits,
            clients: pool(),
            peers: pool(),
        }
    }

    pub(crate) fn limits(&self) -> &StreamLimits {
        &self.limits
    }

    /// A stream's share, empty at first.
    pub(crate) fn share(&self, link: Link) -> Share {
        let pool = match link {
            Link::Client => &self.clients,
            Link::Federation => &self.peers,
        };
        Share {
            pool: Arc::clone(pool),
            held: None,
        }
    }
}

impl Share {
    /// Makes the share as large as a buffer has become.
    pub(crate) fn grow(&mut self, buffered: usize) -> Result<(), UsedUp> {
        let counted = buffered.saturating_sub(HALF_RECEIVED_FREE_BYTES);
        let have = self
            .held
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = counted.div_ceil(UNIT_BYTES).saturating_sub(have);
        if missing == 0 {
            return Ok(());
        }
        let missing = u32::try_from(missing).map_err(|_| UsedUp)?;
        let more = Arc::clone(&self.pool).try_acquire_many_owned(missing);
        let more = more.map_err(|_| UsedUp)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }

    /// Gives all of it back once the buffer is small again.
    pub(crate) fn shrink(&mut self, buffered: usize) {
        if buffered <= HALF_RECEIVED_FREE_BYTES {
            self.held = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_there_for_others() {
        let memory = Memory::new(StreamLimits {
            half_received_bytes: 64 << 10,
            ..StreamLimits::default()
        });
        let (mut first, mut second) = (memory.share(Link::Client), memory.share(Link::Client));
        for size in [0, HALF_RECEIVED_FREE_BYTES, 30_000, 60_000] {
            assert_eq!(first.grow(size), Ok(()), "{size}");
        }
        assert_eq!(second.grow(30_000), Err(UsedUp));
        assert_eq!(memory.share(Link::Federation).grow(60_000), Ok(()));
        first.shrink(30_000);
        assert_eq!(second.grow(30_000), Err(UsedUp), "still held");
        first.shrink(100);
        assert_eq!(second.grow(30_000), Ok(()));
        drop(second);
        assert_eq!(first.grow(60_000), Ok(()));
    }
}
