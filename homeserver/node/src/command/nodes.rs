//! `admin nodes`: the nodes of this server, and which of them drives the link to which other server.
//!
//! Works on the database itself, whether the server runs or not.

use std::process::ExitCode;

use anyhow::Context;
use entente_homeserver_core::rows::{LinkRow, NodeRow, PeerRow};
use entente_homeserver_ops::StoreFault;
use futures::executor::block_on;
use serde_json::{Value, json};

use crate::assembly::open_store;
use crate::config::{Config, MigrationMode};
use crate::data_dir::DataDir;
use crate::nodes::links;

/// What the rows say.
struct Rows {
    nodes: Vec<NodeRow>,
    links: Vec<LinkRow>,
    peers: Vec<PeerRow>,
}

/// Lists nodes and links.
pub(super) fn run(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let dir = DataDir::open(&config.server.data_dir)?;
    let mut config = config.clone();
    // Whoever only looks brings nothing up to date.
    config.store.migrations = MigrationMode::Refuse;
    let store = open_store(&config, &dir)?;
    let rows = block_on(async {
        let mut read = store.read().await?;
        Ok::<_, StoreFault>(Rows {
            nodes: read.nodes().await?,
            links: links(&mut *read).await?,
            peers: read.peers().await?,
        })
    });
    let rows = rows.context("the database does not answer")?;
    if json {
        println!("{}", rows.to_json());
    } else {
        rows.print();
    }
    Ok(ExitCode::SUCCESS)
}

impl Rows {
    fn holder(&self, link: &LinkRow) -> Option<&NodeRow> {
        self.nodes.iter().find(|row| row.node == link.holder)
    }

    fn owed(&self, link: &LinkRow) -> u64 {
        let peer = self.peers.iter().find(|row| row.server == link.peer);
        peer.map_or(0, |row| row.last_out - row.acked)
    }

    fn to_json(&self) -> Value {
        let nodes = self
            .nodes
            .iter()
            .map(|row| json!({ "node": row.node.to_string(), "name": row.name, "beat": row.beat }));
        let links = self.links.iter().map(|link| {
            json!({
                "peer": link.peer.to_string(),
                "node": self.holder(link).map(|row| row.node.to_string()),
                "name": self.holder(link).map(|row| row.name.clone()),
                "fence": link.fence,
                "owed": self.owed(link),
            })
        });
        json!({ "nodes": nodes.collect::<Vec<_>>(), "links": links.collect::<Vec<_>>() })
    }

    fn print(&self) {
        for row in &self.nodes {
            println!("node {}  {}  beat {}", row.node, row.name, row.beat);
        }
        if self.nodes.is_empty() {
            println!("no node runs");
        }
        for link in &self.links {
            let driven = match self.holder(link) {
                Some(row) => format!("driven by {} ({})", row.node, row.name),
                None => "driven by nobody".to_owned(),
            };
            let (fence, owed) = (link.fence, self.owed(link));
            println!("link {}  {driven}, fence {fence}, owed {owed}", link.peer);
        }
    }
}
