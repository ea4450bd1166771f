//! `init`: a new server's folder, keys and configuration. Nothing that exists is touched.

use std::path::{Path, PathBuf, absolute};
use std::process::ExitCode;

use anyhow::{Context, bail};
use entente_identity::{Endpoint, ServerDid};
use rand::rngs::OsRng;
use serde_json::json;

use super::InitArgs;
use crate::clock::now;
use crate::config::{Config, Overrides, SHAPE, render, toml_string};
use crate::credentials::first_key_document;
use crate::data_dir::{DataDir, write_new};

pub(super) fn run(args: &InitArgs) -> anyhow::Result<ExitCode> {
    let data_dir = absolute(&args.data_dir)?;
    let file = match &args.config {
        Some(file) => absolute(file)?,
        None => data_dir.join("homeserver.toml"),
    };
    if file.exists() {
        bail!("{} exists already and is not overwritten", file.display());
    }
    let text = render(SHAPE, &overrides(args, &data_dir)?);
    let config = Config::parse(Some((&file, &text)), std::collections::BTreeMap::new())?;
    let did = config.did();
    let dir = DataDir::create(&data_dir)?;
    let _lock = dir.lock()?;
    let (key, next) = dir.create_keys(&did, &mut OsRng)?;
    let endpoint = Endpoint {
        host: config.public_host().clone(),
        port: config.public_port(config.listen.quic.port()),
    };
    let document = first_key_document(&did, &key.public(), &next.public(), endpoint, now());
    dir.create_key_document(&document.sign(&key))?;
    write_new(&file, text.as_bytes(), 0o644)
        .with_context(|| format!("cannot write {}", file.display()))?;
    if args.json {
        let key = key.public().to_string();
        println!(
            "{}",
            json!({ "did": did.to_string(), "data_dir": data_dir, "config": file, "federation_key": key })
        );
    } else {
        print_next_steps(&did, &data_dir, &file, &config);
    }
    Ok(ExitCode::SUCCESS)
}

/// The settings in which the new server differs from the defaults.
fn overrides(args: &InitArgs, data_dir: &Path) -> anyhow::Result<Overrides> {
    let mut overrides = Overrides::new();
    let mut set = |section, key, value: Option<String>| {
        if let Some(value) = value {
            overrides.insert((section, key), value);
        }
    };
    let text = |value: Option<&dyn ToString>| value.map(|value| toml_string(&value.to_string()));
    set("", "domain", text(Some(&args.domain)));
    set("", "data_dir", Some(path_string(data_dir)?));
    set(
        "listen",
        "quic",
        text(args.listen_quic.as_ref().map(|a| a as _)),
    );
    set(
        "listen",
        "https",
        text(args.listen_https.as_ref().map(|a| a as _)),
    );
    set(
        "listen",
        "admin",
        text(args.listen_admin.as_ref().map(|a| a as _)),
    );
    set(
        "public",
        "host",
        text(args.public_host.as_ref().map(|a| a as _)),
    );
    set(
        "public",
        "quic_port",
        args.public_port.map(|port| port.to_string()),
    );
    let path = |path: &Option<PathBuf>| -> anyhow::Result<Option<String>> {
        path.as_ref()
            .map(|path| path_string(&absolute(path)?))
            .transpose()
    };
    set("tls", "certificate", path(&args.tls_certificate)?);
    set("tls", "key", path(&args.tls_key)?);
    Ok(overrides)
}

fn path_string(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str();
    let text = text.with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(toml_string(text))
}

fn print_next_steps(did: &ServerDid, data_dir: &Path, file: &Path, config: &Config) {
    let domain = did.domain();
    let (file, data_dir) = (file.display(), data_dir.display());
    let https = config.listen.https.port();
    let port = config.public_port(config.listen.quic.port());
    let host = config.public_host();
    println!(
        "\
Made the homeserver {did}.
  keys           {data_dir} (back this folder up; whoever has it is this server)
  configuration  {file}

Next:
  1. Get an HTTPS certificate for {domain} and name its files in the section [tls].
  2. Let https://{domain}/ (TCP 443) reach TCP port {https} here, and UDP port {port} of {host} reach
     UDP port {udp} here.
  3. entente-homeserver config check --config {file}
  4. entente-homeserver serve --config {file}",
        udp = config.listen.quic.port(),
    );
}
