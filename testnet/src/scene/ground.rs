//! What a scene is played on: one kind of ground or the other, with the same words for both.

use anyhow::{Result, bail};

use super::contained::ContainedGround;
use super::local::LocalGround;
use super::script::{Act, Script};
use crate::args::On;
use crate::compose::StoreChoice;
use crate::compose::network::OF_TWO_NODES;
use crate::docker::Docker;
use crate::network::{Binaries, Folder, Plan};

/// Which ground is wanted.
#[derive(Clone, Debug)]
pub enum Choice {
    /// Processes of these programs.
    Local(Binaries),
    /// Containers, by these tools.
    Compose(Docker),
}

/// A network on which a scene is played.
#[derive(Debug)]
pub enum Ground {
    /// Processes on this machine.
    Local(Box<LocalGround>),
    /// Containers.
    Compose(Box<ContainedGround>),
}

impl Choice {
    /// As the command line names it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Local(_) => "local",
            Self::Compose(_) => "compose",
        }
    }

    /// Finds what the ground takes.
    ///
    /// # Errors
    /// When programs cannot be built, or Docker is missing.
    pub async fn find(on: On, build: crate::network::BuildChoice) -> Result<Self> {
        Ok(match on {
            On::Local => Self::Local(Binaries::find(build).await?),
            On::Compose => Self::Compose(Docker::find().await?),
        })
    }

    /// Why a scene cannot be played on this ground; nothing if it can.
    ///
    /// # Errors
    /// When Docker cannot be asked.
    pub async fn lacks(&self, script: &Script, store: StoreChoice) -> Result<Option<String>> {
        for act in &script.acts {
            let lacks = match act {
                Act::RestartDatabase { .. } if store == StoreChoice::Sqlite => Some(
                    "with SQLite the database is a part of the server's process; use --store postgres"
                        .to_owned(),
                ),
                Act::KillNode { .. } if store == StoreChoice::Sqlite => Some(
                    "with SQLite a server is one process and has no second node; use --store postgres"
                        .to_owned(),
                ),
                Act::KillNode { server, .. } => match self {
                    Self::Compose(_) if server != OF_TWO_NODES => Some(format!(
                        "in containers {server} has no second node, only {OF_TWO_NODES} has"
                    )),
                    Self::Compose(_) | Self::Local(_) => None,
                },
                Act::Clock { .. } => match self {
                    Self::Local(binaries) => super::local::lacks_clock(binaries).await,
                    Self::Compose(_) => super::contained::lacks_clock().await?,
                },
                _ => None,
            };
            if lacks.is_some() {
                return Ok(lacks);
            }
        }
        Ok(None)
    }

    /// Makes a network in a folder and starts it, with the nodes that a scene takes.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn raise(
        &self,
        folder: Folder,
        store: StoreChoice,
        script: &Script,
    ) -> Result<Ground> {
        let two = &script.of_two_nodes();
        Ok(match self {
            Self::Local(binaries) => {
                let ground = LocalGround::raise(folder, binaries.clone(), store, two).await?;
                Ground::Local(Box::new(ground))
            }
            Self::Compose(docker) => {
                let ground = ContainedGround::raise(folder, *docker, store, two).await?;
                Ground::Compose(Box::new(ground))
            }
        })
    }
}

impl Ground {
    /// Where people's profiles and the host table lie.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        match self {
            Self::Local(ground) => ground.network().folder(),
            Self::Compose(ground) => ground.network().folder(),
        }
    }

    /// The servers.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        match self {
            Self::Local(ground) => ground.network().plan(),
            Self::Compose(ground) => ground.network().plan(),
        }
    }

    /// Does to a server what an act says.
    ///
    /// # Errors
    /// When it cannot be done, or the server does not come back as it should.
    pub async fn strike(&mut self, act: &Act) -> Result<()> {
        let Some(server) = act.server() else {
            bail!("`{act}` is nothing that is done to a server");
        };
        let servers = &self.plan().servers;
        let Some(index) = servers.iter().position(|known| known.domain == server) else {
            bail!("this network has no server {server}");
        };
        match self {
            Self::Local(ground) => ground.strike(act, index).await,
            Self::Compose(ground) => ground.strike(act, index).await,
        }
    }

    /// Removes the network; `keep` leaves what it holds, for a closer look.
    ///
    /// # Errors
    /// When it does not stop or cannot be removed.
    pub async fn strike_down(self, keep: bool) -> Result<()> {
        match self {
            Self::Local(ground) => ground.strike_down(keep).await,
            Self::Compose(ground) => ground.strike_down(keep).await,
        }
    }
}
