//! A device stores KeyPackages.

use entente_homeserver_core::key_packages::publish;
use entente_identity::{AccountDid, DeviceId};
use entente_protocol::call::PublishKeyPackages;

use super::Outcome;
use crate::command::Answer;
use crate::work::Work;

pub(crate) async fn run(
    work: &mut Work<'_>,
    owner: (AccountDid, DeviceId),
    request: PublishKeyPackages,
) -> Outcome {
    let tx = work.tx().await?;
    let stock = tx.key_package_count(&owner.0, &owner.1).await?;
    match publish(&work.here.me, owner, &request, stock, work.now) {
        Ok(decision) => Ok(Ok(Answer::KeyPackages(work.record(decision).await?))),
        Err(fault) => Ok(Err(fault)),
    }
}
