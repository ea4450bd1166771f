//! `admin peer trust`: what is pinned of other servers' keys.
//!
//! Works on the database itself, whether the server runs or not: the running server looks pins up there.

use std::process::ExitCode;

use anyhow::Context;
use entente_homeserver_core::Change;
use entente_homeserver_core::rows::PinRow;
use entente_homeserver_ops::Store;
use entente_identity::{Domain, ServerDid};
use futures::executor::block_on;
use serde_json::json;

use crate::assembly::open_store;
use crate::config::Config;
use crate::data_dir::DataDir;

/// Shows what is pinned; exits with 1 if nothing is.
pub(super) fn show(config: &Config, domain: &Domain, json: bool) -> anyhow::Result<ExitCode> {
    let server = ServerDid::new(domain.clone());
    let store = open(config)?;
    let Some(row) = block_on(pinned(&*store, &server))? else {
        eprintln!("nothing is pinned of {server}: its keys are pinned at first contact");
        return Ok(ExitCode::FAILURE);
    };
    let PinRow { pin, since } = row;
    let keys: Vec<String> = pin.keys.iter().map(|key| key.public.to_string()).collect();
    if json {
        let shown = json!({
            "did": server.to_string(),
            "key_document_seq": pin.seq,
            "key_document_sha256": hex::encode(pin.hash),
            "first_key_document_sha256": hex::encode(pin.first_hash),
            "federation_keys": keys,
            "issued_ms": pin.issued.0,
            "pinned_since_ms": since.0,
        });
        println!("{shown}");
    } else {
        println!("server              {server}");
        println!(
            "key document        number {}, sha256 {}",
            pin.seq,
            hex::encode(pin.hash)
        );
        println!("first key document  sha256 {}", hex::encode(pin.first_hash));
        for key in keys {
            println!("federation key      {key}");
        }
        println!("issued              {}", pin.issued);
        println!("pinned since        {since}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Forgets what is pinned: the next contact counts as the first one.
pub(super) fn reset(config: &Config, domain: &Domain, json: bool) -> anyhow::Result<ExitCode> {
    let server = ServerDid::new(domain.clone());
    let store = open(config)?;
    let was_pinned = block_on(async {
        let before = pinned(&*store, &server).await?;
        let mut tx = store.begin().await?;
        tx.apply(vec![Change::DropPin(server.clone())]).await?;
        tx.commit().await?;
        anyhow::Ok(before.is_some())
    })?;
    if json {
        println!(
            "{}",
            json!({ "did": server.to_string(), "was_pinned": was_pinned })
        );
    } else if was_pinned {
        println!(
            "the keys of {server} are forgotten; the next contact pins those that it shows then"
        );
    } else {
        println!("nothing was pinned of {server}");
    }
    Ok(ExitCode::SUCCESS)
}

fn open(config: &Config) -> anyhow::Result<std::sync::Arc<dyn Store>> {
    let dir = DataDir::open(&config.server.data_dir)?;
    open_store(config, &dir)
}

async fn pinned(store: &dyn Store, server: &ServerDid) -> anyhow::Result<Option<PinRow>> {
    let mut read = store.read().await?;
    let found = read.pin(server).await;
    found.context("the database does not answer")
}
