//! `listen`: prints what comes in.
//!
//! Without a room, everything since the last run is printed first, and each printed event is marked as
//! seen. With a room, its unread messages come first.

use std::collections::HashSet;
use std::time::Duration;

use entente_sdk::{Event, EventRecord, Events, From, Meaning, Message, MessageId, RoomId};
use tokio::time::{Instant, sleep_until};

use crate::args::Listen;
use crate::failure::{Exit, Failure};
use crate::render::event::{EventFact, Picker, RoomNames, room_of};
use crate::render::message::MessageFact;
use crate::session::Session;

/// As good as never.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Prints events until Ctrl-C, or until there were enough or it took long enough.
pub async fn run(session: &Session<'_>, listen: &Listen) -> Result<(), Failure> {
    let room = match &listen.room {
        Some(text) => Some(session.find_room(text).await?),
        None => None,
    };
    let from = match (listen.after, room) {
        (Some(position), _) => From::Position(position),
        (None, Some(_)) => From::Now,
        (None, None) => From::Unseen,
    };
    let events = session.client.events(from).await?;
    let mut listener = Listener::new(session, listen, room).await?;
    if let (Some(room), None) = (room, listen.after) {
        listener.print_unread(room).await?;
    }
    if !session.options.offline {
        session.client.connect();
    }
    let limit = session.options.timeout.unwrap_or(FOREVER);
    listener.follow(events, Instant::now() + limit).await
}

struct Listener<'a> {
    session: &'a Session<'a>,
    room: Option<RoomId>,
    names: RoomNames,
    picker: Picker,
    printed: HashSet<(RoomId, MessageId)>,
    count: usize,
    wanted: Option<usize>,
    marks_seen: bool,
}

impl<'a> Listener<'a> {
    async fn new(
        session: &'a Session<'a>,
        listen: &Listen,
        room: Option<RoomId>,
    ) -> Result<Self, Failure> {
        let names = match room {
            Some(_) => RoomNames::default(),
            None => RoomNames::of(&session.client.rooms().await?),
        };
        Ok(Self {
            session,
            room,
            names,
            picker: Picker::new(session.screen.is_json()),
            printed: HashSet::new(),
            count: 0,
            wanted: listen.count,
            marks_seen: room.is_none() && listen.after.is_none(),
        })
    }

    async fn print_unread(&mut self, room: RoomId) -> Result<(), Failure> {
        for message in &self.unread(room).await? {
            if self.is_done() {
                break;
            }
            self.note(message);
            let fact = MessageFact::dated(message);
            if self.session.screen.is_json() || fact.is_for_people() {
                self.session.screen.show(&fact)?;
            }
            self.session.mark_shown(message).await?;
        }
        Ok(())
    }

    /// Messages of others that were not shown yet, oldest first.
    async fn unread(&self, room: RoomId) -> Result<Vec<Message>, Failure> {
        let client = &self.session.client;
        let unread = client.room(room).await?.unread as usize;
        let mut limit = unread;
        loop {
            // Own messages stand between them.
            let mut messages = client.history(room, limit, None).await?;
            let is_all = messages.len() < limit;
            messages.retain(|message| !message.own);
            if messages.len() >= unread || is_all {
                let surplus = messages.len().saturating_sub(unread);
                messages.drain(..surplus);
                return Ok(messages);
            }
            limit *= 2;
        }
    }

    async fn follow(&mut self, mut events: Events, deadline: Instant) -> Result<(), Failure> {
        while !self.is_done() {
            let record = tokio::select! {
                record = events.next() => record,
                () = sleep_until(deadline) => return self.judge_time_out(),
                _ = tokio::signal::ctrl_c() => return Ok(()),
            };
            let Some(record) = record else { return Ok(()) };
            self.take(&record).await?;
        }
        Ok(())
    }

    async fn take(&mut self, record: &EventRecord) -> Result<(), Failure> {
        self.names.learn(&record.event);
        if self.concerns(record) {
            if let Event::Message(message) = &record.event {
                self.note(message);
            }
            self.session
                .screen
                .show(&EventFact::new(record, &self.names))?;
        }
        if let (Some(room), Event::Message(message)) = (self.room, &record.event)
            && message.room == room
        {
            self.session.mark_shown(message).await?;
        }
        if self.marks_seen && record.position > 0 {
            self.session.client.mark_seen(record.position).await?;
        }
        Ok(())
    }

    /// Whether an event is to be printed.
    fn concerns(&mut self, record: &EventRecord) -> bool {
        let here = match (self.room, room_of(&record.event)) {
            (Some(wanted), Some(room)) => wanted == room,
            (Some(_), None) => matches!(record.event, Event::Connection(_)),
            (None, _) => true,
        };
        let known = matches!(&record.event, Event::Message(message)
            if self.printed.contains(&(message.room, message.id)));
        here && !known && self.picker.wants(&record.event)
    }

    fn note(&mut self, message: &Message) {
        self.printed.insert((message.room, message.id));
        self.count += usize::from(!matches!(message.meaning(), Meaning::RoomProfile { .. }));
    }

    fn is_done(&self) -> bool {
        self.wanted.is_some_and(|wanted| self.count >= wanted)
    }

    fn judge_time_out(&self) -> Result<(), Failure> {
        match self.wanted {
            None => Ok(()),
            Some(wanted) => {
                let message = format!("{} of {wanted} messages came in time", self.count);
                Err(Failure::new(Exit::Unreachable, message))
            }
        }
    }
}
