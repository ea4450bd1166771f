//! `register`, `whoami`, `resolve`, `status`, `sync`.

use std::sync::{Arc, Mutex, PoisonError};

use entente_sdk::{Client, ErrorClass, RecoveryWords, RegisterOptions};

use crate::args::{Options, Register, Resolve};
use crate::failure::Failure;
use crate::render::person::{PersonFact, RecoveryWordsFact, WhoAmIFact};
use crate::render::screen::Screen;
use crate::render::status::{StatusFact, SyncFact};
use crate::session::{Session, network};
use crate::{profile, secret};

/// Opens an account. The recovery words are printed before anything is sent or stored.
pub async fn register(
    options: &Options,
    screen: Screen,
    register: &Register,
) -> Result<(), Failure> {
    let folder = profile::for_registration(options)?;
    let unlock = if Client::profile_exists(&folder) {
        secret::for_vault(options, &folder)?
    } else {
        secret::for_new_vault(options, register)?
    };
    let settings = RegisterOptions {
        token: secret::token(register)?,
        network: network(options).unwrap_or_default(),
    };
    let shown = Arc::new(Mutex::new(None));
    let result = Arc::clone(&shown);
    let show = move |words: &RecoveryWords| {
        let end = screen.show(&RecoveryWordsFact::new(words.reveal()));
        *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    };
    let handle = register.handle.clone();
    let client = Client::register(&folder, unlock, handle, settings, show).await;
    let shown = shown.lock().unwrap_or_else(PoisonError::into_inner).take();
    let client = match client {
        Ok(client) => client,
        Err(error) if shown.is_some() && error.class() == ErrorClass::Refused => {
            return Err(Failure::from(error).adding("The words above count for nothing."));
        }
        Err(error) => return Err(error.into()),
    };
    let end = tell(screen, &client).await;
    client.shutdown().await;
    shown.unwrap_or(Ok(())).and(end)
}

async fn tell(screen: Screen, client: &Client) -> Result<(), Failure> {
    screen.show(&WhoAmIFact::from(client.whoami().await?))
}

pub async fn whoami(session: &Session<'_>) -> Result<(), Failure> {
    tell(session.screen, &session.client).await
}

pub async fn resolve(session: &Session<'_>, resolve: &Resolve) -> Result<(), Failure> {
    let person = if resolve.accept_change {
        session.client.resolve_anew(&resolve.handle).await?
    } else {
        session.client.resolve(&resolve.handle).await?
    };
    session.screen.show(&PersonFact::from(person))
}

pub async fn status(session: &Session<'_>) -> Result<(), Failure> {
    session.try_catch_up().await;
    let me = session.client.whoami().await?;
    let status = session.client.status().await?;
    session
        .screen
        .show(&StatusFact::new(me.handle.to_string(), status))
}

pub async fn sync(session: &Session<'_>) -> Result<(), Failure> {
    session.catch_up().await?;
    session.settle_all().await?;
    let rooms = session.client.rooms().await?;
    let fact = SyncFact {
        unread: rooms.iter().map(|room| u64::from(room.unread)).sum(),
        waiting: session.client.status().await?.outbox.len(),
        invites: session.client.invites().await?.len(),
    };
    session.screen.show(&fact)
}
