//! Pursuing what is wanted: rooms to found and join, changes in rooms, Welcomes, invitations.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use entente_client_core::goal::GoalId;
use entente_groups::RoomId;
use entente_identity::ServerDid;
use entente_protocol::call::{
    ClientRequest, ClientResponse, GroupInfoRequest, HubCall, RoomAccess, TreeChunkRequest, TreeRef,
};
use entente_protocol::fault::{Fault, FaultCode};
use entente_transport::Connection;
use entente_vault::{SentInviteId, TreeWanted, WelcomeId, Work};
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::submit::something;
use super::{OTHERS_INTERVAL, Shared};
use crate::clock::now;
use crate::error::{Error, Result};
use crate::home::{call, misbehaved};

/// Largest ratchet tree that is fetched, in bytes.
const MAX_TREE_BYTES: u32 = 64 * 1024 * 1024;

/// Names a piece of work, so that it is not done twice at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Goal(GoalId),
    Tree(WelcomeId),
    Invite(SentInviteId),
}

/// Pursues what is wanted until the connection breaks. Pieces of work run side by side: a hub that
/// does not answer holds up only what concerns it.
pub(super) async fn run(shared: &Arc<Shared>, connection: &Connection) -> Result<()> {
    let mut ticks = shared.vault.ticks();
    let mut running = BTreeSet::new();
    let mut tasks: JoinSet<(Name, Result<()>)> = JoinSet::new();
    loop {
        ticks.mark_unchanged();
        for work in due_work(shared).await? {
            let name = name_of(&work);
            if running.insert(name) {
                let (shared, connection) = (Arc::clone(shared), connection.clone());
                tasks.spawn(async move { (name, pursue(&shared, &connection, work).await) });
            }
        }
        let due = shared.vault.look(|vault| vault.next_due(now())).await?;
        let wait = due.map_or(OTHERS_INTERVAL, |due| {
            Duration::from_millis(due.since(now()) + 1)
        });
        tokio::select! {
            Some(done) = tasks.join_next() => {
                let (name, done) = done.map_err(|_| Error::Stopped)?;
                running.remove(&name);
                done?;
            }
            () = something(&mut ticks) => {}
            () = sleep(wait.min(OTHERS_INTERVAL)) => {}
        }
    }
}

async fn due_work(shared: &Shared) -> Result<Vec<Work>> {
    let due = shared.vault.look(|vault| {
        let moment = entente_vault::Moment {
            now: now(),
            rng: &mut rand::rngs::OsRng,
        };
        vault.due_work(moment)
    });
    due.await
}

fn name_of(work: &Work) -> Name {
    match work {
        Work::Call { goal, .. } | Work::Offer { goal, .. } => Name::Goal(*goal),
        Work::Tree(wanted) => Name::Tree(wanted.welcome),
        Work::Invite { invite, .. } => Name::Invite(*invite),
    }
}

async fn pursue(shared: &Shared, connection: &Connection, work: Work) -> Result<()> {
    match work {
        Work::Call { goal, request } => {
            let answered = answer_of(connection, call(connection, &request).await)?;
            shared
                .vault
                .run(move |vault, moment| vault.goal_answered(goal, &answered, moment))
                .await
        }
        Work::Offer {
            goal,
            room,
            hub,
            access,
        } => {
            let offer = answer_of(connection, offer(connection, room, &hub, access).await)?;
            let noted = shared.vault.run(move |vault, moment| match offer {
                Ok((reply, tree)) => vault.offer_came(goal, &reply, &tree, moment),
                Err(fault) => vault.goal_answered(goal, &Err(fault), moment),
            });
            noted.await
        }
        Work::Tree(wanted) => {
            let TreeWanted {
                welcome,
                room,
                hub,
                tree,
            } = wanted;
            let place = (room, &hub, &RoomAccess::Member);
            let tree = answer_of(connection, fetch_tree(connection, place, &tree).await)?;
            let noted = shared.vault.run(move |vault, moment| match tree {
                Ok(tree) => vault.tree_came(welcome, &tree, moment),
                Err(fault) => vault.tree_refused(welcome, &fault, moment),
            });
            noted.await
        }
        Work::Invite { invite, request } => {
            let answered = answer_of(connection, call(connection, &request).await)?.map(|_| ());
            shared
                .vault
                .run(move |vault, moment| vault.invite_answered(invite, &answered, moment))
                .await
        }
    }
}

/// A refusal is an answer; anything else ends the session, a lost connection above all: the next one
/// asks again.
fn answer_of<T>(
    connection: &Connection,
    result: Result<T>,
) -> Result<std::result::Result<T, Fault>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Error::Refused(fault)) if connection.close_reason().is_none() => Ok(Err(fault)),
        Err(error) => Err(error),
    }
}

async fn offer(
    connection: &Connection,
    room: RoomId,
    hub: &ServerDid,
    access: RoomAccess,
) -> Result<(entente_protocol::call::GroupInfoReply, Vec<u8>)> {
    let request = ClientRequest::GroupInfo(HubCall {
        hub: hub.clone(),
        request: GroupInfoRequest {
            room,
            access: access.clone(),
        },
    });
    let ClientResponse::GroupInfo(reply) = call(connection, &request).await? else {
        return Err(misbehaved());
    };
    let tree = fetch_tree(connection, (room, hub, &access), &reply.tree).await?;
    Ok((reply, tree))
}

/// The bytes of a tree: inline, or chunk by chunk; their hash must be the one that was named.
async fn fetch_tree(
    connection: &Connection,
    (room, hub, access): (RoomId, &ServerDid, &RoomAccess),
    tree: &TreeRef,
) -> Result<Vec<u8>> {
    if tree.size > MAX_TREE_BYTES {
        let detail = "the room's tree is larger than this client takes";
        return Err(Error::Refused(Fault::new(FaultCode::TooLarge, detail)));
    }
    let mut bytes = tree.inline.clone().unwrap_or_default();
    while bytes.len() < tree.size as usize {
        let offset = u32::try_from(bytes.len()).expect("below the size, which is a u32");
        let request = ClientRequest::TreeChunk(HubCall {
            hub: hub.clone(),
            request: TreeChunkRequest {
                room,
                access: access.clone(),
                epoch: tree.epoch,
                hash: tree.hash,
                offset,
            },
        });
        match call(connection, &request).await? {
            ClientResponse::TreeChunk(chunk) if !chunk.is_empty() => bytes.extend(chunk),
            _ => return Err(misbehaved()),
        }
    }
    if Sha256::digest(&bytes)[..] != tree.hash[..] {
        let detail = "the hub gave another tree than it named";
        return Err(Error::Refused(Fault::new(
            FaultCode::PeerMisbehaved,
            detail,
        )));
    }
    Ok(bytes)
}
