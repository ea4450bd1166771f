//! One request and its answer over one connection of its own, bounded in every direction.

use std::error::Error;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use entente_identity::Domain;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, HOST, HeaderName, TRANSFER_ENCODING,
};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use crate::dial::{DialHook, dial};
use crate::document_url::DocumentUrl;
use crate::fetch_error::FetchError;
use crate::meter::Metered;

/// Largest body of an answer, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// Most bytes that a connection brings in all: TLS with its certificates, interim answers, headers, the
/// body and how it is cut into pieces.
const MAX_CONNECTION_BYTES: usize = 256 * 1024;

/// Most bytes of an answer's head.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Most headers of an answer.
const MAX_HEADERS: usize = 64;

/// What is asked for, and where.
pub(crate) struct Question<'a> {
    pub(crate) url: &'a DocumentUrl,
    /// The media types of the answer.
    pub(crate) accept: &'static str,
    /// Vetted addresses of the URL's domain.
    pub(crate) addresses: Vec<SocketAddr>,
}

/// Asks over a new connection, which ends with the answer. The caller bounds the time.
pub(crate) async fn ask(
    question: Question<'_>,
    tls: Arc<ClientConfig>,
    hook: Option<&DialHook>,
) -> Result<Bytes, FetchError> {
    let Question {
        url,
        accept,
        addresses,
    } = question;
    let domain = url.domain();
    let unreachable = |error: &dyn Error| FetchError::Unreachable {
        domain: domain.clone(),
        reason: innermost(error),
    };
    let tcp = dial(domain, addresses, hook)
        .await
        .map_err(|error| unreachable(&error))?;
    let (tcp, exceeded) = Metered::new(tcp, MAX_CONNECTION_BYTES);
    let name =
        ServerName::try_from(domain.as_str().to_owned()).map_err(|error| unreachable(&error))?;
    let asked = async {
        let tls = TlsConnector::from(tls).connect(name, tcp).await;
        let stream = tls.map_err(|error| unreachable(&error))?;
        exchange(stream, url, accept).await
    };
    match asked.await {
        Err(_) if exceeded.is_set() => Err(FetchError::TooLarge),
        answer => answer,
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    url: &DocumentUrl,
    accept: &'static str,
) -> Result<Bytes, FetchError> {
    let domain = url.domain();
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(domain, &error))?;
    let request = Request::get(url.path())
        .header(HOST, domain.as_str())
        .header(ACCEPT, accept)
        .header(ACCEPT_ENCODING, "identity")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .expect("a document's path and domain are plain ASCII");
    let answer = async {
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| broken(domain, &error))?;
        check_head(&response)?;
        body(response.into_body(), domain).await
    };
    // The connection is driven for as long as the answer takes. When it ends, what it had read of the
    // answer is still to be handed over, or its end is the answer's fault.
    let mut answer = pin!(answer);
    tokio::select! {
        biased;
        done = &mut answer => done,
        _ = connection => answer.await,
    }
}

fn check_head(response: &Response<Incoming>) -> Result<(), FetchError> {
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let only = |name: HeaderName, value: &[u8]| {
        let mut values = response.headers().get_all(name).iter();
        values.all(|given| given.as_bytes().eq_ignore_ascii_case(value))
    };
    if !only(CONTENT_ENCODING, b"identity") || !only(TRANSFER_ENCODING, b"chunked") {
        return Err(FetchError::Encoded);
    }
    if response.body().size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(FetchError::TooLarge);
    }
    Ok(())
}

/// Reads a body piece by piece, so that no more than the bound is ever held.
async fn body(mut body: Incoming, domain: &Domain) -> Result<Bytes, FetchError> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(domain, &error))?;
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        if read.len() + piece.len() > MAX_BODY_BYTES {
            return Err(FetchError::TooLarge);
        }
        read.extend_from_slice(&piece);
    }
    Ok(read.freeze())
}

fn broken(domain: &Domain, error: &hyper::Error) -> FetchError {
    FetchError::Unreachable {
        domain: domain.clone(),
        reason: innermost(error),
    }
}

/// The cause at the bottom says what happened; those above say during what.
fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
