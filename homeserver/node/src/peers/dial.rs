//! Dialling a peer and greeting it.

use std::net::SocketAddr;
use std::time::Duration;

use entente_federation::greeting::{FEATURES, check_features};
use entente_identity::{PublicKey, ServerDid, Signed};
use entente_protocol::call::{PeerRequest, PeerResponse};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::hello::{
    CALLS_ONLY, HELLO_EXPORTER_LABEL, Hello, HelloReply, PROTOCOL_VERSION, check_proof, prove,
};
use entente_transport::{Addresses, CloseCode, Connection};
use tokio::time::timeout;

use super::Outward;
use super::directory::Known;
use crate::clock::now;

/// Longest time for a connection, and for the greeting on it.
const DIAL_TIMEOUT: Duration = Duration::from_secs(4);

/// What a greeting says that the connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The stream of items, and calls.
    Stream {
        /// The stream's epoch.
        stream_epoch: u64,
        /// The number after which that epoch's items begin.
        begins_after: u64,
    },
    /// Calls only: another node drives the stream.
    Calls,
}

/// A greeted connection.
pub(super) struct Greeted {
    pub(super) connection: Connection,
    /// The epoch of our stream as the peer knows it.
    pub(super) stream_epoch: u64,
    /// The last number of it that the peer owns.
    pub(super) last_in: u64,
}

/// Dials a peer at its addresses in turn and greets it.
///
/// # Errors
/// Why none of it led to a greeted connection.
pub(super) async fn dial(
    outward: &Outward,
    peer: &ServerDid,
    purpose: Purpose,
) -> Result<Greeted, Fault> {
    outward.admit(peer)?;
    let _place = outward.dials.acquire().await;
    let known = outward.directory.known(peer).await?;
    let addresses = outward.directory.addresses(&known.document).await?;
    let mut last = unreachable(peer, "it has no address");
    for to in Addresses::in_turn(addresses) {
        let address = to.0;
        let attempt = async {
            let connection = connect(outward, &known, to).await?;
            let greeting = greet(outward, peer, &connection, purpose);
            let greeted = timeout(DIAL_TIMEOUT, greeting).await;
            greeted.unwrap_or_else(|_| Err(unreachable(peer, "it does not greet")))
        };
        match attempt.await {
            Ok(greeted) => {
                outward.directory.answered(peer, address);
                return Ok(greeted);
            }
            // Another of its nodes may fare better.
            Err(fault) if fault.code.is_of_one_node() => {
                outward.directory.fell_silent(peer, address);
                last = fault;
            }
            Err(fault) => return Err(fault),
        }
    }
    outward.directory.doubt(peer);
    Err(last)
}

async fn connect(
    outward: &Outward,
    known: &Known,
    place: (SocketAddr, Addresses),
) -> Result<Connection, Fault> {
    let peer = &known.document.did;
    let host = known.document.federation.host.as_str();
    let keys = known.live_keys(now());
    let endpoint = &outward.endpoint;
    let connecting = endpoint.connect_federation_to_one_of(place, host, &keys);
    match timeout(DIAL_TIMEOUT, connecting).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(unreachable(peer, &error.to_string())),
        Err(_) => Err(unreachable(peer, "it does not answer")),
    }
}

async fn greet(
    outward: &Outward,
    peer: &ServerDid,
    connection: &Connection,
    purpose: Purpose,
) -> Result<Greeted, Fault> {
    let (stream_epoch, begins_after) = match purpose {
        Purpose::Stream {
            stream_epoch,
            begins_after,
        } => (stream_epoch, begins_after),
        Purpose::Calls => (CALLS_ONLY, 0),
    };
    let here = &outward.here;
    let exporter = connection.channel_binding(HELLO_EXPORTER_LABEL, &[]);
    let hello = Hello {
        server: here.me.clone(),
        min_version: PROTOCOL_VERSION,
        max_version: PROTOCOL_VERSION,
        features: FEATURES.to_vec(),
        stream_epoch,
        begins_after,
        key_document: outward.key_document,
        exporter,
    };
    let hello = prove(&hello, here.me.to_string(), peer, &here.key, now());
    let answered = connection.call(&PeerRequest::Hello(hello)).await;
    let reply = match answered.map_err(Fault::from)? {
        PeerResponse::Hello(reply) => reply,
        _ => {
            return Err(misbehaved(
                peer,
                connection,
                "it did not answer the greeting",
            ));
        }
    };
    let key = connection
        .peer_key()
        .ok_or_else(|| misbehaved(peer, connection, "it shows no key"))?;
    let reply = check_reply(outward, peer, &key, &reply, &exporter)
        .map_err(|reason| misbehaved(peer, connection, &reason))?;
    let named = reply.key_document;
    outward.directory.check_named(peer, named).await?;
    Ok(Greeted {
        connection: connection.clone(),
        stream_epoch: reply.stream_epoch,
        last_in: reply.last_in,
    })
}

fn check_reply(
    outward: &Outward,
    peer: &ServerDid,
    key: &PublicKey,
    reply: &Signed<HelloReply>,
    exporter: &[u8; 32],
) -> Result<HelloReply, String> {
    let me = &outward.here.me;
    let reply = check_proof(reply, key, me, exporter, now()).map_err(|fault| fault.to_string())?;
    let origin = reply.context().origin.clone();
    let reply = reply.into_body();
    if reply.server != *peer || origin != peer.to_string() {
        return Err(format!("it greets as {}, signed by {origin}", reply.server));
    }
    if reply.version != PROTOCOL_VERSION {
        return Err(format!("it chose protocol version {}", reply.version));
    }
    check_features(&reply.features).map_err(|fault| fault.to_string())?;
    Ok(reply)
}

fn unreachable(peer: &ServerDid, reason: &str) -> Fault {
    let detail = format!("{peer} cannot be reached: {reason}");
    Fault::new(FaultCode::PeerUnreachable, detail)
}

fn misbehaved(peer: &ServerDid, connection: &Connection, reason: &str) -> Fault {
    connection.close(CloseCode::PROTOCOL, "the greeting does not hold");
    Fault::new(FaultCode::PeerMisbehaved, format!("{peer}: {reason}"))
}
