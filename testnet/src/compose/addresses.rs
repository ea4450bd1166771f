//! A subnet for the servers of one network that no other network of Docker has.

use anyhow::{Result, bail};
use rand::Rng;
use rand::rngs::OsRng;

use crate::docker::{docker, text};

/// Where the subnets lie: 256 of them, in a private range that few others take.
const RANGE: &str = "10.213";
/// How many there are.
const SUBNETS: u32 = 256;

/// The first three numbers of a subnet that is free.
///
/// # Errors
/// When Docker cannot be asked, or every subnet is taken.
pub async fn free_prefix() -> Result<String> {
    let networks = text(docker().args(["network", "ls", "--quiet"])).await?;
    let mut inspect = docker();
    let template = "{{range .IPAM.Config}}{{.Subnet}} {{end}}";
    inspect.args(["network", "inspect", "--format", template]);
    inspect.args(networks.split_whitespace());
    let taken = text(&mut inspect).await?;
    let start = OsRng.gen_range(0..SUBNETS);
    choose(&taken, start)
}

fn choose(taken: &str, start: u32) -> Result<String> {
    for step in 0..SUBNETS {
        let prefix = format!("{RANGE}.{}", (start + step) % SUBNETS);
        let begins = format!("{prefix}.");
        if !taken
            .split_whitespace()
            .any(|subnet| subnet.starts_with(&begins))
        {
            return Ok(prefix);
        }
    }
    bail!(
        "every subnet of {RANGE}.0.0/16 is taken by a network of Docker; `docker network ls` shows them"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_that_is_taken_is_passed_over() {
        assert_eq!(choose("172.17.0.0/16\n", 7).unwrap(), "10.213.7");
        assert_eq!(
            choose("10.213.7.0/24 10.213.8.0/24", 7).unwrap(),
            "10.213.9"
        );
        assert_eq!(choose("10.213.255.0/24", 255).unwrap(), "10.213.0");
        let all: Vec<String> = (0..256).map(|n| format!("10.213.{n}.0/24")).collect();
        assert!(choose(&all.join(" "), 3).is_err());
    }
}
