//! A KeyPackage of an account here is given out.

use entente_groups::Suite;
use entente_homeserver_core::key_packages::claim_here;
use entente_homeserver_core::rows::Claimant;
use entente_identity::AccountDid;

use super::{Outcome, refuse};
use crate::command::Answer;
use crate::work::Work;

pub(crate) async fn run(
    work: &mut Work<'_>,
    claimant: Claimant,
    account: AccountDid,
    suite: Suite,
) -> Outcome {
    let now = work.now;
    let tx = work.tx().await?;
    let claimable = tx.claimable(&account, suite, now).await?;
    match claim_here(claimable, claimant) {
        Ok(decision) => Ok(Ok(Answer::Claimed(work.record(decision).await?))),
        Err(code) => refuse(code),
    }
}
