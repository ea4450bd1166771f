//! The way from one server to another on this machine, which can be cut.
//!
//! A process that is halted is not a network that is cut: its sockets go on taking packets. So servers in
//! scenes reach each other through a forwarder each way, which drops everything while it is cut: packets of
//! QUIC, and connections for documents. People reach their servers directly.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::network::plan::ADDRESS;

/// More than any packet has, in bytes.
const MAX_PACKET_BYTES: usize = 64 * 1024;

/// A way from one server to another; it ends when this is dropped.
#[derive(Debug)]
pub struct Crossing {
    /// The UDP port that leads to the other's.
    pub quic_port: u16,
    /// The TCP port that leads to the other's documents.
    pub https_port: u16,
    passable: watch::Sender<bool>,
    _work: JoinSet<()>,
}

impl Crossing {
    /// Opens a way to a server's ports.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn open(quic: u16, https: u16) -> Result<Self> {
        let nobody_has = "no port is free for a forwarder";
        let packets = UdpSocket::bind((ADDRESS, 0)).await.context(nobody_has)?;
        let documents = TcpListener::bind((ADDRESS, 0)).await.context(nobody_has)?;
        let (passable, passes) = watch::channel(true);
        let (quic_port, https_port) =
            (packets.local_addr()?.port(), documents.local_addr()?.port());
        let mut work = JoinSet::new();
        let to = SocketAddr::from((ADDRESS, quic));
        work.spawn(forward_packets(packets, to, passes.clone()));
        let to = SocketAddr::from((ADDRESS, https));
        work.spawn(forward_connections(documents, to, passes));
        Ok(Self {
            quic_port,
            https_port,
            passable,
            _work: work,
        })
    }

    /// Drops everything from now on, and what is connected.
    pub fn cut(&self) {
        self.passable.send_replace(false);
    }

    /// Lets everything through again.
    pub fn heal(&self) {
        self.passable.send_replace(true);
    }
}

/// Packets of each sender go on from a socket of its own, so that the answers find back.
async fn forward_packets(front: UdpSocket, to: SocketAddr, passes: watch::Receiver<bool>) {
    let front = Arc::new(front);
    let backs: Mutex<HashMap<SocketAddr, Arc<UdpSocket>>> = Mutex::default();
    let mut answers = JoinSet::new();
    let mut packet = vec![0; MAX_PACKET_BYTES];
    loop {
        // Errors of single packets are the network's: the protocol above repeats them.
        let Ok((length, from)) = front.recv_from(&mut packet).await else {
            continue;
        };
        if !*passes.borrow() {
            continue;
        }
        let known = backs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&from)
            .cloned();
        let back = match known {
            Some(back) => back,
            None => {
                let Ok(back) = connected(to).await else {
                    continue;
                };
                let back = Arc::new(back);
                let answering = (Arc::clone(&front), Arc::clone(&back));
                answers.spawn(forward_answers(answering, from, passes.clone()));
                let mut backs = backs.lock().unwrap_or_else(PoisonError::into_inner);
                backs.insert(from, Arc::clone(&back));
                back
            }
        };
        let _lost: io::Result<usize> = back.send(&packet[..length]).await;
    }
}

async fn connected(to: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((ADDRESS, 0)).await?;
    socket.connect(to).await?;
    Ok(socket)
}

async fn forward_answers(
    (front, back): (Arc<UdpSocket>, Arc<UdpSocket>),
    to: SocketAddr,
    passes: watch::Receiver<bool>,
) {
    let mut packet = vec![0; MAX_PACKET_BYTES];
    loop {
        // A server that is down refuses packets; it may come back.
        let Ok(length) = back.recv(&mut packet).await else {
            tokio::task::yield_now().await;
            continue;
        };
        if *passes.borrow() {
            let _lost: io::Result<usize> = front.send_to(&packet[..length], to).await;
        }
    }
}

async fn forward_connections(front: TcpListener, to: SocketAddr, passes: watch::Receiver<bool>) {
    let mut open = JoinSet::new();
    loop {
        let Ok((mut one, _)) = front.accept().await else {
            continue;
        };
        while open.try_join_next().is_some() {}
        let mut passes = passes.clone();
        open.spawn(async move {
            if !*passes.borrow() {
                return;
            }
            let Ok(mut other) = TcpStream::connect(to).await else {
                return;
            };
            tokio::select! {
                _ = copy_bidirectional(&mut one, &mut other) => {}
                _ = passes.wait_for(|passes| !passes) => {}
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);
    const BRIEFLY: Duration = Duration::from_millis(100);

    /// Whether a packet comes back from an echo behind the crossing.
    async fn echoes(socket: &UdpSocket, text: &[u8], limit: Duration) -> bool {
        socket.send(text).await.unwrap();
        let mut back = [0; 64];
        match timeout(limit, socket.recv(&mut back)).await {
            Ok(length) => &back[..length.unwrap()] == text,
            Err(_) => false,
        }
    }

    #[tokio::test]
    async fn packets_and_connections_pass_until_it_is_cut() {
        let packets = UdpSocket::bind((ADDRESS, 0)).await.unwrap();
        let documents = TcpListener::bind((ADDRESS, 0)).await.unwrap();
        let quic = packets.local_addr().unwrap().port();
        let https = documents.local_addr().unwrap().port();
        let crossing = Crossing::open(quic, https).await.unwrap();
        let echo = tokio::spawn(async move {
            let mut packet = [0; 64];
            loop {
                let (length, from) = packets.recv_from(&mut packet).await.unwrap();
                packets.send_to(&packet[..length], from).await.unwrap();
            }
        });
        let here = UdpSocket::bind((ADDRESS, 0)).await.unwrap();
        here.connect((ADDRESS, crossing.quic_port)).await.unwrap();
        assert!(echoes(&here, b"one", LIMIT).await);
        let mut caller = TcpStream::connect((ADDRESS, crossing.https_port))
            .await
            .unwrap();
        caller.write_all(b"GET").await.unwrap();
        let (mut called, _) = documents.accept().await.unwrap();
        let mut request = [0; 3];
        called.read_exact(&mut request).await.unwrap();
        assert_eq!(&request, b"GET");
        crossing.cut();
        assert!(!echoes(&here, b"two", BRIEFLY).await);
        let ended = timeout(LIMIT, caller.read_u8()).await.unwrap();
        assert!(ended.is_err(), "a cut ends what is connected");
        crossing.heal();
        assert!(echoes(&here, b"three", LIMIT).await);
        echo.abort();
    }
}
