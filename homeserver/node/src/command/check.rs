//! `config check` and `config example`.

use std::process::ExitCode;

use serde_json::json;

use crate::config::{Config, Overrides, SHAPE, StoreKind, render};
use crate::credentials::Credentials;
use crate::data_dir::DataDir;
use crate::database;
use crate::https::tls_config;
use crate::registration;

/// Checks what the configuration names: folder, keys, certificate, token, database server. The configuration itself was
/// checked when it was read.
pub(super) fn run(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let mut faults: Vec<String> = Vec::new();
    let dir = DataDir::open(&config.server.data_dir);
    match dir
        .map_err(anyhow::Error::from)
        .and_then(|dir| Credentials::load(&dir, &config.did()).map_err(anyhow::Error::from))
    {
        Ok(_) => {}
        Err(fault) => faults.push(format!("{fault:#}")),
    }
    if let Err(fault) = tls_config(&config.tls) {
        faults.push(fault.to_string());
    }
    if let Err(fault) = registration::load(&config.registration) {
        faults.push(fault.to_string());
    }
    if config.store.kind == StoreKind::Postgres
        && let Err(fault) = database::check(&config.store)
    {
        faults.push(format!("{fault:#}"));
    }
    if json {
        println!("{}", json!({ "ok": faults.is_empty(), "faults": faults }));
    } else {
        for fault in &faults {
            eprintln!("error: {fault}");
        }
        if faults.is_empty() {
            println!("The configuration of {} is good.", config.did());
        }
    }
    Ok(if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints the example.
pub(super) fn example() -> anyhow::Result<ExitCode> {
    print!("{}", render(SHAPE, &Overrides::new()));
    Ok(ExitCode::SUCCESS)
}
