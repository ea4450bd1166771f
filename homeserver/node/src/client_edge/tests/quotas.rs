//! Devices and strangers that ask for too much.

use std::num::NonZeroU32;
use std::sync::Arc;

use entente_groups::{Epoch, MessageId, RoomId};
use entente_protocol::call::{ClientRequest, ClientResponse, Register, SealedInvite};
use entente_protocol::fault::FaultCode;
use entente_protocol::flow::{Submission, SubmitFrame, SubmitOutcome};
use entente_transport::{CloseCode, CloseReason};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tower::ServiceExt;

use super::world::{PATIENCE, Person, World, refusal};
use crate::client_edge::calls::{Caller, ClientCall, client_pipeline};
use crate::config::{Limits, Rate};
use crate::quotas::Quotas;

fn rate(text: &str) -> Rate {
    text.parse().expect("a rate")
}

fn count(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).expect("not zero")
}

#[tokio::test]
async fn e2_an_account_has_so_many_connections_and_the_newest_stay() {
    let world = World::new(Limits {
        connections_per_account: count(3),
        ..Limits::default()
    })
    .await;
    let (alice, bob) = (world.settle("alice").await, world.settle("bob").await);
    let of_bob = world.login(&bob).await;
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(world.login(&alice).await);
    }
    for closed in &open[..2] {
        let reason = timeout(PATIENCE, closed.closed()).await.expect("in time");
        let CloseReason::Peer { code, reason } = reason else {
            panic!("{reason}");
        };
        assert_eq!(code, CloseCode::SUPERSEDED);
        assert!(reason.contains("more connections"), "{reason}");
    }
    for stays in open[2..].iter().chain([&of_bob]) {
        assert!(stays.call(&ClientRequest::Status).await.is_ok());
    }
    // Whoever leaves makes room.
    open.pop().expect("five").close(CloseCode::DONE, "");
    let again = world.login(&alice).await;
    assert!(again.call(&ClientRequest::Status).await.is_ok());
}

#[tokio::test]
async fn e2_calls_beyond_the_limit_are_told_when_to_come_again() {
    let world = World::new(Limits {
        calls_per_connection: rate("1/h burst 10"),
        calls_per_account: rate("1/h burst 12"),
        ..Limits::default()
    })
    .await;
    let (alice, bob) = (world.settle("alice").await, world.settle("bob").await);
    let (first, second) = (world.login(&alice).await, world.login(&alice).await);
    let other = world.login(&bob).await;
    // The login was the connection's first call, and is none of the account's.
    for _ in 0..9 {
        assert!(first.call(&ClientRequest::Status).await.is_ok());
    }
    let fault = refusal(first.call(&ClientRequest::Status).await);
    assert_eq!(fault.code, FaultCode::RateLimited);
    assert!(fault.retry_after_ms.is_some_and(|wait| wait > 60_000));
    assert!(
        fault.detail.contains("on this connection; try again in"),
        "{fault}"
    );
    for _ in 0..3 {
        assert!(second.call(&ClientRequest::Status).await.is_ok());
    }
    let fault = refusal(second.call(&ClientRequest::Status).await);
    assert!(
        fault.detail.contains("of this account; try again in"),
        "{fault}"
    );
    assert!(other.call(&ClientRequest::Status).await.is_ok());
}

/// Streams that say nothing sensible cannot be answered: their peer is shut out, and nobody else.
#[tokio::test]
async fn e2_a_peer_that_goes_on_with_nonsense_is_shut_out() {
    let world = World::new(Limits {
        calls_per_connection: rate("1/h burst 20"),
        ..Limits::default()
    })
    .await;
    let (alice, bob) = (world.settle("alice").await, world.settle("bob").await);
    let (hostile, honest) = (world.login(&alice).await, world.login(&bob).await);
    let shut_out = async {
        // A relay is not served to devices.
        while hostile.open_relay().await.is_ok() {}
        hostile.closed().await
    };
    let reason = timeout(PATIENCE, shut_out).await.expect("in time");
    let CloseReason::Peer { code, .. } = reason else {
        panic!("{reason}");
    };
    assert_eq!(code, CloseCode::PROTOCOL);
    assert!(honest.call(&ClientRequest::Status).await.is_ok());
}

#[tokio::test]
async fn f1_logins_and_registrations_of_an_address_are_limited() {
    let world = World::new(Limits {
        logins_per_address: rate("1/h burst 5"),
        registrations_per_address: rate("1/h burst 3"),
        ..Limits::default()
    })
    .await;
    let alice = world.settle("alice").await;
    let register = |person: &Person| {
        ClientRequest::Register(Register {
            claim: person.claim.clone(),
            token: None,
        })
    };
    let connection = world.dial().await;
    for local in ["bob", "carol", "dave"] {
        let person = Person::new(local, &world.me);
        let registered = connection.call(&register(&person)).await;
        assert_eq!(registered, Ok(ClientResponse::Done));
    }
    let late = Person::new("erin", &world.me);
    let fault = refusal(connection.call(&register(&late)).await);
    assert_eq!(fault.code, FaultCode::RateLimited);
    assert!(
        fault.detail.contains("registrations from this address"),
        "{fault}"
    );
    // Guesses count, and so does the right one.
    for _ in 0..4 {
        let fault = refusal(late.login(&connection, &world.me).await);
        assert_eq!(fault.code, FaultCode::AuthenticationFailed);
    }
    assert!(alice.login(&connection, &world.me).await.is_ok());
    let fault = refusal(alice.login(&world.dial().await, &world.me).await);
    assert_eq!(fault.code, FaultCode::RateLimited);
}

/// An organization comes to work behind one address: with the defaults all of them get in, at most after
/// trying again as clients do.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_one_address_gets_in_with_the_defaults() {
    const CROWD: usize = 300;
    let world = std::sync::Arc::new(World::new(Limits::default()).await);
    let mut coming = JoinSet::new();
    for number in 0..CROWD {
        let world = std::sync::Arc::clone(&world);
        coming.spawn(async move {
            let person = Person::new(&format!("p{number}"), &world.me);
            let connection = loop {
                match world.try_dial().await {
                    Ok(connection) => break connection,
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(200)).await,
                }
            };
            let claim = person.claim.clone();
            let register = ClientRequest::Register(Register { claim, token: None });
            let registered = connection.call(&register).await;
            assert_eq!(registered, Ok(ClientResponse::Done));
            let logged_in = person.login(&connection, &world.me).await;
            assert!(logged_in.is_ok(), "{logged_in:?}");
            connection
        });
    }
    let inside = timeout(3 * PATIENCE, coming.join_all()).await;
    assert_eq!(inside.expect("in time").len(), CROWD);
}

#[tokio::test]
async fn registrations_are_limited_in_all() {
    let world = World::new(Limits {
        registrations: rate("1/h burst 1"),
        ..Limits::default()
    })
    .await;
    let connection = world.dial().await;
    let mut answers = Vec::new();
    for local in ["bob", "carol"] {
        let claim = Person::new(local, &world.me).claim;
        let register = ClientRequest::Register(Register { claim, token: None });
        answers.push(connection.call(&register).await);
    }
    assert_eq!(answers[0], Ok(ClientResponse::Done));
    assert_eq!(refusal(answers.remove(1)).code, FaultCode::RateLimited);
}

fn message(world: &World, number: u32) -> SubmitFrame {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    SubmitFrame {
        hub: world.me.clone(),
        submission: Submission {
            room: RoomId([9; 32]),
            message_id: MessageId(id),
            epoch: Epoch(0),
            ciphertext: vec![7; 100].into(),
        },
    }
}

/// Every message is answered, and once the time is over that a refusal named the device goes on.
#[tokio::test]
async fn e2_a_device_that_floods_is_told_when_to_go_on() {
    const FLOOD: u32 = 200;
    let world = World::new(Limits {
        messages_per_device: rate("50/s burst 20"),
        ..Limits::default()
    })
    .await;
    let alice = world.settle("alice").await;
    let connection = world.login(&alice).await;
    let (mut frames, mut replies) = connection.open_submit().await.expect("a flow");
    for number in 0..FLOOD {
        frames
            .queue(&message(&world, number))
            .await
            .expect("queued");
    }
    frames.flush().await.expect("sent");
    let mut taken = 0;
    let mut waits = Vec::new();
    for number in 0..FLOOD {
        let reply = timeout(PATIENCE, replies.next()).await.expect("in time");
        let reply = reply.expect("the flow holds").expect("it goes on");
        assert_eq!(
            reply.message_id,
            message(&world, number).submission.message_id
        );
        let SubmitOutcome::Refused(fault) = reply.outcome else {
            panic!("there is no such room");
        };
        match fault.code {
            FaultCode::NoSuchRoom => taken += 1,
            FaultCode::RateLimited => waits.push(fault.retry_after_ms.expect("a time")),
            _ => panic!("{fault}"),
        }
    }
    assert!((20..FLOOD).contains(&taken), "{taken} were judged");
    let wait = *waits.last().expect("some were refused");
    sleep_until(Instant::now() + std::time::Duration::from_millis(wait.into())).await;
    frames.send(&message(&world, FLOOD)).await.expect("sent");
    let reply = timeout(PATIENCE, replies.next()).await.expect("in time");
    let outcome = reply.expect("the flow holds").expect("it goes on").outcome;
    assert!(
        matches!(outcome, SubmitOutcome::Refused(fault) if fault.code == FaultCode::NoSuchRoom)
    );
}

/// From the first message that is refused on all are, until the time that it named, also one that would
/// fit: no message overtakes another.
#[tokio::test]
async fn e2_a_flood_of_bytes_is_refused_and_nothing_overtakes_what_was_refused() {
    let world = World::new(Limits {
        message_bytes_per_device: "1KiB/h burst 10KiB".parse().expect("a rate"),
        ..Limits::default()
    })
    .await;
    let alice = world.settle("alice").await;
    let connection = world.login(&alice).await;
    let (mut frames, mut replies) = connection.open_submit().await.expect("a flow");
    let cases = [
        (4, FaultCode::NoSuchRoom),
        (4, FaultCode::NoSuchRoom),
        (4, FaultCode::RateLimited),
        (1, FaultCode::RateLimited),
    ];
    for ((size_kib, expected), number) in cases.into_iter().zip(0..) {
        let mut frame = message(&world, number);
        frame.submission.ciphertext = vec![7; size_kib * 1024].into();
        frames.send(&frame).await.expect("sent");
        let reply = timeout(PATIENCE, replies.next()).await.expect("in time");
        let outcome = reply.expect("holds").expect("goes on").outcome;
        let SubmitOutcome::Refused(fault) = outcome else {
            panic!("there is no such room");
        };
        assert_eq!(fault.code, expected, "message {number}");
    }
}

/// A device that calls on all its connections at once has a bounded share of the server's calls.
#[tokio::test]
async fn e2_an_account_has_so_many_calls_at_once() {
    let limits = Limits {
        calls_at_once_per_account: count(2),
        ..Limits::default()
    };
    let world = World::new(limits.clone()).await;
    let (alice, bob) = (world.settle("alice").await, world.settle("bob").await);
    let quotas = Arc::new(Quotas::new(&limits));
    let calls = client_pipeline(Arc::clone(&world.server), Arc::clone(&quotas));
    let status = |person: &Person| {
        calls.clone().oneshot(ClientCall {
            caller: Caller::Device((person.account, person.device)),
            request: ClientRequest::Status,
        })
    };
    let under_way = [(); 2].map(|()| quotas.call(&alice.account).expect("two at once"));
    let fault = status(&alice).await.expect_err("one too many");
    assert_eq!(fault.code, FaultCode::RateLimited);
    assert!(fault.retry_after_ms.is_some());
    assert!(status(&bob).await.is_ok(), "others have their own share");
    drop(under_way);
    // Every call gives its share back, the refused one too.
    for _ in 0..5 {
        assert!(status(&alice).await.is_ok());
    }
}

/// Names of servers that nobody knows cost a link, a lookup and a row each: an account makes up only so
/// many.
#[tokio::test]
async fn d6_an_account_cannot_make_the_server_look_for_ever_new_servers() {
    let world = World::new(Limits {
        first_contacts_per_account: rate("1/h burst 3"),
        ..Limits::default()
    })
    .await;
    let (eve, bob) = (world.settle("eve").await, world.settle("bob").await);
    let connection = world.login(&eve).await;
    let invite = |number: u8| {
        ClientRequest::Invite(SealedInvite {
            account: bob.account,
            home: format!("did:web:org-{number}.test").parse().expect("a DID"),
            message_id: MessageId([number; 16]),
            sealed: vec![(bob.device, vec![7; 64])],
        })
    };
    for number in 0..3 {
        let sent = connection.call(&invite(number)).await;
        assert_eq!(sent, Ok(ClientResponse::Done));
    }
    let fault = refusal(connection.call(&invite(3)).await);
    assert_eq!(fault.code, FaultCode::RateLimited);
    assert!(
        fault.detail.contains("servers that are not known here"),
        "{fault}"
    );
    let again = connection.call(&invite(0)).await;
    assert_eq!(again, Ok(ClientResponse::Done), "it is known by now");
    let mut read = world.server.read().await.expect("a view");
    assert_eq!(read.peers().await.expect("an answer").len(), 3);
}

#[tokio::test]
async fn f3_an_account_that_invites_too_much_is_told_when_to_go_on() {
    let world = World::new(Limits {
        invites_per_account: rate("1/h burst 50"),
        invites_to_account: rate("1/h burst 10"),
        ..Limits::default()
    })
    .await;
    let eve = world.settle("eve").await;
    let (bob, carol) = (world.settle("bob").await, world.settle("carol").await);
    let connection = world.login(&eve).await;
    let invite = |to: &Person, id: u8| {
        ClientRequest::Invite(SealedInvite {
            account: to.account,
            home: world.me.clone(),
            message_id: MessageId([id; 16]),
            sealed: vec![(to.device, vec![7; 64])],
        })
    };
    let mut refused = 0;
    for id in 0..30 {
        if let Err(error) = connection.call(&invite(&bob, id)).await {
            let fault = refusal::<()>(Err(error));
            assert_eq!(fault.code, FaultCode::RateLimited);
            assert!(
                fault.detail.contains("invitations to this account"),
                "{fault}"
            );
            refused += 1;
        }
    }
    assert_eq!((refused, world.queued(&bob).await.len()), (20, 10));
    let sent = connection.call(&invite(&carol, 0)).await;
    assert_eq!(sent, Ok(ClientResponse::Done), "others are still invited");
}
