//! `health`: the probe for containers and service managers; asks the admin address.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use crate::config::Config;

/// A server that does not answer in this time is not healthy.
const TIMEOUT: Duration = Duration::from_secs(3);
/// More than any answer has, in bytes.
const MAX_ANSWER_BYTES: u64 = 4096;

pub(super) fn run(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let answer = ask(reachable(config.listen.admin));
    let ready = answer.as_ref().is_ok_and(|answer| answer.ready);
    let detail = match &answer {
        Ok(answer) => answer.detail.clone(),
        Err(error) => format!("no answer from {}: {error}", config.listen.admin),
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

fn ask(address: SocketAddr) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    Ok(Answer {
        ready: head.starts_with("HTTP/1.1 200 "),
        detail: body.trim().to_owned(),
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
