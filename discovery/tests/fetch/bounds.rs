//! Whatever a server answers, what is read of it is bounded (adversaries B3).

use entente_discovery::{DocumentError, DocumentUrl, FetchError, KeyDocumentError, MAX_BODY_BYTES};
use entente_identity::DocumentFault;

use super::{Answer, Authority, Organization, check, client_of, org, trace};

/// Far more than any bound lets through, and than the buffers of a connection on one machine hold.
const FAR_TOO_MUCH: usize = 16 * 1024 * 1024;

/// Fetches what never ends; it fails, and the server was not listened to for long.
async fn refused(answer: Answer) -> FetchError {
    let authority = Authority::new();
    let organization = Organization::start(&org(), &authority, answer).await;
    let client = client_of(&organization, &authority);
    let got = client.fetch_json(&DocumentUrl::of_server(&org())).await;
    let sent = organization.bytes_sent();
    assert!(sent < FAR_TOO_MUCH, "{sent} bytes were taken");
    got.expect_err("it never ends")
}

fn unreachable(error: &FetchError) -> bool {
    matches!(error, FetchError::Unreachable { .. })
}

#[tokio::test]
async fn a_plain_answer_is_handed_over_as_it_came() {
    check(Answer::ok("{ \"id\" : 1 }"), Ok(b"{ \"id\" : 1 }")).await;
    let widest = format!("\"{}\"", "x".repeat(MAX_BODY_BYTES - 2));
    check(Answer::ok(&widest), Ok(widest.as_bytes())).await;
    check(Answer::chunked(&["[1,", "2]"]), Ok(b"[1,2]")).await;
}

#[tokio::test]
async fn b3_a_redirect_is_not_followed() {
    let authority = Authority::new();
    let elsewhere = Organization::start(&org(), &authority, Answer::ok("{}")).await;
    let port = elsewhere.address().port();
    for status in [300, 301, 302, 303, 305, 307, 308] {
        let location = format!("location: https://127.0.0.1:{port}/.well-known/did.json\r\n");
        let answer = Answer::status(status, &location);
        let organization = Organization::start(&org(), &authority, answer).await;
        let (client, dialled) = trace::client_of(&organization, &authority);
        let got = client.fetch_json(&DocumentUrl::of_server(&org())).await;
        assert_eq!(got, Err(FetchError::Status(status)));
        assert_eq!(dialled.addresses(), [organization.address()], "{status}");
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn b3_only_200_is_an_answer() {
    for status in [201, 203, 204, 206, 304, 404, 500] {
        check(Answer::status(status, ""), Err(FetchError::Status(status))).await;
    }
}

#[tokio::test]
async fn b3_a_gibibyte_announced_is_not_read() {
    let large = "x".repeat(MAX_BODY_BYTES + 1);
    check(Answer::ok(&large), Err(FetchError::TooLarge)).await;
    check(Answer::announcing(1 << 30), Err(FetchError::TooLarge)).await;
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n";
    assert_eq!(
        refused(Answer::flood(announced, "x")).await,
        FetchError::TooLarge
    );
}

#[tokio::test]
async fn b3_a_gibibyte_unannounced_is_not_read() {
    let large = "x".repeat(MAX_BODY_BYTES);
    check(Answer::chunked(&[&large]), Ok(large.as_bytes())).await;
    check(Answer::chunked(&[&large, "x"]), Err(FetchError::TooLarge)).await;
    let until_close = "HTTP/1.1 200 OK\r\n\r\n";
    let one_chunk = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n40000000\r\n";
    let many_chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for (head, piece) in [
        (until_close, "x"),
        (one_chunk, "x"),
        (many_chunks, "1\r\nx\r\n"),
    ] {
        let error = refused(Answer::flood(head, piece)).await;
        assert_eq!(error, FetchError::TooLarge, "{head:?}");
    }
}

#[tokio::test]
async fn b3_endless_chunk_extensions_and_trailers_are_cut() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for (rest, piece) in [("1;", "x"), ("0\r\n", "a: b\r\n"), ("0\r\na: ", "b")] {
        let error = refused(Answer::flood(&format!("{chunked}{rest}"), piece)).await;
        assert!(unreachable(&error), "{rest:?}: {error}");
    }
}

#[tokio::test]
async fn b3_endless_headers_are_cut() {
    for (head, piece) in [
        ("HTTP/1.1 200 OK\r\n", "x: y\r\n"),
        ("HTTP/1.1 200 OK\r\nx: ", "y"),
        ("HTTP/1.1 200 ", "K"),
        ("", "x"),
    ] {
        let error = refused(Answer::flood(head, piece)).await;
        assert!(unreachable(&error), "{head:?}: {error}");
    }
}

#[tokio::test]
async fn b3_a_flood_of_interim_answers_is_cut() {
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n",
    ] {
        let error = refused(Answer::flood("", interim)).await;
        assert_eq!(error, FetchError::TooLarge, "{interim:?}");
    }
    let switching = Answer::status(101, "connection: upgrade\r\nupgrade: other\r\n");
    let error = refused(switching).await;
    assert!(
        unreachable(&error) || error == FetchError::Status(101),
        "{error}"
    );
}

#[tokio::test]
async fn b3_a_byte_per_second_ends_at_the_deadline() {
    let body = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3e8\r\n";
    let in_a_header = "HTTP/1.1 200 OK\r\nx: ";
    let slow = [
        refused(Answer::dripping(body)),
        refused(Answer::dripping(chunked)),
        refused(Answer::dripping(in_a_header)),
        refused(Answer::dripping("HTTP/1.1 200 ")),
    ];
    for fetch in slow.map(tokio::spawn) {
        assert_eq!(fetch.await.expect("no panic"), FetchError::Slow);
    }
}

#[tokio::test]
async fn b3_a_server_that_never_answers_ends_at_the_deadline() {
    let mute = tokio::spawn(async {
        let authority = Authority::new();
        let organization = Organization::start_mute(&org()).await;
        let client = client_of(&organization, &authority);
        client.fetch_json(&DocumentUrl::of_server(&org())).await
    });
    assert_eq!(refused(Answer::silent()).await, FetchError::Slow);
    let before_tls = mute.await.expect("no panic");
    assert_eq!(before_tls, Err(FetchError::Slow), "not even TLS begins");
}

#[tokio::test]
async fn b3_a_gzip_bomb_is_neither_decoded_nor_handed_over() {
    for header in [
        "content-encoding: gzip\r\n",
        "content-encoding: br\r\n",
        "content-encoding: deflate\r\n",
        "content-encoding: identity, gzip\r\n",
        "content-encoding: identity\r\ncontent-encoding: gzip\r\n",
    ] {
        let answer = Answer::ok_with(header, "\u{1f}\u{8b}bomb");
        check(answer, Err(FetchError::Encoded)).await;
    }
    let twice = "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    check(Answer::raw(twice), Err(FetchError::Encoded)).await;
    let identity = "content-encoding: identity\r\n";
    check(Answer::ok_with(identity, "{}"), Ok(b"{}")).await;
}

#[tokio::test]
async fn b3_deep_json_is_refused() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let objects = |depth: usize| "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
    check(Answer::ok(&nested(32)), Ok(nested(32).as_bytes())).await;
    check(Answer::ok(&nested(33)), Err(FetchError::TooDeep)).await;
    check(Answer::ok(&nested(30_000)), Err(FetchError::TooDeep)).await;
    check(Answer::ok(&"[".repeat(60_000)), Err(FetchError::TooDeep)).await;
    check(Answer::ok(&objects(33)), Err(FetchError::TooDeep)).await;
}

#[tokio::test]
async fn b3_the_key_document_is_bounded_alike() {
    let authority = Authority::new();
    let endless = Answer::flood("HTTP/1.1 200 OK\r\n\r\n", "x");
    for (answer, expected) in [
        (endless, FetchError::TooLarge),
        (Answer::status(302, ""), FetchError::Status(302)),
        (
            Answer::ok_with("content-encoding: gzip\r\n", ""),
            FetchError::Encoded,
        ),
    ] {
        let organization = Organization::start(&org(), &authority, answer).await;
        let got = client_of(&organization, &authority)
            .key_document(&org())
            .await;
        assert_eq!(got, Err(KeyDocumentError::Fetch(expected)));
    }
}

#[tokio::test]
async fn b3_bytes_that_are_no_document_are_refused() {
    let authority = Authority::new();
    for body in ["", "null", "\u{1f}\u{8b}", "{\"id\":1,\"id\":2}"] {
        let organization = Organization::start(&org(), &authority, Answer::ok(body)).await;
        let client = client_of(&organization, &authority);
        let document = client.server_document(&org()).await;
        assert!(
            matches!(
                document,
                Err(DocumentError::Document(DocumentFault::Malformed(_)))
            ),
            "{document:?}"
        );
        let keys = client.key_document(&org()).await;
        assert!(
            matches!(keys, Err(KeyDocumentError::Malformed(_))),
            "{keys:?}"
        );
    }
}
