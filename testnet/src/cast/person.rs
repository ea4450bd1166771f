//! One person, who does everything through the real client.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use entente_identity::Handle;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::line::{Line, Room, Sent};
use super::run::finish;
use crate::network::binaries::hermetic;
use crate::network::folder::private_file;
use crate::network::{Folder, Network};

/// How often something that is on its way is looked for.
const POLL: Duration = Duration::from_millis(200);
/// How long something may take to arrive once all servers run.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(90);

/// A person with a handle, and a profile of the client's in the network's folder.
#[derive(Clone, Debug)]
pub struct Person {
    handle: Handle,
    client: PathBuf,
    folder: Folder,
    hosts: Option<PathBuf>,
}

/// What a person learned when the account was opened.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The account's lasting identity.
    pub account: String,
    /// The account's recovery words.
    pub recovery_words: String,
}

impl Person {
    /// The person of a handle, registered or not yet.
    #[must_use]
    pub fn of(network: &Network, handle: &Handle) -> Self {
        let client = network.binaries().client.clone();
        Self::with_client(client, network.folder().clone(), handle.clone())
    }

    /// The person of a handle, with the client program and the network's folder.
    #[must_use]
    pub fn with_client(client: PathBuf, folder: Folder, handle: Handle) -> Self {
        Self {
            handle,
            client,
            folder,
            hosts: None,
        }
    }

    /// The same person, who finds servers by a host table of their own.
    #[must_use]
    pub fn with_hosts(self, hosts: PathBuf) -> Self {
        let hosts = Some(hosts);
        Self { hosts, ..self }
    }

    /// The handle.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The handle's part before the `@`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.handle.local().as_str()
    }

    /// The folder of the person's profile.
    #[must_use]
    pub fn profile(&self) -> PathBuf {
        let profiles = self.folder.people().join("profiles");
        profiles.join(self.handle.to_string())
    }

    /// The client, set up for this person; the arguments are still to come.
    #[must_use]
    pub fn command(&self) -> Command {
        let hosts = self.hosts.clone();
        let hosts = hosts.unwrap_or_else(|| self.folder.host_table());
        let mut command = hermetic(&self.client);
        command
            .env("ENTENTE_HOME", self.folder.people())
            .env("ENTENTE_PROFILE", self.handle.to_string())
            .env("ENTENTE_HOST_TABLE", hosts)
            .env("ENTENTE_EXTRA_CA", self.folder.authority());
        command
    }

    /// Lets the client do something and returns what it printed.
    ///
    /// # Errors
    /// A [`super::ClientFailure`] when it did not succeed.
    pub async fn run(&self, args: &[&str]) -> Result<Vec<Value>> {
        self.run_with(args, None).await
    }

    /// Opens the account; the recovery words go to the network's folder.
    ///
    /// # Errors
    /// A [`super::ClientFailure`] when it did not succeed.
    pub async fn register(&self) -> Result<Registration> {
        let handle = self.handle.to_string();
        let printed = self.run(&["register", &handle, "--key-file"]).await?;
        let field = |name: &str| {
            let found = printed.iter().find_map(|value| value[name].as_str());
            let found = found.with_context(|| format!("registering showed no {name}"));
            found.map(str::to_owned)
        };
        let registration = Registration {
            account: field("account")?,
            recovery_words: field("recovery_words")?,
        };
        let words = registration.recovery_words.as_bytes();
        private_file(&self.folder.person_words(&self.handle), words)?;
        Ok(registration)
    }

    /// Says something in a room and waits until it is in the log.
    ///
    /// # Errors
    /// A [`super::ClientFailure`] when it did not succeed.
    pub async fn say(&self, room: &str, text: &str) -> Result<Sent> {
        let mut sent = parsed(self.run(&["send", room, text]).await?)?;
        sent.pop().context("sending showed nothing")
    }

    /// Says several things, each in a message of its own, and waits until all are in the log.
    ///
    /// # Errors
    /// A [`super::ClientFailure`] when it did not succeed.
    pub async fn say_all(&self, room: &str, texts: &[String]) -> Result<Vec<Sent>> {
        let args = ["send", room, "--lines", "--timeout", "120"];
        parsed(self.run_with(&args, Some(texts.join("\n"))).await?)
    }

    /// Everything that was said in a room, as this person has it.
    ///
    /// # Errors
    /// A [`super::ClientFailure`] when it did not succeed.
    pub async fn history(&self, room: &str) -> Result<Vec<Line>> {
        parsed(self.run(&["history", room, "--limit", "100000"]).await?)
    }

    /// The person's rooms.
    ///
    /// # Errors
    /// A [`super::ClientFailure`] when it did not succeed.
    pub async fn rooms(&self) -> Result<Vec<Room>> {
        parsed(self.run(&["room", "list"]).await?)
    }

    /// Waits until what the person has of a room is as `fits` wants it, and returns it.
    ///
    /// # Errors
    /// When that does not come about in time.
    pub async fn history_when(
        &self,
        room: &str,
        what: &str,
        fits: impl Fn(&[Line]) -> bool,
    ) -> Result<Vec<Line>> {
        let deadline = Instant::now() + ARRIVAL_LIMIT;
        loop {
            let lines = self.history(room).await?;
            if fits(&lines) {
                return Ok(lines);
            }
            if Instant::now() >= deadline {
                let (handle, count) = (&self.handle, lines.len());
                bail!("{handle} waits in vain for {what}; has {count} messages");
            }
            sleep(POLL).await;
        }
    }

    /// Waits until one of the person's rooms is as `fits` wants it, and returns it.
    ///
    /// # Errors
    /// When that does not come about in time.
    pub async fn room_when(&self, what: &str, fits: impl Fn(&Room) -> bool) -> Result<Room> {
        let deadline = Instant::now() + ARRIVAL_LIMIT;
        loop {
            let rooms = self.rooms().await?;
            if let Some(room) = rooms.into_iter().find(|room| fits(room)) {
                return Ok(room);
            }
            if Instant::now() >= deadline {
                bail!("{} waits in vain for {what}", self.handle);
            }
            sleep(POLL).await;
        }
    }

    /// Waits until an invitation is there.
    ///
    /// # Errors
    /// When none comes in time.
    pub async fn invitation(&self) -> Result<Value> {
        let deadline = Instant::now() + ARRIVAL_LIMIT;
        loop {
            if let Some(invite) = self.run(&["invites"]).await?.pop() {
                return Ok(invite);
            }
            if Instant::now() >= deadline {
                bail!("no invitation came for {}", self.handle);
            }
            sleep(POLL).await;
        }
    }

    async fn run_with(&self, args: &[&str], input: Option<String>) -> Result<Vec<Value>> {
        let mut command = self.command();
        command.arg("--json").args(args);
        finish(command, args.join(" "), input).await
    }
}

fn parsed<T: DeserializeOwned>(values: Vec<Value>) -> Result<Vec<T>> {
    values
        .into_iter()
        .map(|value| {
            let text = value.to_string();
            serde_json::from_value(value).with_context(|| format!("unexpected: {text}"))
        })
        .collect()
}
