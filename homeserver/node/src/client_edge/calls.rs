//! The calls of devices: each goes to its operation, here or at the room's hub.

use std::sync::Arc;

use entente_homeserver_core::create_room;
use entente_homeserver_ops::read::status::waiting;
use entente_homeserver_ops::{Answer, Command};
use entente_identity::{AccountDid, ServerDid};
use entente_protocol::call::{
    ClientRequest, ClientResponse, CreateRoom, HubCall, PeerRequest, PeerResponse, Register,
    ServerStatus, Vouched,
};
use entente_protocol::fault::{Fault, FaultCode};

use crate::clock::now;
use crate::hub::{self, Asker, misbehaved, wrong_answer};
use crate::pipeline::{Named, Pipeline, pipeline};
use crate::quotas::{self, Quotas};
use crate::server::{Server, explain, off_thread};
use crate::wakes::DeviceKey;

/// Most calls of devices under way at once.
const MAX_CALLS: usize = 2048;

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub enum Caller {
    /// Nobody is logged in on the connection.
    Stranger,
    /// A device.
    Device(DeviceKey),
}

/// A call, with who makes it.
#[derive(Debug)]
pub struct ClientCall {
    /// Who.
    pub caller: Caller,
    /// What.
    pub request: ClientRequest,
}

impl Named for ClientCall {
    fn name(&self) -> &'static str {
        match self.request {
            ClientRequest::Register(_) => "register",
            ClientRequest::Login(_) => "login",
            ClientRequest::PublishKeyPackages(_) => "publish-key-packages",
            ClientRequest::CreateRoom(_) => "create-room",
            ClientRequest::GroupInfo(_) => "group-info",
            ClientRequest::TreeChunk(_) => "tree-chunk",
            ClientRequest::ClaimKeyPackage(_) => "claim-key-package",
            ClientRequest::Commit(_) => "commit",
            ClientRequest::Propose(_) => "propose",
            ClientRequest::Invite(_) => "invite",
            ClientRequest::Status => "status",
        }
    }
}

/// The way of every call of a device.
pub fn client_pipeline(
    server: Arc<Server>,
    quotas: Arc<Quotas>,
) -> Pipeline<ClientCall, ClientResponse> {
    pipeline(MAX_CALLS, move |call: ClientCall| {
        let server = Arc::clone(&server);
        let quotas = Arc::clone(&quotas);
        async move {
            match call.caller {
                Caller::Stranger => stranger(&server, call.request).await,
                Caller::Device(device) => {
                    let _under_way = quotas.call(&device.0)?;
                    admit((&server, &quotas), device.0, &call.request).await?;
                    operate(&server, device, call.request).await
                }
            }
        }
    })
}

/// Judges what a call does to others than its caller.
async fn admit(
    (server, quotas): (&Server, &Quotas),
    caller: AccountDid,
    request: &ClientRequest,
) -> Result<(), Fault> {
    let (me, asker) = (server.me(), quotas::Asker::Account(caller));
    let contacts = match request {
        ClientRequest::Invite(invite) => {
            quotas.invite_sent(&caller, me, &invite.account)?;
            [Some(&invite.home), None]
        }
        ClientRequest::ClaimKeyPackage(claim) => {
            if claim.request.home == *me {
                quotas.key_package(asker.clone(), &claim.request.account)?;
            }
            [Some(&claim.hub), Some(&claim.request.home)]
        }
        ClientRequest::GroupInfo(call) => [Some(&call.hub), None],
        ClientRequest::TreeChunk(call) => [Some(&call.hub), None],
        ClientRequest::Commit(call) => [Some(&call.hub), None],
        ClientRequest::Propose(call) => [Some(&call.hub), None],
        ClientRequest::Register(_)
        | ClientRequest::Login(_)
        | ClientRequest::PublishKeyPackages(_)
        | ClientRequest::CreateRoom(_)
        | ClientRequest::Status => [None, None],
    };
    for contact in contacts.into_iter().flatten() {
        quotas::admit_contact((server, quotas), &asker, contact).await?;
    }
    Ok(())
}

async fn stranger(server: &Server, request: ClientRequest) -> Result<ClientResponse, Fault> {
    match request {
        ClientRequest::Register(request) => register(server, request).await,
        _ => Err(Fault::new(FaultCode::NotAuthenticated, "log in first")),
    }
}

async fn operate(
    server: &Arc<Server>,
    device: DeviceKey,
    request: ClientRequest,
) -> Result<ClientResponse, Fault> {
    let asker = Asker {
        account: device.0,
        device: device.1,
        origin: server.me().clone(),
    };
    match request {
        ClientRequest::Register(request) => register(server, request).await,
        // The connection itself answers logins.
        ClientRequest::Login(_) => Err(Fault::new(FaultCode::BadRequest, "logged in already")),
        ClientRequest::PublishKeyPackages(request) => {
            let owner = device;
            match server
                .writer
                .execute(Command::Publish { owner, request })
                .await?
            {
                Answer::KeyPackages(count) => Ok(ClientResponse::KeyPackages(count)),
                other => Err(wrong_answer(&other)),
            }
        }
        ClientRequest::CreateRoom(request) => create(server, device, request).await,
        ClientRequest::Invite(request) => {
            let inviter = device.0;
            let command = Command::Invite { inviter, request };
            done(server.writer.execute(command).await?)
        }
        ClientRequest::Status => status(server, device.0).await,
        ClientRequest::GroupInfo(_)
        | ClientRequest::TreeChunk(_)
        | ClientRequest::ClaimKeyPackage(_)
        | ClientRequest::Commit(_)
        | ClientRequest::Propose(_) => at_hub(server, asker, request).await,
    }
}

/// What belongs to the hub of a room: done here if this is the hub, else passed on.
async fn at_hub(
    server: &Arc<Server>,
    asker: Asker,
    request: ClientRequest,
) -> Result<ClientResponse, Fault> {
    match request {
        ClientRequest::GroupInfo(call) => match route(server, &asker, call) {
            Route::Here(request) => hub::group_info(server, asker, request)
                .await
                .map(ClientResponse::GroupInfo),
            Route::There(peer, vouched) => {
                pass_on(server, &peer, PeerRequest::GroupInfo(vouched)).await
            }
        },
        ClientRequest::TreeChunk(call) => match route(server, &asker, call) {
            Route::Here(request) => hub::tree_chunk(server, asker, request)
                .await
                .map(ClientResponse::TreeChunk),
            Route::There(peer, vouched) => {
                pass_on(server, &peer, PeerRequest::TreeChunk(vouched)).await
            }
        },
        ClientRequest::ClaimKeyPackage(call) => match route(server, &asker, call) {
            Route::Here(request) => hub::claim(server, asker, request)
                .await
                .map(ClientResponse::KeyPackage),
            Route::There(peer, vouched) => {
                pass_on(server, &peer, PeerRequest::ClaimKeyPackage(vouched)).await
            }
        },
        ClientRequest::Commit(call) => match route(server, &asker, call) {
            Route::Here(request) => hub::commit(server, asker, request)
                .await
                .map(ClientResponse::Ordered),
            Route::There(peer, vouched) => {
                pass_on(server, &peer, PeerRequest::Commit(vouched)).await
            }
        },
        ClientRequest::Propose(call) => match route(server, &asker, call) {
            Route::Here(request) => hub::propose(server, asker, request)
                .await
                .map(ClientResponse::Ordered),
            Route::There(peer, vouched) => {
                pass_on(server, &peer, PeerRequest::Propose(vouched)).await
            }
        },
        ClientRequest::Register(_)
        | ClientRequest::Login(_)
        | ClientRequest::PublishKeyPackages(_)
        | ClientRequest::CreateRoom(_)
        | ClientRequest::Invite(_)
        | ClientRequest::Status => Err(Fault::new(
            FaultCode::Internal,
            FaultCode::Internal.meaning(),
        )),
    }
}

enum Route<T> {
    Here(T),
    There(ServerDid, Vouched<T>),
}

fn route<T>(server: &Server, asker: &Asker, call: HubCall<T>) -> Route<T> {
    if call.hub == *server.me() {
        return Route::Here(call.request);
    }
    let vouched = Vouched {
        account: asker.account,
        device: asker.device,
        request: call.request,
    };
    Route::There(call.hub, vouched)
}

async fn pass_on(
    server: &Server,
    peer: &ServerDid,
    request: PeerRequest,
) -> Result<ClientResponse, Fault> {
    let response = server.peers.call(peer, &request).await?;
    match (&request, response) {
        (PeerRequest::GroupInfo(_), PeerResponse::GroupInfo(reply)) => {
            Ok(ClientResponse::GroupInfo(reply))
        }
        (PeerRequest::TreeChunk(_), PeerResponse::TreeChunk(bytes)) => {
            Ok(ClientResponse::TreeChunk(bytes))
        }
        (PeerRequest::ClaimKeyPackage(_), PeerResponse::KeyPackage(reply)) => {
            Ok(ClientResponse::KeyPackage(reply))
        }
        (PeerRequest::Commit(_) | PeerRequest::Propose(_), PeerResponse::Ordered(ordered)) => {
            Ok(ClientResponse::Ordered(ordered))
        }
        _ => Err(misbehaved(peer)),
    }
}

async fn register(server: &Server, request: Register) -> Result<ClientResponse, Fault> {
    // Signatures are checked here first: what does not hold never queues for the writer.
    let refuse = |fault: entente_identity::AccountFault| {
        Fault::new(FaultCode::BadRequest, fault.to_string())
    };
    request.claim.verify().map_err(refuse)?;
    let command = Command::Register(Box::new(request));
    done(server.writer.execute(command).await?)
}

async fn create(
    server: &Arc<Server>,
    device: DeviceKey,
    request: CreateRoom,
) -> Result<ClientResponse, Fault> {
    let me = server.me().clone();
    let room = off_thread(move || create_room::check(&me, device, &request)).await?;
    match server
        .writer
        .execute(Command::CreateRoom(Box::new(room)))
        .await?
    {
        Answer::Ordered(ordered) => Ok(ClientResponse::Ordered(ordered)),
        other => Err(wrong_answer(&other)),
    }
}

fn done(answer: Answer) -> Result<ClientResponse, Fault> {
    match answer {
        Answer::Done => Ok(ClientResponse::Done),
        other => Err(wrong_answer(&other)),
    }
}

async fn status(server: &Server, account: AccountDid) -> Result<ClientResponse, Fault> {
    let mut read = server.read().await?;
    let waiting = waiting(&mut *read, &account).await;
    drop(read);
    let waiting = waiting.map_err(|fault| explain(&fault))?;
    Ok(ClientResponse::Status(ServerStatus {
        server: server.me().clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time: now(),
        started: server.started,
        waiting: waiting.messages,
        peers: server.peers.statuses(&waiting.peers),
    }))
}
