//! Requests that somebody else would read otherwise, endless ones, and questions about who exists
//! (adversaries E4, F4).

use super::*;

/// A good request, which must not be answered when it follows a bad one.
const SMUGGLED: &str = "GET /healthz HTTP/1.1\r\nHost: org-a.test\r\n\r\n";

/// How many answers there are in what came.
fn answers(text: &str) -> Vec<u16> {
    let statuses = text.split("HTTP/1.").skip(1);
    statuses
        .filter_map(|rest| rest.get(2..5)?.parse().ok())
        .collect()
}

/// Sends a head with something behind it. It gets at most one answer, a refusal, and nothing behind it
/// is ever answered.
fn check_refused(edge: &Edge, head: &str, behind: &str) {
    let text = edge.ask_bytes(format!("{head}\r\n{behind}{SMUGGLED}").as_bytes());
    let statuses = answers(&text);
    assert!(
        matches!(statuses[..], [] | [400 | 405 | 414 | 431 | 501 | 505]),
        "{head:?}: {statuses:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn e4_a_body_whose_length_can_be_read_two_ways_is_refused() {
    with_edge(|edge| {
        let get = "GET /healthz HTTP/1.1\r\nHost: org-a.test\r\n";
        for lengths in [
            "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: CHUNKED\r\n",
            "Transfer-Encoding:\tchunked\r\n",
            "Transfer-Encoding: \u{b}chunked\r\n",
            "Transfer-Encoding : chunked\r\n",
            "Transfer-Encoding\t: chunked\r\n",
            " Transfer-Encoding: chunked\r\n",
            "X: y\r\n Transfer-Encoding: chunked\r\n",
            "Transfer-Encoding:\r\n chunked\r\n",
            "Transfer-Encoding:\r\n",
            "X: y\rTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding\0: chunked\r\n",
            "Content-Length: 5\r\n",
            "Content-Length: 0\r\nContent-Length: 0\r\n",
            "Content-Length: 0\r\nContent-Length: 5\r\n",
            "Content-Length: 0, 0\r\n",
            "Content-Length: 0,5\r\n",
            "Content-Length: +0\r\n",
            "Content-Length: -0\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: 00\r\n",
            "Content-Length: 0x0\r\n",
            "Content-Length: 0 0\r\n",
            "Content-Length: 1e0\r\n",
            "Content-Length: \r\n",
            "Content-Length: 18446744073709551616\r\n",
            "Content-Length : 0\r\n",
            "Content-Length: 0\r\n 5\r\n",
        ] {
            check_refused(edge, &format!("{get}{lengths}"), "0\r\n\r\n");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e4_no_two_and_malformed_hosts_are_refused() {
    with_edge(|edge| {
        let get = "GET /healthz HTTP/1.1\r\n";
        for hosts in [
            "",
            "Host:\r\n",
            "Host: org-a.test\r\nHost: org-a.test\r\n",
            "Host: org-a.test\r\nhost: org-b.test\r\n",
            "Host: org-a.test, org-b.test\r\n",
            "Host: user@org-a.test\r\n",
            "Host: org-a.test/healthz\r\n",
            "Host: org-a.test org-b.test\r\n",
            "Host : org-a.test\r\n",
            "Host: org-a.test\r\n Host: org-b.test\r\n",
            "Host: org-a.test\0\r\n",
        ] {
            check_refused(edge, &format!("{get}{hosts}"), "");
        }
        for host in ["org-a.test", "org-a.test:8443", "127.0.0.1", "[::1]:8443"] {
            let request = format!("{get}Host: {host}\r\nConnection: close\r\n\r\n");
            assert_eq!(edge.ask_raw(&request).status, 200, "{host}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e4_targets_in_another_form_than_a_path_are_refused() {
    with_edge(|edge| {
        for line in [
            "GET http://org-a.test/healthz HTTP/1.1",
            "GET https://org-a.test/healthz HTTP/1.1",
            "GET https://other.test/healthz HTTP/1.1",
            "GET //other.test/healthz HTTP/1.1",
            "GET org-a.test:443 HTTP/1.1",
            "CONNECT org-a.test:443 HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "GET healthz HTTP/1.1",
            "GET  HTTP/1.1",
            "GET /healthz",
            "GET /healthz HTTP/0.9",
            "GET /healthz HTTP/1.2",
            "GET /healthz HTTP/2.0",
            "GET /healthz HTTP/11",
            "GET /healthz http/1.1",
            "GET /healthz HTTP/1.1 x",
            "GET /health z HTTP/1.1",
            "GET\t/healthz\tHTTP/1.1",
            " GET /healthz HTTP/1.1",
            "G\0T /healthz HTTP/1.1",
            "PRI * HTTP/2.0",
        ] {
            let head = format!("{line}\r\nHost: org-a.test\r\nConnection: close\r\n\r\n");
            let statuses = answers(&edge.ask_bytes(head.as_bytes()));
            assert!(
                matches!(statuses[..], [] | [400 | 404 | 405 | 505]),
                "{line:?}: {statuses:?}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e4_nothing_but_reading_is_done() {
    with_edge(|edge| {
        for method in [
            "POST", "PUT", "DELETE", "PATCH", "TRACE", "get", "PROPFIND", "BREW",
        ] {
            let request = format!(
                "{method} /healthz HTTP/1.1\r\nHost: org-a.test\r\nX-Secret: s3cret\r\n\
                 Connection: close\r\n\r\n"
            );
            let answer = edge.ask_raw(&request);
            assert_eq!(answer.status, 405, "{method}");
            assert!(!answer.body.contains("s3cret"), "{method} echoes");
        }
        // Nothing is spoken here but HTTP/1.1, whatever a client offers to change to.
        let upgrade = "GET /healthz HTTP/1.1\r\nHost: org-a.test\r\nConnection: upgrade, close\r\n\
                       Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
        assert_eq!(edge.ask_raw(upgrade).status, 200);
        let waiting = "GET /healthz HTTP/1.1\r\nHost: org-a.test\r\nConnection: close\r\n\
                       Expect: 100-continue\r\nContent-Length: 4\r\n\r\n";
        assert_eq!(edge.ask_raw(waiting).status, 400);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e4_huge_heads_are_refused() {
    with_edge(|edge| {
        let get = "GET /healthz HTTP/1.1\r\nHost: org-a.test\r\n";
        let long = "a".repeat(20_000);
        for head in [
            format!("GET /{long} HTTP/1.1\r\nHost: org-a.test\r\n"),
            format!("{get}X: {long}\r\n"),
            format!("{get}{long}: x\r\n"),
            format!("{get}{}", "X: 1\r\n".repeat(65)),
            format!("{long} /healthz HTTP/1.1\r\nHost: org-a.test\r\n"),
        ] {
            check_refused(edge, &head, "");
        }
        let within = format!("{get}{}Connection: close\r\n\r\n", "X: 1\r\n".repeat(60));
        assert_eq!(edge.ask_raw(&within).status, 200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e4_endless_heads_are_cut() {
    with_edge(|edge| {
        for piece in ["a", "X: y\r\n", "\r\n", "GET "] {
            let mut stream = edge.connect();
            let flood = piece.repeat(4096);
            let mut taken = 0;
            while stream.write_all(flood.as_bytes()).is_ok() && stream.flush().is_ok() {
                taken += flood.len();
                assert!(taken < 64 * 1024 * 1024, "{piece:?} is taken for ever");
            }
            assert!(answers(&read_to_end(&mut stream)).len() <= 1, "{piece:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e4_behind_garbage_nothing_is_answered() {
    with_edge(|edge| {
        let good = "GET /healthz HTTP/1.1\r\nHost: org-a.test\r\n\r\n";
        for garbage in [
            "garbage\r\n\r\n",
            "\0\0\0\0",
            "\u{16}\u{3}\u{1}\0\u{5}hello",
            "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        ] {
            let text = edge.ask_bytes(format!("{good}{good}{garbage}{good}").as_bytes());
            let statuses = answers(&text);
            assert!(
                matches!(statuses[..], [200, 200] | [200, 200, 400]),
                "{garbage:?}: {statuses:?}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e4_slow_clients_are_let_go() {
    with_edge(|edge| {
        assert_eq!(edge.get("/u/slow/did.json").status, 503);
        // Each of these ends although the client neither finishes nor leaves.
        for begun in ["", "G", "GET /healthz HTTP/1.1\r\nHost: ", SMUGGLED] {
            let mut stream = edge.connect();
            stream.write_all(begun.as_bytes()).expect("sent");
            stream.flush().expect("sent");
            let statuses = answers(&read_to_end(&mut stream));
            let expected = if begun == SMUGGLED { vec![200] } else { vec![] };
            assert!(
                statuses == expected || statuses == [408],
                "{begun:?}: {statuses:?}"
            );
        }
        let mut mute = TcpStream::connect(edge.address).expect("connected");
        mute.set_read_timeout(Some(Duration::from_secs(20)))
            .expect("set");
        assert!(matches!(mute.read(&mut [0; 16]), Ok(0)), "no handshake");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e4_a_byte_at_a_time_does_not_prolong_a_head() {
    with_edge(|edge| {
        let mut stream = edge.connect();
        let endless = "GET /healthz HTTP/1.1\r\nHost: org-a.test\r\nX: "
            .bytes()
            .chain(std::iter::repeat(b'x'));
        let mut sent = 0;
        for byte in endless {
            if stream.write_all(&[byte]).is_err() || stream.flush().is_err() {
                break;
            }
            sent += 1;
            // The pause between two bytes is the client's own.
            let paused = stream
                .sock
                .set_read_timeout(Some(Duration::from_millis(20)));
            paused.expect("set");
            match stream.read(&mut [0; 16]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => break,
            }
            assert!(sent < 1_000, "the head may go on for ever");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e4_connections_beyond_the_bounds_are_closed_at_once() {
    let patient = Duration::from_secs(60);
    for (connections, per_block) in [(3, 100), (100, 3)] {
        let bounds = Bounds {
            connections,
            per_block,
            handshake: patient,
            head: patient,
            request: patient,
        };
        with_bounded_edge(bounds, |edge| {
            let mut held: Vec<_> = (0..3).map(|_| edge.connect()).collect();
            for stream in &mut held {
                stream.write_all(SMUGGLED.as_bytes()).expect("sent");
                assert!(stream.read(&mut [0; 16]).is_ok_and(|read| read > 0));
            }
            assert_eq!(edge.ask_bytes(SMUGGLED.as_bytes()), "", "no place is left");
            drop(held.pop());
            // The place is free once the server has seen the end.
            let deadline = std::time::Instant::now() + Duration::from_secs(20);
            while edge.get("/healthz").status != 200 {
                assert!(
                    std::time::Instant::now() < deadline,
                    "the place stays taken"
                );
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f4_an_unpublished_and_an_unknown_handle_get_the_same_bytes() {
    with_edge(|edge| {
        let whole = |method: &str, path: &str| {
            let head = format!("{method} {path} HTTP/1.1\r\nHost: org-a.test\r\n");
            let text = edge.ask_bytes(format!("{head}Connection: close\r\n\r\n").as_bytes());
            let lines = text.split("\r\n").map(|line| match line.split_once(": ") {
                // The only header that tells one second from the next.
                Some((name, _)) if name.eq_ignore_ascii_case("date") => "date",
                _ => line,
            });
            lines.collect::<Vec<_>>().join("\r\n")
        };
        for method in ["GET", "HEAD", "POST"] {
            let expected = whole(method, "/u/nobody/did.json");
            let status = if method == "POST" { 405 } else { 404 };
            assert_eq!(answers(&expected), [status], "{expected}");
            for path in [
                // Another's row under this name, and a row that does not verify: not published.
                "/u/mallory/did.json",
                "/u/broken/did.json",
                "/u/Alice/did.json",
                "/u/alice%00/did.json",
                "/u/..%2f..%2fetc/did.json",
                "/u/%ff/did.json",
            ] {
                assert_eq!(whole(method, path), expected, "{method} {path}");
            }
        }
        let expected = whole("GET", "/u/nobody/did.json");
        for path in [
            "/u//did.json",
            "/u/alice",
            "/u/alice/did.json/",
            "/other",
            "/",
        ] {
            assert_eq!(whole("GET", path), expected, "{path}");
        }
        assert_eq!(answers(&whole("GET", "/u/alice/did.json")), [200]);
    })
    .await;
}
