//! Connections that are for calls only, beside the one that carries the stream.

use entente_homeserver_ops::Store;
use entente_identity::Signed;
use entente_protocol::call::{PeerRequest, PeerResponse};
use entente_protocol::fault::FaultCode;
use entente_protocol::hello::{CALLS_ONLY, Hello};
use entente_transport::{CloseCode, CloseReason, Connection};

use super::greeting::pull;
use super::peer::{EPOCH, Peer, network};
use crate::client_edge::tests::world::{World, refusal};
use crate::config::Limits;
use crate::peer_edge::connection::MAX_CALLERS;

/// Greets with this stream epoch, and gives the epoch that the other side answers.
async fn greet(peer: &Peer, world: &World, connection: &Connection, stream_epoch: u64) -> u64 {
    let hello = Hello {
        stream_epoch,
        ..peer.hello(connection)
    };
    let signed = Signed::sign(&hello, &peer.context(&world.me), &peer.key);
    match connection.call(&PeerRequest::Hello(signed)).await {
        Ok(PeerResponse::Hello(reply)) => reply.claimed_body().expect("a reply").stream_epoch,
        other => panic!("{other:?}"),
    }
}

async fn is_served(connection: &Connection) -> bool {
    connection.close_reason().is_none()
        && refusal(connection.call(&pull()).await).code == FaultCode::NoSuchRoom
}

#[tokio::test]
async fn a_connection_for_calls_neither_ends_the_stream_nor_moves_it() {
    let (world, [b]) = network(Limits::default(), ["org-b.test"]).await;
    let stream = b.link(&world).await;
    let caller = b.dial(&world).await;
    assert_eq!(greet(&b, &world, &caller, CALLS_ONLY).await, EPOCH);
    assert!(is_served(&caller).await && is_served(&stream).await);
    let mut read = world.store.read().await.expect("a view");
    let row = read.peer(&b.did).await.expect("an answer").expect("a row");
    assert_eq!(row.incoming.epoch, EPOCH);
    // A newer stream takes the place of the older one, and leaves the caller alone.
    let newer = b.link(&world).await;
    stream.closed().await;
    assert!(is_served(&caller).await && is_served(&newer).await);
}

#[tokio::test]
async fn a_connection_for_calls_carries_no_stream_and_does_not_become_another() {
    let (world, [b]) = network(Limits::default(), ["org-b.test"]).await;
    let caller = b.dial(&world).await;
    greet(&b, &world, &caller, CALLS_ONLY).await;
    let refused = match caller.open_relay().await {
        Err(_) => true,
        Ok((_batches, mut replies)) => !matches!(replies.next().await, Ok(Some(_))),
    };
    assert!(refused);
    let answer = b.greet(&caller, &world.me).await;
    assert_eq!(refusal(answer).code, FaultCode::AuthenticationFailed);
    assert!(is_served(&caller).await);
}

#[tokio::test]
async fn of_too_many_connections_for_calls_the_oldest_goes() {
    let (world, [b, c]) = network(Limits::default(), ["org-b.test", "org-c.test"]).await;
    let (stream, of_c) = (b.link(&world).await, c.dial(&world).await);
    greet(&c, &world, &of_c, CALLS_ONLY).await;
    let mut callers = Vec::new();
    for _ in 0..=MAX_CALLERS {
        let caller = b.dial(&world).await;
        greet(&b, &world, &caller, CALLS_ONLY).await;
        callers.push(caller);
    }
    let reason = callers[0].closed().await;
    let superseded = CloseReason::Peer {
        code: CloseCode::SUPERSEDED,
        reason: "a newer connection took its place".to_owned(),
    };
    assert_eq!(reason, superseded);
    for caller in &callers[1..] {
        assert!(is_served(caller).await);
    }
    assert!(is_served(&stream).await && is_served(&of_c).await);
}

#[tokio::test]
async fn a_stream_that_was_taken_over_does_not_end_the_one_that_goes_on() {
    let (world, [b]) = network(Limits::default(), ["org-b.test"]).await;
    let (goes_on, late) = (b.dial(&world).await, b.dial(&world).await);
    assert_eq!(greet(&b, &world, &goes_on, EPOCH + 1).await, EPOCH + 1);
    assert_eq!(greet(&b, &world, &late, EPOCH).await, EPOCH + 1);
    assert!(is_served(&goes_on).await);
    assert!(is_served(&late).await, "it learns so, and may call");
}

#[tokio::test]
async fn d6_connections_whose_stream_was_taken_over_are_no_more_than_those_for_calls() {
    let (world, [b]) = network(Limits::default(), ["org-b.test"]).await;
    let goes_on = b.dial(&world).await;
    assert_eq!(greet(&b, &world, &goes_on, EPOCH + 1).await, EPOCH + 1);
    let mut late = Vec::new();
    for _ in 0..=MAX_CALLERS {
        let connection = b.dial(&world).await;
        assert_eq!(greet(&b, &world, &connection, EPOCH).await, EPOCH + 1);
        late.push(connection);
    }
    late[0].closed().await;
    for connection in &late[1..] {
        assert!(is_served(connection).await);
    }
    assert!(is_served(&goes_on).await);
}
