//! What a command works with: the options, the screen, and the opened profile.

use std::time::Duration;

use entente_sdk::{Client, ErrorClass, Handle, Message, Network, RoomId, RoomSummary};
use futures::future::join_all;
use tokio::time::{sleep, timeout};

use crate::args::Options;
use crate::failure::{Exit, Failure};
use crate::render::screen::Screen;
use crate::{profile, secret};

/// How long a command that can do without news waits for them.
const NEWS_LIMIT: Duration = Duration::from_secs(5);
/// How often it is looked whether something has settled.
const POLL: Duration = Duration::from_millis(20);

/// The opened profile of one command.
pub struct Session<'a> {
    /// The options of the command line.
    pub options: &'a Options,
    /// Where results go.
    pub screen: Screen,
    /// The profile's client.
    pub client: Client,
}

impl<'a> Session<'a> {
    /// Opens the profile that the options name.
    ///
    /// # Errors
    /// When there is none, or its vault cannot be opened.
    pub async fn open(options: &'a Options, screen: Screen) -> Result<Self, Failure> {
        let folder = profile::existing(options)?;
        let unlock = secret::for_vault(options, &folder)?;
        let client = match network(options) {
            Some(network) => Client::open_on(&folder, unlock, network).await?,
            None => Client::open(&folder, unlock).await?,
        };
        Ok(Self {
            options,
            screen,
            client,
        })
    }

    /// Goes online and takes in all that the homeserver had: what changes a room begins here.
    ///
    /// # Errors
    /// When the homeserver cannot be reached in time, or the command line forbids it.
    pub async fn catch_up(&self) -> Result<(), Failure> {
        if self.options.offline {
            let message = "this needs the homeserver; leave out --offline";
            return Err(Failure::new(Exit::Usage, message));
        }
        Ok(self.client.caught_up(self.options.patience()).await?)
    }

    /// Takes in news if there is a way to get them: what only shows something begins here.
    pub async fn try_catch_up(&self) {
        if self.options.offline {
            return;
        }
        let limit = self.options.timeout.unwrap_or(NEWS_LIMIT);
        if let Err(error) = self.client.caught_up(limit).await {
            let text = format!("showing what is on this device: {error}");
            self.screen.remark(&text);
        }
    }

    /// The room that a text names.
    ///
    /// # Errors
    /// When there is none, or several.
    pub async fn room(&self, text: &str) -> Result<RoomSummary, Failure> {
        let id = self.find_room(text).await?;
        Ok(self.client.room(id).await?)
    }

    /// The id of the room that a text names.
    ///
    /// # Errors
    /// When there is none, or several.
    pub async fn find_room(&self, text: &str) -> Result<RoomId, Failure> {
        match self.client.find_room(text).await {
            Err(error) if error.class() == ErrorClass::NotMember && !self.options.offline => {
                // It may have come while this device was away.
                self.try_catch_up().await;
                Ok(self.client.find_room(text).await?)
            }
            found => Ok(found?),
        }
    }

    /// Remembers that a message was shown to the person.
    ///
    /// # Errors
    /// When the vault cannot be written.
    pub async fn mark_shown(&self, message: &Message) -> Result<(), Failure> {
        if let Some(at) = message.state.position() {
            self.client.mark_read_to(message.room, at.seq).await?;
        }
        Ok(())
    }

    /// Waits a moment until what this device owes a room is in its log: newcomers are told the room's
    /// name by whoever brought them in. What does not get there goes with the next command.
    pub async fn settle(&self, room: RoomId) {
        let settled = async {
            while self
                .client
                .room(room)
                .await
                .is_ok_and(|room| room.waiting > 0)
            {
                sleep(POLL).await;
            }
        };
        let _: Result<_, _> = timeout(NEWS_LIMIT, settled).await;
    }

    /// The same for every room; gives up after as long as the command line allows.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub async fn settle_all(&self) -> Result<(), Failure> {
        let limit = self.options.timeout.unwrap_or(NEWS_LIMIT);
        let settled = async {
            while self
                .client
                .rooms()
                .await?
                .iter()
                .any(|room| room.waiting > 0)
            {
                sleep(POLL).await;
            }
            Ok(())
        };
        // What does not get there in time is counted in the result.
        timeout(limit, settled).await.unwrap_or(Ok(()))
    }

    /// Looks up whose handles are not verified yet, as far as that goes quickly; who cannot be
    /// looked up now stays unverified.
    pub async fn verify(&self, handles: impl IntoIterator<Item = Handle>) {
        if self.options.offline {
            return;
        }
        let client = &self.client;
        let lookups = handles.into_iter().map(|handle| async move {
            let _: Result<_, _> = client.resolve(&handle).await;
        });
        let _: Result<_, _> = timeout(NEWS_LIMIT, join_all(lookups)).await;
    }
}

/// The network that the options name in place of the profile's.
#[must_use]
pub fn network(options: &Options) -> Option<Network> {
    let network = Network {
        host_table: options.host_table.clone(),
        extra_ca: options.extra_ca.clone(),
    };
    (network.host_table.is_some() || network.extra_ca.is_some()).then_some(network)
}
