//! A person's device at a real server: everything that a client does, one step at a time.

use std::collections::VecDeque;

use anyhow::{Context, Result, bail};
use entente_groups::{
    KeyPackageOrder, KeyPackageUse, KeyPackages, MessageId, NewKeyPackage, RoomId, Suite, Ticket,
};
use entente_identity::{Handle, ServerDid, Signed};
use entente_protocol::call::{
    ClientRequest, ClientResponse, GroupInfoReply, GroupInfoRequest, HubCall, LoggedIn, Ordered,
    PublishKeyPackages, Register, RoomAccess, SealedInvite,
};
use entente_protocol::entry::{Entry, Seq};
use entente_protocol::flow::{
    DeviceItem, Submission, SubmitFrame, SubmitOutcome, SubmitReply, SyncEvent, SyncRequest,
};
use entente_protocol::hello::{LOGIN_EXPORTER_LABEL, LoginProof};
use entente_transport::{CallError, Connection, FlowReceiver, FlowSender};

use crate::clock::now;
use crate::dice::Dice;
use crate::door::{Door, Link};
use crate::patience::soon;
use crate::person::Person;
use crate::room::{Founding, Seat, joining};

/// A device with a connection on which it is logged in.
pub struct Device {
    /// Whose.
    pub person: Person,
    /// Its homeserver.
    pub door: Door,
    /// The connection.
    pub link: Link,
}

/// Logs a person in, with the statement that belongs to the connection.
///
/// # Errors
/// As of the call.
pub async fn log_in(
    connection: &Connection,
    person: &Person,
    server: &ServerDid,
) -> Result<LoggedIn, CallError> {
    let exporter = connection.channel_binding(LOGIN_EXPORTER_LABEL, b"");
    log_in_with(connection, person.signed_login(exporter, server)).await
}

/// Logs in with any statement.
///
/// # Errors
/// As of the call.
///
/// # Panics
/// Never: the transport reads only this call's reply.
pub async fn log_in_with(
    connection: &Connection,
    proof: Signed<LoginProof>,
) -> Result<LoggedIn, CallError> {
    match connection.call(&ClientRequest::Login(proof)).await? {
        ClientResponse::LoggedIn(logged_in) => Ok(logged_in),
        other => unreachable!("the reply to a login is read as one: {other:?}"),
    }
}

impl Device {
    /// Opens an account at a server and logs in.
    ///
    /// # Errors
    /// The server does not take it.
    pub async fn register(door: &Door, handle: Handle, dice: &mut Dice) -> Result<Self> {
        let person = Person::new(handle, dice);
        let link = door.connect().await?;
        let request = ClientRequest::Register(Register {
            claim: person.claim.clone(),
            token: None,
        });
        link.call(&request).await.context("cannot register")?;
        log_in(&link, &person, &door.did).await?;
        Ok(Self {
            person,
            door: door.clone(),
            link,
        })
    }

    /// Connects anew and logs in.
    ///
    /// # Errors
    /// The server does not take it.
    pub async fn reconnect(&mut self) -> Result<()> {
        let link = self.door.connect().await?;
        log_in(&link, &self.person, &self.door.did).await?;
        self.link = link;
        Ok(())
    }

    /// Founds a room at the own server.
    ///
    /// # Errors
    /// The server does not order it.
    pub async fn found(&self, dice: &mut Dice) -> Result<Seat> {
        let hub = &self.door.did;
        let founding = Founding::make(&self.person, hub, dice)?;
        let request = ClientRequest::CreateRoom(founding.request.clone());
        let ordered = ordered(self.link.call(&request).await?)?;
        Ok(founding.seat(hub, &ordered))
    }

    /// Asks a hub for what joining takes.
    ///
    /// # Errors
    /// As of the call.
    pub async fn group_info(
        &self,
        hub: &ServerDid,
        room: RoomId,
        access: RoomAccess,
    ) -> Result<GroupInfoReply> {
        let request = ClientRequest::GroupInfo(HubCall {
            hub: hub.clone(),
            request: GroupInfoRequest { room, access },
        });
        match self.link.call(&request).await? {
            ClientResponse::GroupInfo(reply) => Ok(reply),
            other => bail!("another reply: {other:?}"),
        }
    }

    /// Joins a room by a ticket.
    ///
    /// # Errors
    /// The hub does not let the device in.
    pub async fn join(
        &self,
        hub: &ServerDid,
        room: RoomId,
        ticket: &Signed<Ticket>,
        dice: &mut Dice,
    ) -> Result<Seat> {
        let access = RoomAccess::Ticket(Box::new(ticket.clone()));
        let reply = self.group_info(hub, room, access).await?;
        let (member, request) = joining(&self.person, room, &reply, ticket, dice)?;
        let request = ClientRequest::Commit(HubCall {
            hub: hub.clone(),
            request,
        });
        let ordered = ordered(self.link.call(&request).await?)?;
        Ok(Seat {
            member,
            head: ordered.at,
            hub: hub.clone(),
        })
    }

    /// Opens the flow on which messages are handed in.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn submitting(&self) -> Result<Submitting> {
        let (frames, replies) = self.link.open_submit().await?;
        Ok(Submitting { frames, replies })
    }

    /// Opens the flow on which news come.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn inbox(&self, cursors: Vec<(RoomId, Seq)>, queue_after: u64) -> Result<Inbox> {
        let (mut requests, events) = self.link.open_sync().await?;
        let open = SyncRequest::Open {
            cursors,
            queue_after,
        };
        requests.send(&open).await?;
        Ok(Inbox {
            events,
            _requests: requests,
            last: queue_after,
            waiting: VecDeque::new(),
        })
    }

    /// Makes KeyPackages and has the server keep them.
    ///
    /// # Errors
    /// The server does not take them.
    pub async fn publish(&self, usage: KeyPackageUse, count: usize) -> Result<Vec<NewKeyPackage>> {
        let order = KeyPackageOrder {
            count,
            suite: Suite::Classical,
            usage,
            now: now(),
            lifetime_ms: 3_600_000,
        };
        let (identity, key) = (&self.person.identity, self.person.key());
        let made = KeyPackages::new().generate(order, identity, key)?;
        let packages = made.iter().map(|made| made.bytes.clone()).collect();
        let request = ClientRequest::PublishKeyPackages(PublishKeyPackages { packages });
        self.link.call(&request).await?;
        Ok(made)
    }
}

/// An invitation of nonsense to a device.
#[must_use]
pub fn nonsense_invite(to: &Person, message_id: MessageId) -> ClientRequest {
    ClientRequest::Invite(SealedInvite {
        account: to.account,
        home: to.home(),
        message_id,
        sealed: vec![(to.device, vec![7; 64])],
    })
}

/// Where something was ordered.
///
/// # Errors
/// The response is another one.
pub fn ordered(response: ClientResponse) -> Result<Ordered> {
    match response {
        ClientResponse::Ordered(ordered) => Ok(ordered),
        other => bail!("not ordered: {other:?}"),
    }
}

/// The flow on which a device hands messages in.
pub struct Submitting {
    /// Messages up.
    pub frames: FlowSender<SubmitFrame>,
    /// Their fates down.
    pub replies: FlowReceiver<SubmitReply>,
}

impl Submitting {
    /// Hands a message in and waits for its fate.
    ///
    /// # Errors
    /// The flow breaks, or nothing comes.
    pub async fn submit(
        &mut self,
        hub: &ServerDid,
        submission: Submission,
    ) -> Result<SubmitOutcome> {
        let frame = SubmitFrame {
            hub: hub.clone(),
            submission,
        };
        self.frames.send(&frame).await?;
        let reply = soon("the fate of a message", self.replies.next()).await??;
        Ok(reply.context("the flow of messages ended")?.outcome)
    }
}

/// The flow on which a device's news come.
pub struct Inbox {
    events: FlowReceiver<SyncEvent>,
    _requests: FlowSender<SyncRequest>,
    last: u64,
    waiting: VecDeque<Entry>,
}

impl Inbox {
    /// The next event.
    ///
    /// # Errors
    /// The flow breaks, or nothing comes.
    pub async fn event(&mut self) -> Result<SyncEvent> {
        let event = soon("news", self.events.next()).await??;
        event.context("the flow of news ended")
    }

    /// The next entry of any room; whatever else comes is passed over.
    ///
    /// # Errors
    /// As of [`Self::event`].
    pub async fn entry(&mut self) -> Result<Entry> {
        loop {
            if let Some(entry) = self.waiting.pop_front() {
                return Ok(entry);
            }
            if let SyncEvent::Entries { entries, .. } = self.event().await? {
                self.waiting.extend(entries);
            }
        }
    }

    /// The next item of the device's own queue; whatever else comes is passed over.
    ///
    /// # Errors
    /// As of [`Self::event`], or its number does not ascend.
    pub async fn item(&mut self) -> Result<DeviceItem> {
        loop {
            if let SyncEvent::Queued { number, item, .. } = self.event().await? {
                if number <= self.last {
                    bail!("item {number} after {}", self.last);
                }
                self.last = number;
                return Ok(item);
            }
        }
    }

    /// The ids of invitations and kinds of other items, up to what is there now.
    ///
    /// # Errors
    /// As of [`Self::event`].
    pub async fn items_until_caught_up(&mut self) -> Result<Vec<DeviceItem>> {
        let mut items = Vec::new();
        loop {
            match self.event().await? {
                SyncEvent::Queued { number, item, .. } => {
                    self.last = number;
                    items.push(item);
                }
                SyncEvent::Entries { entries, .. } => self.waiting.extend(entries),
                SyncEvent::CaughtUp => return Ok(items),
                SyncEvent::Delivered { .. } => {}
            }
        }
    }

    /// Entries that came beside other things.
    #[must_use]
    pub fn entries_so_far(&mut self) -> Vec<Entry> {
        self.waiting.drain(..).collect()
    }
}
