//! Statements that lack what they must say, or say more than a server knows.

use anyhow::{Context, Result, ensure};
use entente_identity::{Audience, Signed, SigningKey};
use entente_protocol::fault::FaultCode;
use entente_protocol::hello::{Feature, Hello, LOGIN_EXPORTER_LABEL};
use entente_protocol::limits::HELLO_LIFETIME_MS;

use super::{Attack, attack};
use crate::arena::Arena;
use crate::clock::now;
use crate::device::log_in_with;
use crate::dice::Dice;
use crate::door::Door;
use crate::expect::refused;
use crate::peer::greet;
use crate::wire::statement::Statement;

pub(super) const ATTACKS: &[Attack] = &[
    attack!("incomplete-login", Devices,
        "Logins, rightly signed, without a destination, without an end, of another version, algorithm or kind, from the past and the future."
        => "authentication-failed, each",
        login),
    attack!("incomplete-hello", Peers,
        "Greetings, rightly signed, without a destination, without an end, of another version, algorithm or kind, from the past and the future."
        => "authentication-failed, each",
        hello),
    attack!("unknown-versions", Peers,
        "Greetings without a common version, and with a critical feature that nobody has."
        => "unsupported, and what is missing",
        versions),
];

const DAY_MS: u64 = 24 * 3_600_000;

/// A change of one field.
type Change = (&'static str, fn(&mut Statement));

/// As it should be: taken, which shows that the others are refused for their change.
const GOOD: Change = ("nothing wrong", |_| {});

/// Every way in which a statement may be incomplete or of another make.
const CHANGES: &[Change] = &[
    ("no destination", |s| s.audience = vec![0]),
    ("a room as destination", |s| {
        s.audience = [vec![2], vec![7; 32]].concat();
    }),
    ("no end", |s| s.expires = None),
    ("an end before its beginning", |s| {
        s.expires = Some(s.created.before(1));
    }),
    ("from yesterday", |s| {
        s.created = s.created.before(DAY_MS);
        s.expires = s.expires.map(|end| end.before(DAY_MS));
    }),
    ("from tomorrow", |s| {
        s.created = s.created.after(DAY_MS);
        s.expires = s.expires.map(|end| end.after(DAY_MS));
    }),
    ("version 0", |s| s.version = 0),
    ("version 2", |s| s.version = 2),
    ("no algorithm", |s| s.alg = 0),
    ("another algorithm", |s| s.alg = 0x0403),
    ("kind 0", |s| s.kind = 0),
    ("another kind", |s| s.kind = 9),
    ("no origin", |s| s.origin.clear()),
    ("no key", |s| s.key_hash = [0; 32]),
    ("another body's hash", |s| s.body_hash = [0; 32]),
    ("no body", |s| s.body.clear()),
];

async fn login(arena: &Arena, mut dice: Dice) -> Result<()> {
    let alice = arena.newcomer(&arena.a, "alice", &mut dice).await?;
    let key = alice.person.key();
    for (what, change) in CHANGES.iter().chain([&GOOD]) {
        // The device's own claim of an origin is not what it logs in by.
        if *what == "no origin" {
            continue;
        }
        let link = arena.a.connect().await?;
        let exporter = link.channel_binding(LOGIN_EXPORTER_LABEL, b"");
        let mut statement = Statement::of(
            &alice.person.login(exporter),
            &key.public(),
            &alice.person.account.to_string(),
            &Audience::Server(arena.a.did.clone()),
            (now(), Some(now().after(HELLO_LIFETIME_MS))),
        );
        change(&mut statement);
        let answer = log_in_with(&link, statement.signed(key)).await;
        if *what == GOOD.0 {
            answer.context(*what)?;
        } else {
            refused(answer, &[FaultCode::AuthenticationFailed]).context(*what)?;
        }
    }
    Ok(())
}

async fn hello(arena: &Arena, _dice: Dice) -> Result<()> {
    let mallory = arena.mallory()?;
    for (what, change) in CHANGES.iter().chain([&GOOD]) {
        let connection = mallory.dial(&arena.a).await?;
        let hello = mallory.hello(&connection, mallory.fresh_epoch(), 0);
        let mut statement = statement(&hello, mallory.key(), &arena.a);
        change(&mut statement);
        let signed: Signed<Hello> = statement.signed(mallory.key());
        let answer = greet(&connection, signed).await;
        if *what == GOOD.0 {
            answer.context(*what)?;
        } else {
            refused(answer, &[FaultCode::AuthenticationFailed]).context(*what)?;
        }
    }
    Ok(())
}

async fn versions(arena: &Arena, _dice: Dice) -> Result<()> {
    let mallory = arena.mallory()?;
    const CRITICAL: fn(u16) -> Feature = |id| Feature { id, critical: 1 };
    type Change = fn(&mut Hello);
    let changes: [(&str, Change); 5] = [
        ("newer versions only", |hello| {
            (hello.min_version, hello.max_version) = (2, 9);
        }),
        ("no version", |hello| {
            (hello.min_version, hello.max_version) = (0, 0);
        }),
        ("versions in the wrong order", |hello| {
            (hello.min_version, hello.max_version) = (2, 1);
        }),
        ("a critical feature", |hello| {
            hello.features = vec![CRITICAL(0xfffe)];
        }),
        ("a critical feature behind others", |hello| {
            let known = (0..64).map(|id| Feature { id, critical: 0 });
            hello.features = known.chain([CRITICAL(0x8001)]).collect();
        }),
    ];
    for (what, change) in changes {
        let connection = mallory.dial(&arena.a).await?;
        let mut hello = mallory.hello(&connection, mallory.fresh_epoch(), 0);
        change(&mut hello);
        let answer = greet(&connection, mallory.sign_hello(&hello, &arena.a.did)).await;
        let fault = refused(answer, &[FaultCode::Unsupported]).context(what)?;
        let named = fault.detail.contains("version") || fault.detail.contains("feature");
        ensure!(
            named,
            "{what}: {} does not say what is missing",
            fault.detail
        );
        // It is not known on the connection by having tried.
        let again = greet(&connection, mallory.sign_hello(&hello, &arena.a.did));
        refused(again.await, &[FaultCode::Unsupported]).context(what)?;
    }
    Ok(())
}

fn statement(hello: &Hello, key: &SigningKey, to: &Door) -> Statement {
    Statement::of(
        hello,
        &key.public(),
        &hello.server.to_string(),
        &Audience::Server(to.did.clone()),
        (now(), Some(now().after(HELLO_LIFETIME_MS))),
    )
}
