//! The stage of a play: a fresh network in a folder that goes away with it, unless it is to be kept.

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::args::Options;
use crate::narrator::Narrator;
use crate::network::{Binaries, Folder, Network};
use crate::scan::{ScanReport, Secret, scan};

/// A network for one play; dropping it kills the servers and removes the folder.
#[derive(Debug)]
pub struct Stage {
    /// The network.
    pub network: Network,
    /// Tells the story.
    pub narrator: Narrator,
    temporary: Option<TempDir>,
}

/// What becomes of the folder when the play is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// It goes away.
    Remove,
    /// It stays, for a closer look.
    Keep,
}

impl From<bool> for Afterwards {
    fn from(keep: bool) -> Self {
        if keep { Self::Keep } else { Self::Remove }
    }
}

impl Stage {
    /// Makes a network of `servers` organizations and starts it.
    ///
    /// # Errors
    /// When programs cannot be built, or a server does not come up.
    pub async fn set(options: &Options, servers: usize, afterwards: Afterwards) -> Result<Self> {
        let narrator = Narrator::new(options.json);
        let binaries = Binaries::find(options.build_choice()).await?;
        Self::with(binaries, options.named_folder(), servers, narrator)
            .await?
            .afterwards(afterwards)
    }

    /// The same with programs that are there already.
    ///
    /// # Errors
    /// When a server does not come up.
    pub async fn with(
        binaries: Binaries,
        named: Option<&std::path::Path>,
        servers: usize,
        narrator: Narrator,
    ) -> Result<Self> {
        let (folder, temporary) = match named {
            Some(path) => (Folder::at(path)?, None),
            None => {
                let temp = TempDir::with_prefix("entente-testnet-")
                    .context("cannot make a temporary folder")?;
                (Folder::at(&temp.path().join("network"))?, Some(temp))
            }
        };
        let mut network = Network::create(folder, binaries, servers).await?;
        {
            let _busy = narrator.busy("starting the servers");
            network.start_all().await?;
        }
        Ok(Self {
            network,
            narrator,
            temporary,
        })
    }

    fn afterwards(mut self, afterwards: Afterwards) -> Result<Self> {
        if let (Afterwards::Keep, Some(temp)) = (afterwards, &mut self.temporary) {
            temp.disable_cleanup(true);
            let path = temp.path().display();
            self.narrator.line(&format!("everything stays in {path}"));
        }
        Ok(self)
    }

    /// Reads every byte that the servers wrote and looks for secrets.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn scan(&self, secrets: &[Secret]) -> Result<ScanReport> {
        let _busy = self
            .narrator
            .busy("reading every byte that the servers wrote");
        scan(&self.network.folder().root().join("servers"), secrets)
    }
}
