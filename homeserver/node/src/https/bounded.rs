//! A bound on the number and the life of connections, in all and of one origin, before anything is read
//! from them.

use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::accept::Accept;
use entente_transport::AddressBlock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until};

/// Accepts while there is room; closes at once what comes beyond.
#[derive(Clone)]
pub(super) struct BoundedAcceptor {
    room: Arc<Semaphore>,
    blocks: Blocks,
    life: Duration,
}

/// How many connections each address block has.
#[derive(Clone)]
struct Blocks {
    open: Arc<Mutex<BTreeMap<AddressBlock, usize>>>,
    most: usize,
}

/// A connection that holds its place, and ends when its time is over.
pub(super) struct BoundedStream {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _place: (OwnedSemaphorePermit, BlockPlace),
}

/// One place of an address block.
struct BlockPlace {
    blocks: Blocks,
    block: AddressBlock,
}

impl BoundedAcceptor {
    /// At most `connections` at once, of them `per_block` of one address block, each for at most `life`.
    pub(super) fn new(connections: usize, per_block: usize, life: Duration) -> Self {
        let blocks = Blocks {
            open: Arc::default(),
            most: per_block,
        };
        Self {
            room: Arc::new(Semaphore::new(connections)),
            blocks,
            life,
        }
    }

    fn bound(&self, stream: TcpStream) -> io::Result<BoundedStream> {
        let full = || io::Error::other("too many connections");
        let block = AddressBlock::of(stream.peer_addr()?.ip());
        let of_block = self.blocks.take(block).ok_or_else(full)?;
        let place = Arc::clone(&self.room)
            .try_acquire_owned()
            .map_err(|_| full())?;
        stream.set_nodelay(true)?;
        Ok(BoundedStream {
            stream,
            end: Box::pin(sleep_until(Instant::now() + self.life)),
            _place: (place, of_block),
        })
    }
}

impl<S> Accept<TcpStream, S> for BoundedAcceptor {
    type Stream = BoundedStream;
    type Service = S;
    type Future = Ready<io::Result<(BoundedStream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(self.bound(stream).map(|stream| (stream, service)))
    }
}

impl Blocks {
    fn take(&self, block: AddressBlock) -> Option<BlockPlace> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(block).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(open);
        Some(BlockPlace {
            blocks: self.clone(),
            block,
        })
    }
}

impl Drop for BlockPlace {
    fn drop(&mut self) {
        let blocks = &self.blocks.open;
        let mut open = blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let left = open.get_mut(&self.block).map(|count| {
            *count -= 1;
            *count
        });
        if left == Some(0) {
            open.remove(&self.block);
        }
    }
}

impl BoundedStream {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.end.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_end(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_end(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_end(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_end(cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
