//! Asks a server's admin listener whether it is alive and ready.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A listener that takes longer than this over one answer is not ready.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// More than any answer of the admin listener.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// What a server says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Takes and delivers messages.
    Ready,
    /// Answers, but not with yes.
    NotReady,
    /// Does not answer.
    Silent,
}

/// Asks once.
pub async fn readiness(admin: SocketAddr) -> Readiness {
    match timeout(ANSWER_LIMIT, status_of(admin, "/readyz")).await {
        Ok(Ok(200)) => Readiness::Ready,
        Ok(Ok(_)) => Readiness::NotReady,
        Ok(Err(_)) | Err(_) => Readiness::Silent,
    }
}

/// The HTTP status (RFC 9112 §4) that `GET path` brings.
async fn status_of(admin: SocketAddr, path: &str) -> Result<u16> {
    let mut stream = TcpStream::connect(admin).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream
        .take(MAX_ANSWER_BYTES)
        .read_to_end(&mut answer)
        .await?;
    let text = String::from_utf8_lossy(&answer);
    let mut words = text.split_whitespace();
    let version = words.next().unwrap_or_default();
    ensure!(version.starts_with("HTTP/1."), "{admin} speaks no HTTP");
    let status = words.next().context("the answer has no status")?;
    Ok(status.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn check(answer: &'static str, expect: Readiness) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /readyz HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        assert_eq!(readiness(address).await, expect);
        server.await.unwrap();
    }

    #[tokio::test]
    async fn only_200_is_ready() {
        check(
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            Readiness::Ready,
        )
        .await;
        check("HTTP/1.1 503 Busy\r\n\r\n", Readiness::NotReady).await;
        check("SSH-2.0\r\n", Readiness::Silent).await;
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = closed.local_addr().unwrap();
        drop(closed);
        assert_eq!(readiness(address).await, Readiness::Silent);
    }
}
