//! `send`: a message, and how far it came.

use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use entente_sdk::{MessageId, Milestone, RoomId, SendOptions};

use crate::args::Send;
use crate::failure::{Exit, Failure};
use crate::render::message::SentFact;
use crate::render::screen::Screen;
use crate::session::Session;

/// How many messages may be under way before the first of them is waited for.
const WINDOW: usize = 32;

/// Sends one message, or one per line.
pub async fn run(session: &Session<'_>, send: &Send) -> Result<(), Failure> {
    let texts = texts(send, session.screen)?;
    let milestone = Milestone::from(send.wait);
    if milestone != Milestone::Waiting && !session.options.offline {
        session.client.connect();
    }
    let room = session.find_room(&send.room).await?;
    let mut waited_for = 0;
    let mut ids = Vec::new();
    for text in &texts {
        let options = SendOptions::default();
        ids.push(session.client.send_text(room, text, options).await?);
        if ids.len() - waited_for >= WINDOW {
            report(session, room, ids[waited_for], milestone).await?;
            waited_for += 1;
        }
    }
    for id in &ids[waited_for..] {
        report(session, room, *id, milestone).await?;
    }
    Ok(())
}

fn texts(send: &Send, screen: Screen) -> Result<Vec<String>, Failure> {
    if let Some(text) = &send.text {
        return said(text).map(|text| vec![text]);
    }
    if io::stdin().is_terminal() {
        screen.remark("Write your message; Ctrl-D on an empty line sends it.");
    }
    let mut input = String::new();
    io::stdin()
        .read_to_string(&mut input)
        .map_err(|error| Failure::new(Exit::Usage, format!("cannot read the message: {error}")))?;
    if send.lines {
        let lines = input.lines().filter(|line| !line.trim().is_empty());
        return Ok(lines.map(str::to_owned).collect());
    }
    said(input.trim_end_matches(['\r', '\n'])).map(|text| vec![text])
}

fn said(text: &str) -> Result<String, Failure> {
    if text.trim().is_empty() {
        return Err(Failure::new(Exit::Usage, "there is nothing to send"));
    }
    Ok(text.to_owned())
}

/// Waits until the message has come as far as wanted, and shows how far it came in any case.
async fn report(
    session: &Session<'_>,
    room: RoomId,
    id: MessageId,
    milestone: Milestone,
) -> Result<(), Failure> {
    let limit = match (milestone, session.options.offline) {
        (Milestone::Waiting, _) | (_, true) => Duration::ZERO,
        (Milestone::Stored | Milestone::Ordered | Milestone::Delivered, false) => {
            session.options.patience()
        }
    };
    let waited = if limit.is_zero() {
        session.client.message(room, id).await
    } else {
        session.client.wait_for(room, id, milestone, limit).await
    };
    match waited {
        Ok(message) => session.screen.show(&SentFact::new(&message)),
        Err(error) => {
            let message = session.client.message(room, id).await?;
            session.screen.show(&SentFact::new(&message))?;
            Err(error.into())
        }
    }
}
