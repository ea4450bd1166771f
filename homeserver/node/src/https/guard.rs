//! What every request must be, and what every answer carries.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{self, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    // The documents are public: programs in any web page may read them.
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
];

/// Refuses what a proxy in front could understand otherwise than we do: a target in absolute form
/// (RFC 9112 §3.2.2), no, several or malformed Host fields (§3.2), and any length of a body (§6.3), even
/// none: nothing here takes a body, and several equal lengths are shown to us as one.
pub(super) async fn refuse_ambiguous(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let count = |name: &HeaderName| headers.get_all(name).iter().count();
    let host_is_plain = headers.get_all(HOST).iter().all(is_host);
    let plain = request.uri().authority().is_none()
        && request.uri().scheme().is_none()
        && count(&HOST) == 1
        && host_is_plain
        && count(&CONTENT_LENGTH) == 0
        && count(&TRANSFER_ENCODING) == 0;
    if plain {
        return next.run(request).await;
    }
    // The connection is closed: what follows may be the rest of a body that we do not read.
    (
        StatusCode::BAD_REQUEST,
        [(header::CONNECTION, "close")],
        "malformed request\n",
    )
        .into_response()
}

/// A name or address with an optional port (RFC 9110 §7.2), without user info or anything else.
fn is_host(value: &HeaderValue) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b".-:[]".contains(b);
    !value.is_empty() && value.as_bytes().iter().all(plain)
}

/// Adds the headers that every answer carries.
pub(super) async fn harden(mut response: Response) -> Response {
    for (name, value) in SECURITY_HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
