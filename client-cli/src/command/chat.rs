//! `chat`: a conversation in one room, line by line.

use std::collections::HashSet;

use entente_sdk::{
    Event, EventRecord, Events, From, Handle, MessageId, Milestone, RoomSummary, SendOptions,
    UnixMillis,
};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use super::terminal::Terminal;
use crate::args::Chat;
use crate::failure::{Exit, Failure};
use crate::render::event::{EventFact, Picker, RoomNames, room_of};
use crate::render::inert;
use crate::render::message::MessageFact;
use crate::render::room::room_name;
use crate::render::screen::{BAD, FAINT, Fact, STRONG};
use crate::session::Session;

/// What `/help` says.
const HELP: &str = "\
/members          who is in the room
/history [N]      the last messages again
/invite HANDLE    invite somebody
/add HANDLE       add somebody at once
/remove HANDLE    remove somebody
/leave            leave the room for good
/quit             end this conversation; also Ctrl-D
//text            send a line that begins with a slash
Your messages carry marks in the history: … on this device, ✓ at your homeserver, ✓✓ in the
room's log, ✓✓✓ at every homeserver of the room, ✗ refused.";

/// Talks in a room until the input ends.
pub async fn run(session: &Session<'_>, chat: &Chat) -> Result<(), Failure> {
    session.try_catch_up().await;
    let room = session.room(&chat.room).await?;
    // Looks up who is not verified yet, where that goes quickly.
    session.client.members(room.id).await?;
    let events = session.client.events(From::Now).await?;
    let prompt = format!("{}> ", room_name(&room.name));
    let mut conversation = Conversation {
        session,
        terminal: Terminal::open(prompt)?,
        picker: Picker::new(session.screen.is_json()),
        printed: HashSet::new(),
        unsettled: HashSet::new(),
        room,
    };
    conversation.begin(chat.limit).await?;
    conversation.go_on(events).await
}

struct Conversation<'a> {
    session: &'a Session<'a>,
    room: RoomSummary,
    terminal: Terminal,
    picker: Picker,
    /// Messages that need no printing when their event comes.
    printed: HashSet<MessageId>,
    /// Own messages that are not in the log yet.
    unsettled: HashSet<MessageId>,
}

/// A line of input.
#[derive(Debug, PartialEq, Eq)]
enum Line<'l> {
    Say(&'l str),
    Order(&'l str, &'l str),
    Nothing,
}

/// What an order in a conversation brought.
#[derive(Serialize)]
struct Note {
    event: &'static str,
    text: String,
}

#[derive(PartialEq, Eq)]
enum Next {
    GoOn,
    End,
}

impl Conversation<'_> {
    async fn begin(&mut self, limit: usize) -> Result<(), Failure> {
        if self.terminal.has_person() {
            let name = room_name(&self.room.name);
            let members = match self.room.members {
                1 => "nobody but you".to_owned(),
                members => format!("{members} members"),
            };
            self.terminal.print(&format!(
                "{STRONG}{name}{STRONG:#}, {members} {FAINT}(/help, /quit){FAINT:#}"
            ))?;
        }
        self.show_history(limit).await
    }

    async fn go_on(&mut self, mut events: Events) -> Result<(), Failure> {
        loop {
            tokio::select! {
                record = events.next() => match record {
                    Some(record) => self.take(&record).await?,
                    None => return Ok(()),
                },
                line = self.terminal.next_line() => {
                    let Some(line) = line? else { break };
                    if self.obey(&line).await? == Next::End {
                        break;
                    }
                }
                _ = tokio::signal::ctrl_c() => break,
            }
        }
        self.settle(events).await
    }

    /// Before the end: what was said is to be in the log.
    async fn settle(&mut self, mut events: Events) -> Result<(), Failure> {
        let deadline = Instant::now() + self.session.options.patience();
        while !self.unsettled.is_empty() && !self.session.options.offline {
            match timeout_at(deadline, events.next()).await {
                Ok(Some(record)) => self.take(&record).await?,
                Ok(None) | Err(_) => {
                    let count = self.unsettled.len();
                    let message = format!("{count} messages are still on their way");
                    return Err(Failure::new(Exit::Unreachable, message));
                }
            }
        }
        Ok(())
    }

    async fn take(&mut self, record: &EventRecord) -> Result<(), Failure> {
        if let Event::MessageState { id, state, .. } = &record.event
            && (state.has_reached(Milestone::Ordered) || state.name() == "failed")
        {
            self.unsettled.remove(id);
        }
        let here = room_of(&record.event).is_none_or(|room| room == self.room.id);
        if !here || !self.is_wanted(&record.event) {
            return Ok(());
        }
        let line = self
            .session
            .screen
            .line(&EventFact::new(record, &RoomNames::default()));
        self.terminal.print(&line)?;
        if let Event::Message(message) = &record.event {
            self.session.mark_shown(message).await?;
        }
        Ok(())
    }

    fn is_wanted(&mut self, event: &Event) -> bool {
        let known = matches!(event, Event::Message(message) if self.printed.contains(&message.id));
        self.picker.wants(event) && (!known || self.session.screen.is_json())
    }

    async fn obey(&mut self, line: &str) -> Result<Next, Failure> {
        let end = match parse(line) {
            Line::Nothing => Ok(Next::GoOn),
            Line::Say(text) => self.say(text).await,
            Line::Order(order, argument) => self.order(order, argument).await,
        };
        match end {
            Ok(next) => Ok(next),
            Err(Failure::NobodyReads) => Err(Failure::NobodyReads),
            Err(failure) if self.session.screen.is_json() => {
                self.session.screen.fail(&failure);
                Ok(Next::GoOn)
            }
            Err(Failure::Told(told)) => {
                let message = inert::block(told.message(), "  ");
                self.terminal
                    .print(&format!("{BAD}error:{BAD:#} {message}"))?;
                Ok(Next::GoOn)
            }
        }
    }

    async fn say(&mut self, text: &str) -> Result<Next, Failure> {
        let (client, room) = (&self.session.client, self.room.id);
        let id = client.send_text(room, text, SendOptions::default()).await?;
        self.printed.insert(id);
        self.unsettled.insert(id);
        Ok(Next::GoOn)
    }

    async fn order(&mut self, order: &str, argument: &str) -> Result<Next, Failure> {
        let (client, room) = (&self.session.client, self.room.id);
        let note = match order {
            "help" => HELP.to_owned(),
            "quit" | "exit" => return Ok(Next::End),
            "members" => self.members().await?,
            "history" => {
                self.show_history(argument.parse().unwrap_or(20)).await?;
                return Ok(Next::GoOn);
            }
            "invite" => {
                client.invite(room, &handle(argument)?).await?;
                format!("invited {argument}")
            }
            "add" => {
                client.add(room, &handle(argument)?).await?;
                format!("added {argument}")
            }
            "remove" => {
                client.remove(room, &handle(argument)?).await?;
                format!("removed {argument}")
            }
            "leave" => {
                client.leave(room).await?;
                return Ok(Next::End);
            }
            other => {
                let message = format!(
                    "there is no /{}; /help lists what there is",
                    inert::line(other)
                );
                return Err(Failure::new(Exit::Usage, message));
            }
        };
        let line = self.session.screen.line(&Note::new(note));
        self.terminal.print(&line)?;
        Ok(Next::GoOn)
    }

    async fn members(&self) -> Result<String, Failure> {
        let members = self.session.client.members(self.room.id).await?;
        let names = members.iter().map(|member| member.handle.to_string());
        Ok(names.collect::<Vec<_>>().join(", "))
    }

    async fn show_history(&mut self, limit: usize) -> Result<(), Failure> {
        let (client, room) = (&self.session.client, self.room.id);
        let messages = client.history(room, limit, None).await?;
        for message in &messages {
            self.printed.insert(message.id);
            let fact = MessageFact::dated(message);
            if self.session.screen.is_json() || fact.is_for_people() {
                self.terminal.print(&self.session.screen.line(&fact))?;
            }
            self.session.mark_shown(message).await?;
        }
        Ok(())
    }
}

impl Note {
    fn new(text: String) -> Self {
        Self {
            event: "note",
            text,
        }
    }
}

impl Fact for Note {
    fn text(&self, _: UnixMillis) -> String {
        format!("{FAINT}{}{FAINT:#}", self.text)
    }
}

fn handle(text: &str) -> Result<Handle, Failure> {
    text.parse::<Handle>()
        .map_err(|fault| Failure::new(Exit::Usage, fault.to_string()))
}

fn parse(line: &str) -> Line<'_> {
    let line = line.trim_end();
    match line.strip_prefix('/') {
        _ if line.is_empty() => Line::Nothing,
        None => Line::Say(line),
        Some(slashed) if slashed.starts_with('/') => Line::Say(slashed),
        Some(order) => {
            let (order, argument) = order.split_once(' ').unwrap_or((order, ""));
            Line::Order(order, argument.trim())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_order_and_double_slashes_speak() {
        assert_eq!(parse("hello /quit"), Line::Say("hello /quit"));
        assert_eq!(parse("/quit"), Line::Order("quit", ""));
        assert_eq!(
            parse("/add  bob@org-b.test "),
            Line::Order("add", "bob@org-b.test")
        );
        assert_eq!(parse("//etc"), Line::Say("/etc"));
        assert_eq!(parse("  "), Line::Nothing);
        assert_eq!(parse("  indented"), Line::Say("  indented"));
    }
}
