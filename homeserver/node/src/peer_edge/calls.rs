//! The calls of other servers: each goes to its operation.

use std::sync::Arc;

use entente_homeserver_ops::read::group::may_claim;
use entente_homeserver_ops::read::pull::pull;
use entente_identity::ServerDid;
use entente_protocol::call::{
    ClaimKeyPackage, ClaimedKeyPackage, PeerRequest, PeerResponse, Vouched,
};
use entente_protocol::fault::{Blame, Fault, FaultCode};

use crate::hub::{self, Asker};
use crate::pipeline::{Named, Pipeline, pipeline};
use crate::quotas::{self, Quotas};
use crate::server::Server;
use crate::workers::heads;

/// Most calls of peers under way at once.
const MAX_CALLS: usize = 1024;

/// A call, with the server that makes it.
#[derive(Debug)]
pub struct PeerCall {
    /// Who.
    pub peer: ServerDid,
    /// What.
    pub request: PeerRequest,
}

impl Named for PeerCall {
    fn name(&self) -> &'static str {
        match self.request {
            PeerRequest::Hello(_) => "hello",
            PeerRequest::GroupInfo(_) => "peer-group-info",
            PeerRequest::TreeChunk(_) => "peer-tree-chunk",
            PeerRequest::ClaimKeyPackage(_) => "peer-claim-key-package",
            PeerRequest::Commit(_) => "peer-commit",
            PeerRequest::Propose(_) => "peer-propose",
            PeerRequest::Pull(_) => "pull",
            PeerRequest::Heads(_) => "heads",
        }
    }
}

/// The way of every call of a peer.
pub fn peer_pipeline(server: Arc<Server>, quotas: Arc<Quotas>) -> Pipeline<PeerCall, PeerResponse> {
    pipeline(MAX_CALLS, move |call: PeerCall| {
        let server = Arc::clone(&server);
        let quotas = Arc::clone(&quotas);
        async move {
            quotas.peer_call(&call.peer)?;
            if let PeerRequest::ClaimKeyPackage(claim) = &call.request {
                admit_claim((&server, &quotas), &call.peer, &claim.request).await?;
            }
            operate(&server, call.peer, call.request).await
        }
    })
}

async fn operate(
    server: &Arc<Server>,
    peer: ServerDid,
    request: PeerRequest,
) -> Result<PeerResponse, Fault> {
    match request {
        // The connection itself answers greetings.
        PeerRequest::Hello(_) => Err(Fault::new(FaultCode::BadRequest, "greeted already")),
        PeerRequest::GroupInfo(call) => {
            let (asker, request) = vouched(peer, call);
            let reply = hub::group_info(server, asker, request).await?;
            Ok(PeerResponse::GroupInfo(reply))
        }
        PeerRequest::TreeChunk(call) => {
            let (asker, request) = vouched(peer, call);
            let bytes = hub::tree_chunk(server, asker, request).await?;
            Ok(PeerResponse::TreeChunk(bytes))
        }
        PeerRequest::ClaimKeyPackage(call) => {
            let (asker, request) = vouched(peer, call);
            let claimed = claim(server, asker, request).await?;
            Ok(PeerResponse::KeyPackage(claimed))
        }
        PeerRequest::Commit(call) => {
            let (asker, request) = vouched(peer, call);
            let ordered = hub::commit(server, asker, request).await?;
            Ok(PeerResponse::Ordered(ordered))
        }
        PeerRequest::Propose(call) => {
            let (asker, request) = vouched(peer, call);
            let ordered = hub::propose(server, asker, request).await?;
            Ok(PeerResponse::Ordered(ordered))
        }
        PeerRequest::Pull(request) => {
            let mut read = server.read().await?;
            let entries = pull(&mut *read, &peer, &request).await?;
            Ok(PeerResponse::Entries(entries))
        }
        PeerRequest::Heads(shown) => {
            let reply = heads::take(server, &peer, &shown).await?;
            Ok(PeerResponse::Heads(reply))
        }
    }
}

fn vouched<T>(peer: ServerDid, call: Vouched<T>) -> (Asker, T) {
    let asker = Asker {
        account: call.account,
        device: call.device,
        origin: peer,
    };
    (asker, call.request)
}

/// Judges what a claim does to others than its caller.
async fn admit_claim(
    (server, quotas): (&Server, &Quotas),
    peer: &ServerDid,
    request: &ClaimKeyPackage,
) -> Result<(), Fault> {
    let asker = quotas::Asker::Peer(peer.clone());
    if request.home == *server.me() {
        quotas.key_package(asker, &request.account)
    } else {
        quotas::admit_contact((server, quotas), &asker, &request.home).await
    }
}

/// A claim comes from a follower to the hub, or from a hub to the account's home. Which of the two it is
/// shows in who asks, not in whether there is such a room here: that is told to its members only.
async fn claim(
    server: &Arc<Server>,
    asker: Asker,
    request: ClaimKeyPackage,
) -> Result<ClaimedKeyPackage, Fault> {
    if request.home != *server.me() {
        return hub::claim(server, asker, request).await;
    }
    let mut read = server.read().await?;
    let member = may_claim(&mut *read, server.me(), &asker, request.room).await;
    drop(read);
    match member {
        Ok(()) => hub::claim(server, asker, request).await,
        Err(fault) if fault.code.blame() == Blame::Caller => {
            hub::claim_here(server, asker.origin, &request).await
        }
        Err(fault) => Err(fault),
    }
}
