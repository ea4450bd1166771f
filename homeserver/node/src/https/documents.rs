//! DID documents (did:web): the server's own, and one for each of its users.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use entente_identity::{AccountClaim, Domain, Handle, LocalPart, ServerDocument, UserDocument};
use entente_protocol::fault::Fault;
use futures::future::BoxFuture;

use super::key_document::KeyDocuments;

/// Finds what the account of a name says about itself.
pub type Directory =
    Arc<dyn Fn(LocalPart) -> BoxFuture<'static, Result<Option<AccountClaim>, Fault>> + Send + Sync>;

/// What is needed to answer.
#[derive(Clone)]
pub struct Documents {
    domain: Domain,
    server: Arc<[u8]>,
    keys: Arc<KeyDocuments>,
    directory: Directory,
}

impl Documents {
    /// The documents of a server and of the users that the directory finds.
    #[must_use]
    pub fn new(server: &ServerDocument, keys: KeyDocuments, directory: Directory) -> Self {
        Self {
            keys: Arc::new(keys),
            domain: server.did.domain().clone(),
            server: server.to_json().into(),
            directory,
        }
    }
}

/// `/.well-known/did.json`
pub(super) async fn server(State(documents): State<Documents>) -> Response {
    document(documents.server.to_vec())
}

/// `/.well-known/entente-key-document`: signed bytes, for whoever pins the chain of keys.
pub(super) async fn keys(State(documents): State<Documents>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "public, max-age=60"),
    ];
    (headers, documents.keys.current().to_vec()).into_response()
}

/// `/u/{local}/did.json`
pub(super) async fn user(
    State(documents): State<Documents>,
    local: Result<Path<String>, PathRejection>,
) -> Response {
    // A segment that is no text is no name either, and gets no answer of its own.
    let Some(local) = local
        .ok()
        .and_then(|Path(local)| local.parse::<LocalPart>().ok())
    else {
        return not_found().await;
    };
    let handle = Handle::new(local.clone(), documents.domain.clone());
    match (documents.directory)(local).await {
        Ok(Some(claim)) => published(&handle, &claim).await,
        Ok(None) => not_found().await,
        Err(fault) => {
            tracing::warn!(code = %fault.code, "a user's document could not be looked up");
            (StatusCode::SERVICE_UNAVAILABLE, "busy\n").into_response()
        }
    }
}

/// The document, if what is stored still holds together and is about this handle.
async fn published(handle: &Handle, claim: &AccountClaim) -> Response {
    match claim.verify() {
        Ok(account) if account.home.handle == *handle => document(UserDocument::to_json(&account)),
        Ok(_) => not_found().await,
        Err(fault) => {
            tracing::error!(%fault, account = %claim.account, "a stored account does not verify");
            not_found().await
        }
    }
}

/// The one answer to everything that is not there.
pub(super) async fn not_found() -> Response {
    (
        StatusCode::NOT_FOUND,
        [(header::CACHE_CONTROL, "no-store")],
        "not found\n",
    )
        .into_response()
}

fn document(json: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/did+json"),
        (header::CACHE_CONTROL, "public, max-age=60"),
    ];
    (headers, json).into_response()
}
