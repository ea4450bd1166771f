//! How a hostile organization receives the servers that dial it, and what it got from them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use entente_identity::{ServerDid, Signed};
use entente_protocol::call::{PeerRequest, PeerResponse};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::hello::{HELLO_EXPORTER_LABEL, Hello, HelloReply, PROTOCOL_VERSION, prove};
use entente_protocol::relay::{Batch, Item, RelayReply};
use entente_transport::{
    Connection, Endpoint, FlowReceiver, FlowSender, Incoming, IncomingCall, PendingStream,
};

use super::Voice;
use tokio::sync::watch;

use crate::clock::now;

/// How the organization treats those who dial it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manners {
    /// Greets and acknowledges everything.
    Polite,
    /// Greets and takes everything, but never acknowledges.
    Hoarding,
    /// Lets a connection come about and says nothing on it.
    Mute,
}

/// What came from other servers.
pub struct Reception {
    voice: Arc<Voice>,
    manners: watch::Sender<Manners>,
    state: Mutex<State>,
}

struct State {
    cursors: HashMap<ServerDid, (u64, u64)>,
    batches: Vec<(ServerDid, Batch)>,
    greetings: Vec<Signed<Hello>>,
    calls: Vec<(ServerDid, PeerRequest)>,
}

impl Reception {
    pub(super) fn new(voice: Arc<Voice>) -> Self {
        let state = State {
            cursors: HashMap::new(),
            batches: Vec::new(),
            greetings: Vec::new(),
            calls: Vec::new(),
        };
        Self {
            voice,
            manners: watch::Sender::new(Manners::Polite),
            state: Mutex::new(state),
        }
    }

    /// Changes the manners. Who becomes polite acknowledges what was hoarded.
    pub fn set_manners(&self, manners: Manners) {
        self.manners.send_replace(manners);
    }

    /// Every batch that came, as it was signed.
    #[must_use]
    pub fn batches(&self) -> Vec<(ServerDid, Batch)> {
        self.state().batches.clone()
    }

    /// Every item that a server handed over, in order.
    #[must_use]
    pub fn items_from(&self, server: &ServerDid) -> Vec<Item> {
        let state = self.state();
        let batches = state.batches.iter().filter(|(from, _)| from == server);
        let items = batches.flat_map(|(_, batch)| &batch.items);
        items
            .filter_map(|bytes| Item::from_bytes(bytes).ok())
            .collect()
    }

    /// The greetings that came.
    #[must_use]
    pub fn greetings(&self) -> Vec<Signed<Hello>> {
        self.state().greetings.clone()
    }

    /// The calls that came beside greetings.
    #[must_use]
    pub fn calls(&self) -> Vec<(ServerDid, PeerRequest)> {
        self.state().calls.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn greeted(&self, connection: &Connection, hello: &Signed<Hello>) -> Option<HelloReply> {
        let body = hello.claimed_body().ok()?;
        let mut state = self.state();
        state.greetings.push(hello.clone());
        let begin = (body.stream_epoch, body.begins_after);
        let known = state.cursors.get(&body.server).copied();
        let cursor = known.filter(|known| known.0 == begin.0).unwrap_or(begin);
        state.cursors.insert(body.server, cursor);
        Some(HelloReply {
            server: self.voice.did.clone(),
            version: PROTOCOL_VERSION,
            features: Vec::new(),
            stream_epoch: cursor.0,
            last_in: cursor.1,
            key_document: self.voice.key_document,
            exporter: connection.channel_binding(HELLO_EXPORTER_LABEL, &[]),
        })
    }

    /// Keeps a batch; says how far it goes.
    fn take(&self, from: &ServerDid, batch: Batch) -> Option<(u64, u64)> {
        let head = batch.head.claimed_body().ok()?;
        let up_to = head.first + u64::from(head.count) - 1;
        self.state().batches.push((from.clone(), batch));
        Some((head.stream_epoch, up_to))
    }

    /// Takes note of how far a stream is acknowledged.
    fn owns(&self, from: &ServerDid, cursor: (u64, u64)) -> RelayReply {
        self.state().cursors.insert(from.clone(), cursor);
        let (stream_epoch, up_to) = cursor;
        RelayReply::Ack {
            stream_epoch,
            up_to,
        }
    }
}

/// Takes connections for as long as the endpoint lives.
pub(super) async fn serve(reception: Arc<Reception>, endpoint: Endpoint) {
    while let Some(connection) = endpoint.accept().await {
        let guest = Arc::new(Guest {
            reception: Arc::clone(&reception),
            connection,
            server: Mutex::new(None),
        });
        tokio::spawn(async move {
            while let Ok(stream) = guest.connection.accept().await {
                let guest = Arc::clone(&guest);
                tokio::spawn(async move { guest.serve(stream).await });
            }
        });
    }
}

/// A connection that another server opened.
struct Guest {
    reception: Arc<Reception>,
    connection: Connection,
    server: Mutex<Option<ServerDid>>,
}

impl Guest {
    async fn serve(&self, stream: PendingStream) {
        if *self.reception.manners.borrow() == Manners::Mute {
            // Held open without a word until the other side gives up.
            self.connection.closed().await;
            return;
        }
        match stream.open().await {
            Ok(Incoming::PeerCall(call)) => self.answer(*call).await,
            Ok(Incoming::Relay(replies, batches)) => self.relay(replies, batches).await,
            Ok(Incoming::ClientCall(_) | Incoming::Submit(..) | Incoming::Sync(..)) | Err(_) => {}
        }
    }

    async fn answer(&self, call: IncomingCall<PeerRequest>) {
        let IncomingCall { request, responder } = call;
        let answer = match &request {
            PeerRequest::Hello(hello) => self.greet(hello),
            _ => {
                if let Some(server) = self.name() {
                    self.reception.state().calls.push((server, request.clone()));
                }
                let code = FaultCode::NoKeyPackage;
                Err(Fault::new(code, code.meaning()))
            }
        };
        // Whoever does not wait for the answer does not get it.
        let _ = responder.answer(answer).await;
    }

    fn greet(&self, hello: &Signed<Hello>) -> Result<PeerResponse, Fault> {
        let reply = self.reception.greeted(&self.connection, hello);
        let reply = reply.ok_or_else(|| Fault::new(FaultCode::BadRequest, "no greeting"))?;
        let server = hello.claimed_body().map(|body| body.server);
        let server = server.map_err(|_| Fault::new(FaultCode::BadRequest, "no greeting"))?;
        self.connection.trust();
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server.clone());
        let voice = &self.reception.voice;
        let reply = prove(&reply, voice.did.to_string(), &server, &voice.key, now());
        Ok(PeerResponse::Hello(reply))
    }

    async fn relay(&self, mut replies: FlowSender<RelayReply>, mut batches: FlowReceiver<Batch>) {
        let Some(server) = self.name() else { return };
        let mut manners = self.reception.manners.subscribe();
        let mut hoarded = None;
        loop {
            tokio::select! {
                batch = batches.next() => match batch {
                    Ok(Some(batch)) => hoarded = self.reception.take(&server, batch).or(hoarded),
                    Ok(None) | Err(_) => return,
                },
                changed = manners.changed() => if changed.is_err() { return },
            }
            let polite = *manners.borrow_and_update() == Manners::Polite;
            if let Some(cursor) = hoarded.take_if(|_| polite) {
                let reply = self.reception.owns(&server, cursor);
                if replies.send(&reply).await.is_err() {
                    return;
                }
            }
        }
    }

    fn name(&self) -> Option<ServerDid> {
        self.server
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
