//! `health`: the probe for containers and service managers; asks the admin address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use reqwest::{Client, StatusCode, redirect};
use serde_json::json;

use crate::config::Config;

/// A server that does not answer in this time is not healthy.
const TIMEOUT: Duration = Duration::from_secs(3);
/// More than any answer has, in bytes.
const MAX_ANSWER_BYTES: usize = 4096;

pub(super) fn run(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let answer = ask(reachable(config.listen.admin));
    let ready = answer.as_ref().is_ok_and(|answer| answer.ready);
    let detail = match &answer {
        Ok(answer) => answer.detail.clone(),
        Err(error) => format!("no answer from {}: {error:#}", config.listen.admin),
    };
    if json {
        println!("{}", json!({ "ready": ready, "detail": detail }));
    } else {
        println!("{detail}");
    }
    Ok(if ready {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

struct Answer {
    ready: bool,
    detail: String,
}

fn ask(address: SocketAddr) -> anyhow::Result<Answer> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")?;
    runtime.block_on(async {
        let client = Client::builder()
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()?;
        let url = format!("http://{address}/readyz");
        let mut response = client.get(url).send().await?;
        let ready = response.status() == StatusCode::OK;
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await? {
            body.extend_from_slice(&part);
            if body.len() > MAX_ANSWER_BYTES {
                break;
            }
        }
        let detail = String::from_utf8_lossy(&body).trim().to_owned();
        Ok(Answer { ready, detail })
    })
}

/// An address that listens on every interface is asked on loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    address
}
