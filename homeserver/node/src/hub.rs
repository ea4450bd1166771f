//! What this server does as the hub of a room, for its own devices and for those that peers vouch for.
//!
//! Costly checks run beside the tasks that serve connections, against the room as it is then; the writer
//! compares that with the room as it is when the entry is ordered.

use std::sync::Arc;

pub use entente_homeserver_core::commit::Asker;
use entente_homeserver_core::rows::Claimant;
use entente_homeserver_ops::read::group::{self, Checked};
use entente_homeserver_ops::{Answer, Command};
use entente_identity::ServerDid;
use entente_protocol::call::{
    ClaimKeyPackage, ClaimedKeyPackage, CommitRequest, GroupInfoReply, GroupInfoRequest, Ordered,
    PeerRequest, PeerResponse, Proposal, TreeChunkRequest, Vouched,
};
use entente_protocol::fault::{Fault, FaultCode};
use futures::executor::block_on;

use crate::clock::now;
use crate::server::{Server, off_thread};

/// What joining or resyncing takes.
///
/// # Errors
/// Not the hub, or the asker may not see it.
pub async fn group_info(
    server: &Arc<Server>,
    asker: Asker,
    request: GroupInfoRequest,
) -> Result<GroupInfoReply, Fault> {
    let server = Arc::clone(server);
    off_thread(move || {
        block_on(async {
            let mut read = server.read().await?;
            group::group_info(&mut *read, server.me(), &asker, &request, now()).await
        })
    })
    .await
}

/// A part of a ratchet tree.
///
/// # Errors
/// Not the hub, the asker may not see it, or it is not kept any more.
pub async fn tree_chunk(
    server: &Arc<Server>,
    asker: Asker,
    request: TreeChunkRequest,
) -> Result<Vec<u8>, Fault> {
    let server = Arc::clone(server);
    off_thread(move || {
        block_on(async {
            let mut read = server.read().await?;
            group::tree_chunk(&mut *read, server.me(), &asker, &request, now()).await
        })
    })
    .await
}

/// Orders a commit.
///
/// # Errors
/// Not the hub, a rule that the commit breaks, or another commit was first.
pub async fn commit(
    server: &Arc<Server>,
    asker: Asker,
    request: CommitRequest,
) -> Result<Ordered, Fault> {
    let checking = Arc::clone(server);
    let origin = asker.origin.clone();
    let checked = off_thread(move || {
        block_on(async {
            let mut read = checking.read().await?;
            group::check_commit(&mut *read, checking.me(), &asker, request, now()).await
        })
    })
    .await?;
    match checked {
        Checked::Before(ordered) => Ok(ordered),
        Checked::Now(bundle) => order(server, Command::Commit { origin, bundle }).await,
    }
}

/// Orders a proposal.
///
/// # Errors
/// Not the hub, a rule that the proposal breaks, or a commit was first.
pub async fn propose(
    server: &Arc<Server>,
    asker: Asker,
    request: Proposal,
) -> Result<Ordered, Fault> {
    let checking = Arc::clone(server);
    let origin = asker.origin.clone();
    let checked = off_thread(move || {
        block_on(async {
            let mut read = checking.read().await?;
            group::check_proposal(&mut *read, checking.me(), &asker, request).await
        })
    })
    .await?;
    match checked {
        Checked::Before(ordered) => Ok(ordered),
        Checked::Now(proposal) => order(server, Command::Propose { origin, proposal }).await,
    }
}

async fn order(server: &Server, command: Command) -> Result<Ordered, Fault> {
    match server.writer.execute(command).await? {
        Answer::Ordered(ordered) => Ok(ordered),
        other => Err(wrong_answer(&other)),
    }
}

/// Claims a KeyPackage for a room of which this server is the hub: here, or at the account's home.
///
/// # Errors
/// Not the hub, the asker may not add anybody, or there is no KeyPackage.
pub async fn claim(
    server: &Arc<Server>,
    asker: Asker,
    request: ClaimKeyPackage,
) -> Result<ClaimedKeyPackage, Fault> {
    let mut read = server.read().await?;
    group::may_claim(&mut *read, server.me(), &asker, request.room).await?;
    drop(read);
    let (room, home) = (request.room, request.home.clone());
    let claimed = if home == *server.me() {
        claim_here(server, server.me().clone(), &request).await?
    } else {
        let vouched = Vouched {
            account: asker.account,
            device: asker.device,
            request,
        };
        let asked = PeerRequest::ClaimKeyPackage(vouched);
        match server.peers.call(&home, &asked).await? {
            PeerResponse::KeyPackage(claimed) => claimed,
            _ => return Err(misbehaved(&home)),
        }
    };
    let note = Command::NoteClaim {
        room,
        reference: claimed.reference.clone(),
        home,
    };
    server.writer.execute(note).await?;
    Ok(claimed)
}

/// Gives out a KeyPackage of an account at home here to a hub, which alone can answer it.
///
/// # Errors
/// There is none, or no such account; both look the same.
pub async fn claim_here(
    server: &Server,
    hub: ServerDid,
    request: &ClaimKeyPackage,
) -> Result<ClaimedKeyPackage, Fault> {
    let command = Command::Claim {
        claimant: Claimant {
            room: request.room,
            hub,
        },
        account: request.account,
        suite: request.suite,
    };
    match server.writer.execute(command).await? {
        Answer::Claimed(claimed) => Ok(claimed),
        other => Err(wrong_answer(&other)),
    }
}

/// A bug: the writer answered another operation.
pub fn wrong_answer(answer: &Answer) -> Fault {
    tracing::error!(?answer, "an operation got another operation's answer");
    Fault::new(FaultCode::Internal, FaultCode::Internal.meaning())
}

/// The peer answered another call.
pub fn misbehaved(peer: &ServerDid) -> Fault {
    let detail = format!("{peer} answered another question than was asked");
    Fault::new(FaultCode::PeerMisbehaved, detail)
}
