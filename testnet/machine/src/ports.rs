//! Claims on ports that hold across restarts of the servers and between networks on one machine.
//!
//! A server that was killed has to find its ports free when it comes back, so they lie below the range
//! from which systems take ports for outgoing connections (32768 and up on Linux). Ports come in blocks;
//! whoever holds the block's first port as a listening socket owns the block, and the system takes the
//! claim back when that process ends, however it ends.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use anyhow::{Context, Result, bail};
use rand::Rng;
use rand::rngs::OsRng;

/// Where all of them listen.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Where blocks begin.
const RANGE_START: u16 = 20_000;
/// How many blocks there are.
const BLOCKS: u16 = 190;
/// Ports of one block.
const BLOCK_PORTS: u16 = 64;
/// Ports of one server: QUIC, HTTPS, admin.
const SERVER_PORTS: usize = 3;
/// Most servers of one network.
pub const MAX_SERVERS: usize = (BLOCK_PORTS as usize - 1) / SERVER_PORTS;

/// A block of ports that belongs to this process while the claim lives.
#[derive(Debug)]
pub struct PortClaim {
    first: u16,
    _held: TcpListener,
}

impl PortClaim {
    /// Claims a block that nobody uses.
    ///
    /// # Errors
    /// When every block has a port in use.
    pub fn any() -> Result<Self> {
        let start = OsRng.gen_range(0..BLOCKS);
        for step in 0..BLOCKS {
            let first = RANGE_START + ((start + step) % BLOCKS) * BLOCK_PORTS;
            if let Ok(claim) = Self::again(first)
                && (first + 1..first + BLOCK_PORTS).all(is_free)
            {
                return Ok(claim);
            }
        }
        bail!("no block of {BLOCK_PORTS} free ports between {RANGE_START} and 32160 on {ADDRESS}")
    }

    /// Claims the block that a network had before.
    ///
    /// # Errors
    /// When somebody holds it: usually the same network, running already.
    pub fn again(first: u16) -> Result<Self> {
        let held = TcpListener::bind((ADDRESS, first))
            .with_context(|| format!("port {first} on {ADDRESS} is in use"))?;
        Ok(Self { first, _held: held })
    }

    /// The block's first port.
    #[must_use]
    pub fn first(&self) -> u16 {
        self.first
    }

    /// The ports of one server: QUIC, HTTPS, admin.
    ///
    /// # Panics
    /// When `index` is not below [`MAX_SERVERS`].
    #[must_use]
    pub fn of_server(&self, index: usize) -> [u16; SERVER_PORTS] {
        assert!(index < MAX_SERVERS, "a block holds {MAX_SERVERS} servers");
        std::array::from_fn(|port| {
            let offset = 1 + index * SERVER_PORTS + port;
            self.first + u16::try_from(offset).expect("a block has 64 ports")
        })
    }
}

/// Whether nobody listens on a port, over TCP or UDP.
fn is_free(port: u16) -> bool {
    let address = SocketAddr::from((ADDRESS, port));
    TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_claims_share_nothing() {
        let one = PortClaim::any().unwrap();
        let other = PortClaim::any().unwrap();
        assert_ne!(one.first(), other.first());
        assert!(PortClaim::again(one.first()).is_err());
        let last = one.of_server(MAX_SERVERS - 1);
        assert!(last.iter().all(|port| *port < one.first() + BLOCK_PORTS));
    }
}
