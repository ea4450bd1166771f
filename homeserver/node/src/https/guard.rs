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
/// (RFC 9112 §3.2.2), no or several Host fields (§3.2), both or several body lengths (§6.3), and any
/// body at all, as nothing here takes one.
pub(super) async fn refuse_ambiguous(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let count = |name: &HeaderName| headers.get_all(name).iter().count();
    let no_body = headers
        .get_all(CONTENT_LENGTH)
        .iter()
        .all(|length| length.as_bytes() == b"0");
    let plain = request.uri().authority().is_none()
        && request.uri().scheme().is_none()
        && count(&HOST) == 1
        && count(&CONTENT_LENGTH) <= 1
        && count(&TRANSFER_ENCODING) == 0
        && no_body;
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

/// Adds the headers that every answer carries.
pub(super) async fn harden(mut response: Response) -> Response {
    for (name, value) in SECURITY_HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
