//! `keys show`: what others know this server by.

use std::process::ExitCode;

use serde_json::json;

use crate::config::Config;
use crate::credentials::Credentials;
use crate::data_dir::DataDir;

pub(super) fn run(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let dir = DataDir::open(&config.server.data_dir)?;
    let credentials = Credentials::load(&dir, &config.did())?;
    let did = credentials.did();
    let public = credentials.key().public();
    let document = credentials.key_document_id();
    let (first, next) = (
        hex::encode(document.hash),
        hex::encode(credentials.next_key_hash()),
    );
    if json {
        println!(
            "{}",
            json!({
                "did": did.to_string(),
                "key_id": credentials.key_id(),
                "federation_key": public.to_string(),
                "since_ms": credentials.since().0,
                "first_key_document_sha256": first,
                "next_key_sha256": next,
            })
        );
    } else {
        println!("server              {did}");
        println!("key id              {}", credentials.key_id());
        println!("federation key      {public}");
        println!("first key document  sha256 {first}");
        println!("next key            sha256 {next}");
    }
    Ok(ExitCode::SUCCESS)
}
