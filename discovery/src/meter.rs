//! A budget of bytes for all that one connection brings, whatever the bytes pretend to be.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that fails once more has been read from it than its budget.
pub(crate) struct Metered<S> {
    stream: S,
    left: usize,
    exceeded: Exceeded,
}

/// Whether a budget was exceeded; clones tell the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exceeded(Arc<AtomicBool>);

impl Exceeded {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<S> Metered<S> {
    /// A stream with a budget, and where it tells that the budget was exceeded.
    pub(crate) fn new(stream: S, budget: usize) -> (Self, Exceeded) {
        let exceeded = Exceeded::default();
        let metered = Self {
            stream,
            left: budget,
            exceeded: exceeded.clone(),
        };
        (metered, exceeded)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = buffer.filled().len() - before;
        if read > self.left {
            buffer.set_filled(before);
            self.exceeded.0.store(true, Ordering::Relaxed);
            return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
        }
        self.left -= read;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn b3_exactly_the_budget_is_read() {
        for (length, budget, enough) in [(0, 0, true), (100, 100, true), (101, 100, false)] {
            let bytes = vec![b'x'; length];
            let (mut stream, exceeded) = Metered::new(bytes.as_slice(), budget);
            let mut read = Vec::new();
            assert_eq!(stream.read_to_end(&mut read).await.is_ok(), enough);
            assert_eq!(exceeded.is_set(), !enough);
        }
    }
}
