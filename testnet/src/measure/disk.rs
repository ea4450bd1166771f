//! How many bytes processes handed to the disk, as the Linux kernel counts them.

use std::fs;

use anyhow::{Context, Result};

use crate::network::Network;

/// Bytes written so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// By each server, in order.
    pub servers: Vec<u64>,
    /// By this process, in which the people live.
    pub this_process: u64,
}

impl Written {
    /// Asks the kernel.
    ///
    /// # Errors
    /// When a server does not run, or the kernel does not count (it has to be Linux).
    pub fn by(network: &Network) -> Result<Self> {
        let plan = network.plan();
        let servers = plan.servers.iter().map(|server| {
            let pid = server.pid.context("a server does not run")?;
            bytes(&pid.to_string())
        });
        Ok(Self {
            servers: servers.collect::<Result<_>>()?,
            this_process: bytes("self")?,
        })
    }

    /// What was written since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let pairs = self.servers.iter().zip(&earlier.servers);
        Self {
            servers: pairs.map(|(now, then)| now.saturating_sub(*then)).collect(),
            this_process: self.this_process.saturating_sub(earlier.this_process),
        }
    }
}

fn bytes(process: &str) -> Result<u64> {
    let path = format!("/proc/{process}/io");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    Ok(line
        .with_context(|| format!("{path} counts no bytes"))?
        .parse()?)
}
