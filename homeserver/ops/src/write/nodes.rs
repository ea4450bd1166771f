//! Nodes of this server come, beat, go, and are buried by the others.

use entente_homeserver_core::rows::{NodeId, NodeRow};
use entente_homeserver_core::{Change, Decision};

use super::Outcome;
use crate::command::{Answer, Others};
use crate::work::Work;

pub(crate) async fn enter(
    work: &mut Work<'_>,
    node: NodeId,
    name: String,
    others: Others,
) -> Outcome {
    let mut decision = Decision::reply(());
    if others == Others::Gone {
        let rows = work.tx().await?.nodes().await?;
        let gone = rows.into_iter().map(|row| Change::DropNode(row.node));
        decision.changes.extend(gone);
    }
    let row = NodeRow {
        node,
        name,
        beat: 0,
    };
    decision.changes.push(Change::PutNode(row));
    work.record(decision).await?;
    Ok(Ok(Answer::Done))
}

pub(crate) async fn beat(work: &mut Work<'_>, node: NodeId) -> Outcome {
    let Some(row) = work.tx().await?.node(&node).await? else {
        return Ok(Ok(Answer::Buried));
    };
    let mut decision = Decision::reply(());
    let beat = row.beat + 1;
    decision
        .changes
        .push(Change::PutNode(NodeRow { beat, ..row }));
    work.record(decision).await?;
    Ok(Ok(Answer::Done))
}

/// `beat` is the one that has been seen for too long; a node that is leaving buries itself, whatever its
/// beat.
pub(crate) async fn bury(work: &mut Work<'_>, node: NodeId, beat: Option<u64>) -> Outcome {
    let row = work.tx().await?.node(&node).await?;
    let buried = match (row, beat) {
        (None, _) => true,
        (Some(row), Some(seen)) if row.beat != seen => false,
        (Some(_), _) => {
            let mut decision = Decision::reply(());
            decision.changes.push(Change::DropNode(node));
            work.record(decision).await?;
            true
        }
    };
    Ok(Ok(if buried { Answer::Buried } else { Answer::Done }))
}
