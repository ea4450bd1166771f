//! A person inside this process: the SDK under the client program, with a real vault on disk. For plays
//! that need thousands of messages or hundreds of people.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use entente_identity::Handle;
use entente_sdk::{
    Client, InviteId, Meaning, Message, MessageId, Milestone, RecoveryWords, RegisterOptions,
    RoomId, SendOptions, Unlock,
};
use tokio::time::{Instant, sleep};

use crate::network::Folder;
use crate::network::folder::{private_file, private_folder};

/// How long one step of a person may take, through any number of restarts of servers.
const STEP_LIMIT: Duration = Duration::from_secs(180);
/// How often something that is on its way is looked for.
const POLL: Duration = Duration::from_millis(50);
/// More messages than any play has.
const ALL: usize = 1_000_000;

/// A person whose client runs inside this process.
#[derive(Clone)]
pub struct Member {
    handle: Handle,
    client: Client,
    profile: PathBuf,
    words: Arc<str>,
}

/// What somebody knows of a room's log.
#[derive(Clone, Debug)]
pub struct KnownLog {
    /// Its last position.
    pub end: u64,
    /// How many of its entries are commits.
    pub commits: u64,
    /// Where the messages stand.
    pub places: BTreeSet<(u64, MessageId)>,
}

impl KnownLog {
    /// Checks that every entry after the room's first one is a commit or a message that is shown: none stands
    /// there twice, no place is empty or taken by two. For rooms that nobody left, and who was there from the
    /// beginning.
    ///
    /// # Errors
    /// When there are more entries, or fewer.
    pub fn is_whole(&self) -> Result<()> {
        let places: HashSet<u64> = self.places.iter().map(|(seq, _)| *seq).collect();
        let shown = self.places.len();
        ensure!(places.len() == shown, "two messages stand at one place");
        let entries = 1 + self.commits + u64::try_from(shown)?;
        ensure!(
            self.end == entries,
            "the log has {} entries, where the first, {} commits and {shown} messages are known",
            self.end,
            self.commits
        );
        Ok(())
    }
}

impl Member {
    /// Opens an account and goes online.
    ///
    /// # Errors
    /// When the homeserver refuses or cannot be reached.
    pub async fn register(folder: &Folder, handle: &Handle) -> Result<Self> {
        let profile = profile_of(folder, handle);
        private_folder(&profile)?;
        let options = RegisterOptions {
            token: None,
            network: entente_sdk::Network {
                host_table: Some(folder.host_table()),
                extra_ca: Some(folder.authority()),
            },
        };
        let words = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&words);
        let show = move |words: &RecoveryWords| {
            words
                .reveal()
                .clone_into(&mut shown.lock().unwrap_or_else(PoisonError::into_inner));
        };
        let client = Client::register(&profile, Unlock::KeyFile, handle.clone(), options, show)
            .await
            .with_context(|| format!("{handle} cannot register"))?;
        client.online(STEP_LIMIT).await?;
        let words = words.lock().unwrap_or_else(PoisonError::into_inner).clone();
        private_file(&folder.person_words(handle), words.as_bytes())?;
        Ok(Self {
            handle: handle.clone(),
            client,
            profile,
            words: words.into(),
        })
    }

    /// The handle.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The SDK's client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The folder of the profile.
    #[must_use]
    pub fn profile(&self) -> &PathBuf {
        &self.profile
    }

    /// The account's recovery words.
    #[must_use]
    pub fn words(&self) -> &str {
        &self.words
    }

    /// Waits for an invitation and joins.
    ///
    /// # Errors
    /// When none comes in time, or joining fails.
    pub async fn join_next(&self) -> Result<RoomId> {
        let deadline = Instant::now() + STEP_LIMIT;
        let invite: InviteId = loop {
            if let Some(invite) = self.client.invites().await?.first() {
                break invite.id;
            }
            if Instant::now() >= deadline {
                bail!("no invitation came for {}", self.handle);
            }
            sleep(POLL).await;
        };
        Ok(self.client.join(invite).await?)
    }

    /// Waits until the room has so many accounts, as this person knows it.
    ///
    /// # Errors
    /// When that does not come about in time.
    pub async fn room_of(&self, room: RoomId, members: usize) -> Result<()> {
        let deadline = Instant::now() + STEP_LIMIT;
        loop {
            let known = self.client.rooms().await?;
            let count = known.iter().find(|known| known.id == room);
            if count.is_some_and(|known| known.members == members) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let count = count.map_or(0, |known| known.members);
                bail!("{} sees {count} of {members} members", self.handle);
            }
            sleep(POLL).await;
        }
    }

    /// Hands a message to the vault; it is on its way.
    ///
    /// # Errors
    /// When the vault cannot take it.
    pub async fn begin(&self, room: RoomId, text: &str) -> Result<MessageId> {
        let options = SendOptions::default();
        Ok(self.client.send_text(room, text, options).await?)
    }

    /// Waits until a message is in the room's log.
    ///
    /// # Errors
    /// When it is refused, or not there in time.
    pub async fn ordered(&self, room: RoomId, id: MessageId) -> Result<Message> {
        let client = &self.client;
        let waited = client
            .wait_for(room, id, Milestone::Ordered, STEP_LIMIT)
            .await;
        waited.with_context(|| format!("a message of {} got stuck", self.handle))
    }

    /// The texts that this person has of a room, in order.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub async fn texts(&self, room: RoomId) -> Result<Vec<String>> {
        let messages = self.client.history(room, ALL, None).await?;
        Ok(messages.iter().filter_map(text_of).collect())
    }

    /// Those of the texts that this person knows to be in the room's log.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub async fn texts_in_log(&self, room: RoomId) -> Result<Vec<String>> {
        let messages = self.client.history(room, ALL, None).await?;
        let ordered = messages.iter().filter(|it| it.state.position().is_some());
        Ok(ordered.filter_map(text_of).collect())
    }

    /// What this person knows of a room's log, and of which messages.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub async fn log(&self, room: RoomId) -> Result<KnownLog> {
        let summary = self.client.room(room).await?;
        let messages = self.client.history(room, ALL, None).await?;
        let places = messages.iter().filter_map(|message| {
            let position = message.state.position()?;
            Some((position.seq.0, message.id))
        });
        Ok(KnownLog {
            end: summary.cursor.0,
            commits: summary.epoch.0,
            places: places.collect(),
        })
    }

    /// Waits until this person has so many texts of a room, and returns them.
    ///
    /// # Errors
    /// When the vault cannot be read. When they do not come in time, those that came are returned.
    pub async fn texts_when(&self, room: RoomId, count: usize) -> Result<Vec<String>> {
        let deadline = Instant::now() + STEP_LIMIT;
        loop {
            let texts = self.texts(room).await?;
            if texts.len() >= count || Instant::now() >= deadline {
                return Ok(texts);
            }
            sleep(10 * POLL).await;
        }
    }
}

fn text_of(message: &Message) -> Option<String> {
    match message.meaning() {
        Meaning::Text(text) => Some(text),
        Meaning::Reaction(_)
        | Meaning::Deleted
        | Meaning::RoomProfile { .. }
        | Meaning::Unknown { .. } => None,
    }
}

fn profile_of(folder: &Folder, handle: &Handle) -> PathBuf {
    folder.people().join("profiles").join(handle.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(end: u64, places: &[u64], says: Option<&str>) {
        let ids = (0..).map(|id| MessageId([id; 16]));
        let log = KnownLog {
            end,
            commits: 2,
            places: places.iter().copied().zip(ids).collect(),
        };
        match (log.is_whole(), says) {
            (Ok(()), None) => {}
            (Err(error), Some(says)) => assert!(error.to_string().contains(says), "{error}"),
            (result, _) => panic!("{end}, {places:?}: {result:?}"),
        }
    }

    #[test]
    fn a_log_holds_what_is_shown_and_nothing_twice() {
        check(6, &[3, 5, 6], None);
        check(7, &[3, 5, 6], Some("the log has 7 entries"));
        check(6, &[3, 5], Some("the log has 6 entries"));
        check(6, &[3, 5, 5], Some("at one place"));
    }
}
