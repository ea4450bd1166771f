//! A peer greets: who it is, which key it has, where its stream stands.

use std::sync::OnceLock;

use entente_federation::greeting::{FEATURES, check_features, choose_version};
use entente_federation::inbox::InStream;
use entente_homeserver_ops::{Answer, Command};
use entente_identity::{PublicKey, ServerDid, Signed};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::hello::{
    CALLS_ONLY, HELLO_EXPORTER_LABEL, Hello, HelloReply, check_proof, prove,
};
use entente_transport::Connection;

use crate::clock::now;
use crate::hub::wrong_answer;
use crate::server::{Server, explain};

/// Who greeted on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Greeter {
    pub(super) server: ServerDid,
    pub(super) key: PublicKey,
    pub(super) purpose: Purpose,
}

/// What a connection is for, as its greeting says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The stream of items, and calls.
    Stream,
    /// Calls only: another node of that server drives the stream.
    Calls,
}

/// A greeting that holds.
pub(super) struct Greeted {
    pub(super) reply: Signed<HelloReply>,
    /// Whether the connection's stream is the one that goes on: its epoch is the highest so far.
    pub(super) goes_on: bool,
}

/// Judges a greeting, takes note of the stream's epoch, and answers.
///
/// # Errors
/// It does not hold, or this server does not deal with that one.
pub(super) async fn greet(
    server: &Server,
    connection: &Connection,
    peer: &OnceLock<Greeter>,
    hello: &Signed<Hello>,
) -> Result<Greeted, Fault> {
    let outward = server.peers.outward();
    let failed = |reason: String| Fault::new(FaultCode::AuthenticationFailed, reason);
    let key = connection
        .peer_key()
        .ok_or_else(|| failed("the connection shows no key".to_owned()))?;
    // What is cheap comes first: nothing is fetched for a greeting that proves nothing.
    let exporter = connection.channel_binding(HELLO_EXPORTER_LABEL, &[]);
    let proved = check_proof(hello, &key, server.me(), &exporter, now())
        .map_err(|fault| failed(fault.to_string()))?;
    let origin = proved.context().origin.clone();
    let hello = proved.into_body();
    if origin != hello.server.to_string() {
        return Err(failed(format!(
            "it greets as {}, signed by {origin}",
            hello.server
        )));
    }
    outward.admit(&hello.server)?;
    outward.directory.check_key(&hello.server, &key).await?;
    let named = hello.key_document;
    outward.directory.check_named(&hello.server, named).await?;
    let unsupported = |reason: String| Fault::new(FaultCode::Unsupported, reason);
    let version = choose_version(hello.min_version, hello.max_version)
        .map_err(|fault| unsupported(fault.to_string()))?;
    check_features(&hello.features).map_err(|fault| unsupported(fault.to_string()))?;
    let greeter = Greeter {
        server: hello.server.clone(),
        key,
        purpose: match hello.stream_epoch {
            CALLS_ONLY => Purpose::Calls,
            _ => Purpose::Stream,
        },
    };
    if *peer.get_or_init(|| greeter.clone()) != greeter {
        return Err(failed(
            "another server has greeted on this connection, or this one for something else"
                .to_owned(),
        ));
    }
    let incoming = match greeter.purpose {
        Purpose::Stream => note_stream(server, &hello).await?,
        Purpose::Calls => known_stream(server, &hello.server).await?,
    };
    connection.trust();
    server.peers.seen(&hello.server);
    tracing::debug!(peer = %hello.server, "a peer greeted");
    let reply = HelloReply {
        server: server.me().clone(),
        version,
        features: FEATURES.to_vec(),
        stream_epoch: incoming.epoch,
        last_in: incoming.last,
        key_document: outward.key_document,
        exporter,
    };
    let (me, key) = (server.me().to_string(), &server.here.key);
    Ok(Greeted {
        reply: prove(&reply, me, &hello.server, key, now()),
        goes_on: hello.stream_epoch == incoming.epoch,
    })
}

/// Where a peer's stream stands.
async fn known_stream(server: &Server, peer: &ServerDid) -> Result<InStream, Fault> {
    let mut read = server.read().await?;
    let row = read.peer(peer).await.map_err(|fault| explain(&fault))?;
    Ok(row.map(|row| row.incoming).unwrap_or_default())
}

/// Makes the stream that a greeting speaks of durable, and says how far it is known here.
async fn note_stream(server: &Server, hello: &Hello) -> Result<InStream, Fault> {
    let greeted = Command::Greeted {
        peer: hello.server.clone(),
        stream_epoch: hello.stream_epoch,
        begins_after: hello.begins_after,
    };
    match server.writer.execute(greeted).await? {
        Answer::Peer(row) => Ok(row.incoming),
        other => Err(wrong_answer(&other)),
    }
}
