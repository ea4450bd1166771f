//! Messages: writing, waiting for what becomes of them, reading.

use std::time::Duration;

use entente_client_core::message::{Message, MessageState, Milestone};
use entente_groups::{MessageId, RoomId};
use entente_protocol::content::Content;
use entente_protocol::entry::Seq;
use rand::rngs::OsRng;

use super::Client;
use crate::error::{Error, Result};

/// What a text refers to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendOptions {
    /// The message that it answers.
    pub reply_to: Option<MessageId>,
    /// The message that it takes the place of.
    pub edit: Option<MessageId>,
}

impl Client {
    /// Writes a message. It is in the vault when this returns; the worker hands it over.
    ///
    /// # Errors
    /// No such room, not a member, or too long.
    pub async fn send(&self, room: RoomId, content: Content) -> Result<MessageId> {
        self.vault()
            .run(move |vault, moment| vault.write_message(&room, &content, moment))
            .await
    }

    /// Writes a text.
    ///
    /// # Errors
    /// No such room or message, not a member, or too long.
    pub async fn send_text(
        &self,
        room: RoomId,
        text: &str,
        options: SendOptions,
    ) -> Result<MessageId> {
        let mut content = Content::text(text, &mut OsRng);
        if let Some(id) = options.reply_to {
            content.in_reply_to = Some(self.message(room, id).await?.content_id);
        }
        if let Some(id) = options.edit {
            content.replaces = Some(self.message(room, id).await?.content_id);
        }
        self.send(room, content).await
    }

    /// Reacts to a message.
    ///
    /// # Errors
    /// No such room or message, or not a member.
    pub async fn react(&self, room: RoomId, id: MessageId, emoji: &str) -> Result<MessageId> {
        let to = self.message(room, id).await?.content_id;
        self.send(room, Content::reaction(to, emoji, &mut OsRng))
            .await
    }

    /// Withdraws a message.
    ///
    /// # Errors
    /// No such room or message, or not a member.
    pub async fn delete(&self, room: RoomId, id: MessageId) -> Result<MessageId> {
        let what = self.message(room, id).await?.content_id;
        self.send(room, Content::delete(what, &mut OsRng)).await
    }

    /// Waits until a message has come as far as wanted.
    ///
    /// # Errors
    /// It was given up, or has not come that far in time.
    pub async fn wait_for(
        &self,
        room: RoomId,
        id: MessageId,
        milestone: Milestone,
        limit: Duration,
    ) -> Result<Message> {
        self.connect();
        let reached = self.wait_until(limit, move |vault| {
            let message = vault.message(&room, &id)?;
            let over = matches!(message.state, MessageState::Failed(_));
            Ok((over || message.state.has_reached(milestone)).then_some(message))
        });
        match reached.await? {
            Some(message) => match message.state {
                MessageState::Failed(code) => Err(Error::MessageFailed(code)),
                _ => Ok(message),
            },
            None => {
                let state = self.message(room, id).await?.state;
                Err(Error::MessageTimedOut { state })
            }
        }
    }

    /// One message.
    ///
    /// # Errors
    /// No such room or message.
    pub async fn message(&self, room: RoomId, id: MessageId) -> Result<Message> {
        self.vault()
            .look(move |vault| vault.message(&room, &id))
            .await
    }

    /// The messages of a room before a position, or the last ones; ascending, own ones that are not
    /// ordered yet at the end.
    ///
    /// # Errors
    /// No such room.
    pub async fn history(
        &self,
        room: RoomId,
        limit: usize,
        before: Option<Seq>,
    ) -> Result<Vec<Message>> {
        self.vault()
            .look(move |vault| vault.history(&room, limit, before))
            .await
    }
}
