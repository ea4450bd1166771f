//! Logins that prove nothing.

use entente_identity::{Audience, Signed, SigningContext, SigningKey, UnixMillis};
use entente_protocol::call::{ClientRequest, ClientResponse};
use entente_protocol::fault::FaultCode;
use entente_protocol::hello::{LoginProof, prove};

use super::world::{Person, World, refusal};
use crate::clock::now;
use crate::config::Limits;

#[tokio::test]
async fn a1_a_login_counts_on_its_own_connection_and_there_as_often_as_it_comes() {
    let world = World::new(Limits::default()).await;
    let alice = world.settle("alice").await;
    let (first, second) = (world.dial().await, world.dial().await);
    let captured = alice.login_request(&first, &world.me);
    let refused = refusal(second.call(&captured).await);
    assert_eq!(refused.code, FaultCode::AuthenticationFailed);
    let answers = [first.call(&captured).await, first.call(&captured).await];
    for answer in answers {
        assert!(
            matches!(answer, Ok(ClientResponse::LoggedIn(_))),
            "{answer:?}"
        );
    }
    assert!(refusal(second.call(&captured).await).code == FaultCode::AuthenticationFailed);
    let asked = second.call(&ClientRequest::Status).await;
    assert_eq!(refusal(asked).code, FaultCode::NotAuthenticated);
}

#[tokio::test]
async fn a2_a_login_for_another_server_is_refused() {
    let world = World::new(Limits::default()).await;
    let alice = world.settle("alice").await;
    let connection = world.dial().await;
    let other = "did:web:org-c.test".parse().expect("a DID");
    let refused = refusal(alice.login(&connection, &other).await);
    assert_eq!(refused.code, FaultCode::AuthenticationFailed);
    assert!(alice.login(&connection, &world.me).await.is_ok());
}

fn context(person: &Person) -> SigningContext {
    SigningContext {
        key_id: person.key.public().to_string(),
        origin: person.account.to_string(),
        audience: Audience::Public,
        created: now(),
        expires: Some(now().after(60_000)),
    }
}

#[tokio::test]
async fn a3_a_login_without_destination_or_end_or_out_of_its_time_is_refused() {
    let world = World::new(Limits::default()).await;
    let alice = world.settle("alice").await;
    let connection = world.dial().await;
    let here = SigningContext {
        audience: Audience::Server(world.me.clone()),
        ..context(&alice)
    };
    let cases = [
        ("no destination", context(&alice)),
        (
            "a room as destination",
            SigningContext {
                audience: Audience::Room([1; 32]),
                ..context(&alice)
            },
        ),
        (
            "no end",
            SigningContext {
                expires: None,
                ..here.clone()
            },
        ),
        (
            "over",
            SigningContext {
                created: now().before(7_200_000),
                expires: Some(now().before(3_600_000)),
                ..here.clone()
            },
        ),
        (
            "not begun",
            SigningContext {
                created: now().after(3_600_000),
                expires: Some(now().after(7_200_000)),
                ..here.clone()
            },
        ),
    ];
    for (what, context) in cases {
        let proof = Signed::sign(&alice.proof(&connection), &context, &alice.key);
        let refused = refusal(connection.call(&ClientRequest::Login(proof)).await);
        assert_eq!(refused.code, FaultCode::AuthenticationFailed, "{what}");
    }
    let proof = Signed::sign(&alice.proof(&connection), &here, &alice.key);
    assert!(connection.call(&ClientRequest::Login(proof)).await.is_ok());
}

/// Whoever is unknown, or proves nothing, gets one answer, word for word.
#[tokio::test]
async fn f4_a_refused_login_does_not_tell_who_exists() {
    let world = World::new(Limits::default()).await;
    let alice = world.settle("alice").await;
    let connection = world.dial().await;
    let unknown = Person::new("bob", &world.me);
    let other_device = LoginProof {
        device: unknown.device,
        ..alice.proof(&connection)
    };
    let sign = |proof: &LoginProof, key: &SigningKey, time: UnixMillis| {
        let origin = proof.account.to_string();
        ClientRequest::Login(prove(proof, origin, &world.me, key, time))
    };
    let refusals = [
        unknown.login(&connection, &world.me).await,
        connection
            .call(&sign(&other_device, &unknown.key, now()))
            .await,
        connection
            .call(&sign(&alice.proof(&connection), &unknown.key, now()))
            .await,
        connection
            .call(&sign(&alice.proof(&connection), &alice.key, UnixMillis(1)))
            .await,
        connection
            .call(&sign(
                &unknown.proof(&connection),
                &unknown.key,
                UnixMillis(1),
            ))
            .await,
    ];
    let refusals: Vec<_> = refusals.into_iter().map(refusal).collect();
    assert_eq!(refusals[0].code, FaultCode::AuthenticationFailed);
    for other in &refusals[1..] {
        assert_eq!(*other, refusals[0]);
    }
}

#[tokio::test]
async fn another_device_cannot_take_a_connection_over() {
    let world = World::new(Limits::default()).await;
    let (alice, bob) = (world.settle("alice").await, world.settle("bob").await);
    let connection = world.login(&alice).await;
    let refused = refusal(bob.login(&connection, &world.me).await);
    assert_eq!(refused.code, FaultCode::BadRequest);
}
