//! Greetings that prove nothing.

use entente_identity::{Audience, SigningContext};
use entente_protocol::call::{PeerRequest, PeerResponse, Pull};
use entente_protocol::entry::{EntryHash, Head, Seq, Term};
use entente_protocol::fault::FaultCode;

use super::peer::network;
use crate::client_edge::tests::world::refusal;
use crate::clock::now;
use crate::config::Limits;

pub fn pull() -> PeerRequest {
    PeerRequest::Pull(Pull {
        room: entente_groups::RoomId([1; 32]),
        after: Head {
            term: Term::FIRST,
            seq: Seq(0),
            hash: EntryHash([0; 32]),
        },
        until: Seq(9),
    })
}

#[tokio::test]
async fn a1_a_greeting_counts_on_its_own_connection_and_there_as_often_as_it_comes() {
    let (world, [b]) = network(Limits::default(), ["org-b.test"]).await;
    let (first, second) = (b.dial(&world).await, b.dial(&world).await);
    let captured = b.greeting(&first, &b.context(&world.me));
    let refused = refusal(second.call(&captured).await);
    assert_eq!(refused.code, FaultCode::AuthenticationFailed);
    for _ in 0..2 {
        let answer = first.call(&captured).await;
        assert!(matches!(answer, Ok(PeerResponse::Hello(_))), "{answer:?}");
    }
    assert_eq!(
        refusal(second.call(&pull()).await).code,
        FaultCode::NotAuthenticated
    );
    assert_eq!(
        refusal(first.call(&pull()).await).code,
        FaultCode::NoSuchRoom
    );
}

/// A greeting that somebody else shows, and one that somebody passes on to another server.
#[tokio::test]
async fn a2_a_greeting_of_another_server_or_for_another_server_is_refused() {
    let (world, [b, c]) = network(Limits::default(), ["org-b.test", "org-c.test"]).await;
    let of_c = c.dial(&world).await;
    let greeting_of_b = b.greeting(&of_c, &b.context(&world.me));
    let refused = refusal(of_c.call(&greeting_of_b).await);
    assert_eq!(refused.code, FaultCode::AuthenticationFailed);
    let for_c = b.dial(&world).await;
    let refused = refusal(b.greet(&for_c, &c.did).await);
    assert_eq!(refused.code, FaultCode::AuthenticationFailed);
    let named_c = SigningContext {
        origin: c.did.to_string(),
        ..b.context(&world.me)
    };
    let refused = refusal(for_c.call(&b.greeting(&for_c, &named_c)).await);
    assert_eq!(refused.code, FaultCode::AuthenticationFailed);
    assert!(b.greet(&for_c, &world.me).await.is_ok());
    assert!(c.greet(&of_c, &world.me).await.is_ok());
}

#[tokio::test]
async fn a3_a_greeting_without_destination_or_end_or_out_of_its_time_is_refused() {
    let (world, [b]) = network(Limits::default(), ["org-b.test"]).await;
    let connection = b.dial(&world).await;
    let good = b.context(&world.me);
    let hour = 3_600_000;
    let cases = [
        (
            "no destination",
            SigningContext {
                audience: Audience::Public,
                ..good.clone()
            },
        ),
        (
            "no end",
            SigningContext {
                expires: None,
                ..good.clone()
            },
        ),
        (
            "over",
            SigningContext {
                created: now().before(2 * hour),
                expires: Some(now().before(hour)),
                ..good.clone()
            },
        ),
        (
            "not begun",
            SigningContext {
                created: now().after(hour),
                expires: Some(now().after(2 * hour)),
                ..good.clone()
            },
        ),
    ];
    for (what, context) in cases {
        let refused = refusal(connection.call(&b.greeting(&connection, &context)).await);
        assert_eq!(refused.code, FaultCode::AuthenticationFailed, "{what}");
    }
    assert!(
        connection
            .call(&b.greeting(&connection, &good))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a3_a_greeting_without_a_common_version_or_with_an_unknown_critical_feature_is_refused() {
    let (world, [b]) = network(Limits::default(), ["org-b.test"]).await;
    let connection = b.dial(&world).await;
    let good = b.hello(&connection);
    let unknown = entente_protocol::hello::Feature {
        id: 0xfffe,
        critical: 1,
    };
    let newer = entente_protocol::hello::Hello {
        min_version: good.max_version + 1,
        max_version: good.max_version + 2,
        ..good.clone()
    };
    let demanding = entente_protocol::hello::Hello {
        features: vec![unknown],
        ..good
    };
    for hello in [newer, demanding] {
        let context = b.context(&world.me);
        let signed = entente_identity::Signed::sign(&hello, &context, &b.key);
        let refused = refusal(connection.call(&PeerRequest::Hello(signed)).await);
        assert_eq!(refused.code, FaultCode::Unsupported);
    }
    assert_eq!(
        refusal(connection.call(&pull()).await).code,
        FaultCode::NotAuthenticated
    );
}

/// A stranger that names servers makes this one ask for their documents: so often and no more.
#[tokio::test]
async fn b5_greetings_of_an_address_are_limited() {
    let limits = Limits {
        logins_per_address: "1/h burst 3".parse().expect("a rate"),
        ..Limits::default()
    };
    let (world, [b]) = network(limits, ["org-b.test"]).await;
    let connection = b.dial(&world).await;
    let other = "did:web:org-c.test".parse().expect("a DID");
    for _ in 0..3 {
        let refused = refusal(b.greet(&connection, &other).await);
        assert_eq!(refused.code, FaultCode::AuthenticationFailed);
    }
    let fault = refusal(b.greet(&connection, &world.me).await);
    assert_eq!(fault.code, FaultCode::RateLimited);
    assert!(fault.retry_after_ms.is_some_and(|wait| wait > 60_000));
}
