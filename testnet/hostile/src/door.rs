//! Where a real server is to be found, and connections to it by the real transport.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;

use anyhow::{Context, Result};
use entente_identity::{PublicKey, ServerDid, ServerDocument};
use entente_transport::{Connection, Endpoint};

use crate::web::Web;

/// A real server as its document describes it.
#[derive(Clone, Debug)]
pub struct Door {
    /// The server.
    pub did: ServerDid,
    /// Its key.
    pub key: PublicKey,
    /// Where it takes clients and peers.
    pub quic: SocketAddr,
    /// Where it serves documents.
    pub https: SocketAddr,
}

/// A client's connection; the socket lives as long as it does.
#[derive(Clone, Debug)]
pub struct Link {
    connection: Connection,
    _socket: Endpoint,
}

impl Deref for Link {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Door {
    /// Asks a server for its document.
    ///
    /// # Errors
    /// It does not answer with one.
    pub async fn find(
        did: ServerDid,
        quic: SocketAddr,
        https: SocketAddr,
        web: &Web,
    ) -> Result<Self> {
        let domain = did.domain().as_str();
        let answer = web.fetch(https, domain, "/.well-known/did.json").await?;
        let document = ServerDocument::parse(&did, &answer.body)?;
        let key = *document.keys.first().context("a server without a key")?;
        Ok(Self {
            did,
            key,
            quic,
            https,
        })
    }

    /// Connects as a device does, without a login.
    ///
    /// # Errors
    /// The server does not take it.
    pub async fn connect(&self) -> Result<Link> {
        let socket = Endpoint::dial_only(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let name = self.did.domain().as_str();
        let connection = socket.connect_client(self.quic, name, &[self.key]).await;
        Ok(Link {
            connection: connection.with_context(|| format!("no way to {}", self.did))?,
            _socket: socket,
        })
    }
}
