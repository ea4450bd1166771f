//! A checked commit is ordered, with its Welcomes and GroupInfo.

use entente_homeserver_core::commit::{CheckedBundle, WelcomeRoute};
use entente_identity::ServerDid;
use entente_protocol::fault::FaultCode;

use super::{Outcome, refuse};
use crate::command::Answer;
use crate::store::StoreFault;
use crate::work::Work;

pub(crate) async fn run(work: &mut Work<'_>, origin: ServerDid, bundle: CheckedBundle) -> Outcome {
    let me = work.here.me.clone();
    let id = bundle.room();
    if let Some(ordered) = work.ordered(id, &origin, bundle.message_id()).await? {
        return Ok(Ok(Answer::Ordered(ordered)));
    }
    let Some(room) = work.room(&id).await? else {
        return refuse(FaultCode::NoSuchRoom);
    };
    let routes = routes(work, &bundle).await?;
    match bundle.order(&me, &origin, &room, routes) {
        Ok(decision) => Ok(Ok(Answer::Ordered(work.record(decision).await?))),
        Err(code) => refuse(code),
    }
}

async fn routes(
    work: &mut Work<'_>,
    bundle: &CheckedBundle,
) -> Result<Vec<WelcomeRoute>, StoreFault> {
    let me = work.here.me.clone();
    let room = bundle.room();
    let mut routes = Vec::with_capacity(bundle.welcome_refs().len());
    for reference in bundle.welcome_refs() {
        let tx = work.tx().await?;
        let Some(claim) = tx.claim(&room, reference).await? else {
            continue;
        };
        if claim.home != me {
            routes.push(WelcomeRoute::There(claim));
        } else if let Some(package) = tx.key_package(reference).await? {
            routes.push(WelcomeRoute::Here(package));
        }
    }
    Ok(routes)
}
