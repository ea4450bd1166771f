//! HTTP requests that two readers could understand differently, and others that nobody needs.

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{Attack, attack};
use crate::arena::Arena;
use crate::dice::Dice;
use crate::patience::PATIENCE;
use crate::web::Answer;

pub(super) const ATTACKS: &[Attack] = &[
    attack!("smuggled-requests", Devices,
        "Requests with contradicting lengths, each with a second request in what may be its body."
        => "refused, and the second one is never answered",
        smuggled),
    attack!("ambiguous-requests", Devices,
        "Duplicate headers, absolute-form and authority-form targets, strange methods, versions and line ends, too many and too long headers."
        => "refused, each",
        ambiguous),
    attack!("slow-requests", Devices,
        "A request whose head never ends."
        => "the connection is closed; others are served",
        slow),
];

const TARGET: &str = "/.well-known/did.json";

async fn smuggled(arena: &Arena, _dice: Dice) -> Result<()> {
    let domain = arena.a.did.domain().as_str();
    let second = format!("GET {TARGET} HTTP/1.1\r\nHost: {domain}\r\n\r\n");
    let chunked = format!("0\r\n\r\n{second}");
    let length = chunked.len();
    let cases = [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: 0\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: {length}\r\nContent-Length: 0\r\n"),
        "Content-Length: 0, 5\r\n".to_owned(),
        "Content-Length: +0\r\n".to_owned(),
        "Content-Length: -1\r\n".to_owned(),
        "Content-Length: 0x10\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\n".to_owned(),
        "Transfer-Encoding: identity\r\n".to_owned(),
        "Transfer-Encoding: xchunked\r\n".to_owned(),
        "Transfer-Encoding : chunked\r\n".to_owned(),
        "Transfer-Encoding:\tchunked\r\n".to_owned(),
        "Transfer-Encoding:\r\n chunked\r\n".to_owned(),
        "X: y\r\nTransfer-Encoding: chunked, identity\r\n".to_owned(),
        format!("Content-Length: {length}\r\n"),
    ];
    let asked = cases.iter().flat_map(|headers| {
        ["GET", "HEAD", "POST"].map(|method| {
            let request =
                format!("{method} {TARGET} HTTP/1.1\r\nHost: {domain}\r\n{headers}\r\n{chunked}");
            ask(arena, request)
        })
    });
    // An answer may leave its connection open for a while: all are asked at once.
    for (request, answer) in try_join_all(asked).await? {
        let shown = shown(&request);
        ensure!(
            matches!(answer.status, 0 | 400..=499 | 501),
            "{shown}: {}",
            answer.head
        );
        let body = String::from_utf8_lossy(&answer.body);
        ensure!(
            !body.contains("HTTP/1.1"),
            "{shown}: the second request is answered"
        );
    }
    Ok(())
}

async fn ask(arena: &Arena, request: String) -> Result<(String, Answer)> {
    let domain = arena.a.did.domain().as_str();
    let bytes = request.as_bytes();
    let answer = arena.web.send(arena.a.https, domain, bytes).await?;
    Ok((request, answer))
}

fn shown(request: &str) -> String {
    format!("{:?}", request.chars().take(120).collect::<String>())
}

async fn ambiguous(arena: &Arena, mut dice: Dice) -> Result<()> {
    let domain = arena.a.did.domain().as_str();
    let host = format!("Host: {domain}\r\n");
    let many: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    let long = format!("X: {}\r\n", "y".repeat(20_000));
    let noise: String = dice
        .many(40)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let requests = [
        format!("GET {TARGET} HTTP/1.1\r\n\r\n"),
        format!("GET {TARGET} HTTP/1.1\r\n{host}{host}\r\n"),
        format!("GET {TARGET} HTTP/1.1\r\n{host}Host: other.test\r\n\r\n"),
        format!("GET https://{domain}{TARGET} HTTP/1.1\r\n{host}\r\n"),
        format!("GET http://other.test{TARGET} HTTP/1.1\r\n{host}\r\n"),
        format!("GET //{domain}{TARGET} HTTP/1.1\r\n{host}\r\n"),
        format!("CONNECT {domain}:443 HTTP/1.1\r\n{host}\r\n"),
        format!("OPTIONS * HTTP/1.1\r\n{host}\r\n"),
        format!("TRACE {TARGET} HTTP/1.1\r\n{host}\r\n"),
        format!("DELETE {TARGET} HTTP/1.1\r\n{host}\r\n"),
        format!("{noise} {TARGET} HTTP/1.1\r\n{host}\r\n"),
        format!("GET {TARGET} HTTP/2.0\r\n{host}\r\n"),
        format!("GET {TARGET} HTTP/9\r\n{host}\r\n"),
        format!("GET  {TARGET} HTTP/1.1\r\n{host}\r\n"),
        format!("GET {TARGET}\r\n{host}\r\n"),
        format!("GET {TARGET} HTTP/1.1\r\n{host}X y\r\n\r\n"),
        format!("GET {TARGET} HTTP/1.1\r\n{host}X\u{0}: y\r\n\r\n"),
        format!("GET {TARGET} HTTP/1.1\r\n{host}X: y\u{0}\r\n\r\n"),
        format!("GET {TARGET} HTTP/1.1\r\n{host}X: a\rb\r\n\r\n"),
        format!("GET {TARGET} HTTP/1.1\r\n{host}{many}\r\n"),
        format!("GET {TARGET} HTTP/1.1\r\n{host}{long}\r\n"),
        format!("GET /{} HTTP/1.1\r\n{host}\r\n", "x".repeat(20_000)),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        format!("{noise}\r\n\r\n"),
    ];
    let asked = requests.into_iter().map(|request| ask(arena, request));
    for (request, answer) in try_join_all(asked).await? {
        ensure!(
            answer.status != 200 && answer.status < 500,
            "{}: {}",
            shown(&request),
            answer.head
        );
    }
    Ok(())
}

async fn slow(arena: &Arena, _dice: Dice) -> Result<()> {
    let domain = arena.a.did.domain().as_str();
    let mut stream = arena.web.open(arena.a.https, domain).await?;
    let head = format!("GET {TARGET} HTTP/1.1\r\nHost: {domain}\r\nX: ");
    stream.write_all(head.as_bytes()).await?;
    stream.flush().await?;
    arena.web.fetch(arena.a.https, domain, TARGET).await?;
    let mut rest = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    ensure!(ended.is_ok(), "a head without an end is waited for");
    Ok(())
}
