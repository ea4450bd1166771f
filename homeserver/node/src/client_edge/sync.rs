//! The *sync* flow: log entries and the device's own queue down, cursors back.
//!
//! Rows are the truth: the flow remembers how far it has sent, looks again at what it is woken for, and
//! at everything once in a while. What a device may read is what stands between the entry that brought
//! it in and the one that ended its time. A client that does not read makes this flow wait, and nobody
//! else.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use entente_groups::{LeafIndex, RoomId};
use entente_homeserver_core::rows::MemberRow;
use entente_homeserver_ops::read::sync::{RoomPage, queue_page, room_page};
use entente_homeserver_ops::{Answer, Command, Writers};
use entente_protocol::entry::Seq;
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::flow::{SyncEvent, SyncRequest};
use entente_protocol::limits::MAX_SYNC_ROOMS;
use entente_transport::{FlowReceiver, FlowSender, StreamFault};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::server::{Server, explain};
use crate::tails::{Slice, TailEntry};
use crate::wakes::{DeviceKey, Subscription, Wake};

/// Longest wait for the flow's first frame.
const OPEN_LIMIT: Duration = Duration::from_secs(10);
/// How often everything is looked at again, should a hint have been lost.
const RESCAN: Duration = Duration::from_secs(60);

/// Why a flow ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum FlowEnd {
    /// The stream ended or broke.
    #[error(transparent)]
    Stream(#[from] StreamFault),
    /// The server could not go on, or the client broke the protocol.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// One device's flow.
struct Sync {
    server: Arc<Server>,
    device: DeviceKey,
    events: FlowSender<SyncEvent>,
    subscription: Subscription,
    rooms: HashMap<RoomId, Place>,
    /// Where the client said that its copies end.
    cursors: HashMap<RoomId, Seq>,
    queue_sent: u64,
    queue_acked: u64,
}

/// How far a room has been sent.
#[derive(Clone, Copy, Debug)]
struct Place {
    leaf: LeafIndex,
    joined: Seq,
    left: Option<Seq>,
    sent: Seq,
    /// The device's own last entry among those sent.
    own: Seq,
    /// The watermark that was sent last.
    delivered: Option<Seq>,
}

/// Serves a flow until it ends.
pub(super) async fn serve(
    server: Arc<Server>,
    device: DeviceKey,
    events: FlowSender<SyncEvent>,
    mut requests: FlowReceiver<SyncRequest>,
) -> Result<(), FlowEnd> {
    let opening = timeout(OPEN_LIMIT, requests.next()).await;
    let Ok(Some(SyncRequest::Open {
        cursors,
        queue_after,
    })) = opening.unwrap_or(Ok(None))
    else {
        return Err(misuse("a sync flow begins with its cursors"));
    };
    if cursors.len() > MAX_SYNC_ROOMS {
        return Err(misuse("too many rooms in one sync"));
    }
    let subscription = server.wakes.subscribe(device);
    let mut sync = Sync {
        server,
        device,
        events,
        subscription,
        rooms: HashMap::new(),
        cursors: cursors.into_iter().collect(),
        queue_sent: queue_after,
        queue_acked: 0,
    };
    sync.send_everything().await?;
    sync.events.queue(&SyncEvent::CaughtUp).await?;
    sync.events.flush().await?;
    sync.follow(requests).await
}

fn misuse(detail: &str) -> FlowEnd {
    Fault::new(FaultCode::BadRequest, detail).into()
}

impl Sync {
    async fn follow(&mut self, mut requests: FlowReceiver<SyncRequest>) -> Result<(), FlowEnd> {
        let mut rescan = interval(RESCAN);
        rescan.set_missed_tick_behavior(MissedTickBehavior::Delay);
        rescan.reset();
        loop {
            tokio::select! {
                woken = self.subscription.take() => self.look(woken).await?,
                request = requests.next() => match request? {
                    Some(request) => self.acknowledge(request).await?,
                    None => return Ok(()),
                },
                _ = rescan.tick() => self.send_everything().await?,
            }
            self.events.flush().await?;
        }
    }

    /// Looks at what was woken; the queue first, as a Welcome goes before its room's entries.
    async fn look(&mut self, woken: HashSet<Wake>) -> Result<(), FlowEnd> {
        let mut before = HashSet::new();
        if woken.contains(&Wake::Device) {
            before = self.rooms.keys().copied().collect();
            self.load_rooms().await?;
            self.send_queue().await?;
        }
        for wake in &woken {
            if let Wake::Room(room) = wake {
                self.send_room(*room).await?;
            }
        }
        if woken.contains(&Wake::Device) {
            let rooms = self.rooms.iter();
            let unsent = rooms.filter(|(room, place)| !before.contains(room) || place.is_behind());
            let unsent: Vec<RoomId> = unsent.map(|(room, _)| *room).collect();
            for room in unsent {
                self.send_room(room).await?;
            }
        }
        Ok(())
    }

    async fn send_everything(&mut self) -> Result<(), FlowEnd> {
        self.load_rooms().await?;
        self.send_queue().await?;
        let rooms: Vec<RoomId> = self.rooms.keys().copied().collect();
        for room in rooms {
            if self.server.nodes.writers() == Writers::Several {
                // Nobody may have followed it here since another node wrote to it.
                self.server.tails.mark(room);
            }
            self.send_room(room).await?;
        }
        Ok(())
    }

    /// Reads in which rooms the device is, and follows those.
    async fn load_rooms(&mut self) -> Result<(), FlowEnd> {
        let (account, device) = self.device;
        let mut read = self.server.read().await?;
        let rows = read.memberships(&account, &device).await;
        drop(read);
        for row in rows.map_err(|fault| explain(&fault))? {
            self.place(&row);
        }
        Ok(())
    }

    fn place(&mut self, row: &MemberRow) {
        let begin = Seq(row.joined.0.saturating_sub(1));
        let cursor = self.cursors.get(&row.room).copied().unwrap_or(begin);
        let known = self.rooms.get(&row.room);
        let place = Place {
            leaf: row.leaf,
            joined: row.joined,
            left: row.left,
            sent: known.map_or(cursor, |place| place.sent).max(begin),
            own: known.map_or(Seq(0), |place| place.own),
            delivered: known.and_then(|place| place.delivered),
        };
        if place.is_over() {
            self.subscription.remove_room(row.room);
        } else {
            self.subscription.add_room(row.room);
        }
        self.rooms.insert(row.room, place);
    }

    /// Sends a room's entries as far as they go, and its watermark.
    async fn send_room(&mut self, room: RoomId) -> Result<(), FlowEnd> {
        while let Some(place) = self.rooms.get(&room).copied().filter(|p| !p.is_over()) {
            let slice = self.server.tails.slice(room, place.sent).await;
            let slice = slice.map_err(|fault| explain(&fault))?;
            let more = match slice {
                Some(slice) if place.left.is_none() => self.send_slice(room, place, slice).await?,
                Some(_) | None => self.send_page(room, place).await?,
            };
            if !more {
                break;
            }
        }
        if self.rooms.get(&room).is_some_and(|place| place.is_over()) {
            self.subscription.remove_room(room);
        }
        Ok(())
    }

    /// Sends what the shared tail has. Who left by one of its entries gets that entry and no more.
    async fn send_slice(
        &mut self,
        room: RoomId,
        mut place: Place,
        slice: Slice,
    ) -> Result<bool, FlowEnd> {
        let Slice {
            hub,
            mut entries,
            mut more,
            delivered,
        } = slice;
        let ends = entries.iter().position(|entry| self.is_left_by(&entry.0));
        if let Some(last) = ends {
            entries.truncate(last + 1);
            place.left = entries.last().map(|entry| entry.0.seq);
            more = false;
        }
        let me = self.server.me();
        for entry in &entries {
            place.note(entry.0.seq, entry.0.sender == (me.clone(), place.leaf));
        }
        if !entries.is_empty() {
            self.events.queue_entries(room, &hub, &entries).await?;
        }
        self.send_watermark(room, &mut place, delivered).await?;
        self.rooms.insert(room, place);
        Ok(more)
    }

    fn is_left_by(&self, entry: &TailEntry) -> bool {
        let Some(roster) = &entry.roster else {
            return false;
        };
        let (account, device) = self.device;
        let mut left = roster.delta.left.iter().chain(&roster.leaver);
        let gone = left.any(|gone| gone.account == account && gone.device == device);
        let mut joined = roster.delta.joined.iter();
        gone && !joined.any(|member| member.account == account && member.device == device)
    }

    /// Sends a page from the store.
    async fn send_page(&mut self, room: RoomId, mut place: Place) -> Result<bool, FlowEnd> {
        let mut read = self.server.read().await?;
        let page = room_page(&mut *read, self.device, room, place.sent).await;
        drop(read);
        let Some(page) = page.map_err(|fault| explain(&fault))? else {
            return Ok(false);
        };
        let RoomPage {
            hub,
            entries,
            at,
            more,
            delivered,
        } = page;
        let me = self.server.me();
        for entry in &entries {
            let header = &entry.header;
            let own = header.origin == *me && header.sender == place.leaf;
            place.note(header.seq, own);
        }
        place.sent = place.sent.max(at);
        if !entries.is_empty() {
            let event = SyncEvent::Entries { room, hub, entries };
            self.events.queue(&event).await?;
        }
        self.send_watermark(room, &mut place, delivered).await?;
        self.rooms.insert(room, place);
        Ok(more)
    }

    /// Sends how far the log is delivered: once at the beginning, then when it tells something new about
    /// the device's own messages.
    async fn send_watermark(
        &mut self,
        room: RoomId,
        place: &mut Place,
        delivered: Seq,
    ) -> Result<(), FlowEnd> {
        let told = place.delivered.unwrap_or(Seq(0));
        let of_own = place.own > told && delivered >= place.own;
        let seq = delivered.min(place.sent);
        if (place.delivered.is_none() || of_own) && seq > told {
            self.events
                .queue(&SyncEvent::Delivered { room, seq })
                .await?;
            place.delivered = Some(seq);
        }
        place.delivered = place.delivered.or(Some(Seq(0)));
        Ok(())
    }

    async fn send_queue(&mut self) -> Result<(), FlowEnd> {
        loop {
            let mut read = self.server.read().await?;
            let rows = queue_page(&mut *read, self.device, self.queue_sent).await;
            drop(read);
            let rows = rows.map_err(|fault| explain(&fault))?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in rows {
                self.queue_sent = row.number;
                let event = SyncEvent::Queued {
                    number: row.number,
                    time: row.time,
                    item: row.item,
                };
                self.events.queue(&event).await?;
            }
        }
    }

    /// The client has these on disk. Rooms need no row for that: the next flow begins with its cursors.
    async fn acknowledge(&mut self, request: SyncRequest) -> Result<(), FlowEnd> {
        let SyncRequest::Ack { queue, .. } = request else {
            return Err(misuse("a sync flow is opened once"));
        };
        let up_to = queue.min(self.queue_sent);
        if up_to <= self.queue_acked {
            return Ok(());
        }
        let command = Command::AcknowledgeQueue {
            device: self.device,
            up_to,
        };
        // One that fails is covered by the next.
        if let Ok(Answer::Done) = self.server.writer.execute(command).await {
            self.queue_acked = up_to;
        }
        Ok(())
    }
}

impl Place {
    /// Whether everything that the device may ever read has been sent.
    fn is_over(&self) -> bool {
        self.left.is_some_and(|left| self.sent >= left)
    }

    /// Whether the device came in after what was sent.
    fn is_behind(&self) -> bool {
        self.sent < self.joined
    }

    fn note(&mut self, seq: Seq, own: bool) {
        self.sent = seq;
        if own {
            self.own = seq;
        }
    }
}

#[cfg(test)]
mod tests;
