//! Somebody opens an account.

use entente_homeserver_core::register::register;
use entente_identity::LocalPart;
use entente_protocol::call::Register;

use super::Outcome;
use crate::command::Answer;
use crate::work::Work;

pub(crate) async fn run(work: &mut Work<'_>, request: Register) -> Outcome {
    let account = request.claim.account;
    let local: Option<LocalPart> = request
        .claim
        .home_record
        .claimed_body()
        .ok()
        .map(|home| home.handle.local().clone());
    let tx = work.tx().await?;
    let same_account = tx.account(&account).await?;
    let same_name = match &local {
        Some(local) => tx.account_named(local).await?,
        None => None,
    };
    let existing = (same_name.as_ref(), same_account.as_ref());
    let here = work.here;
    match register(&here.me, &here.registration, &request, existing, work.now) {
        Ok(decision) => {
            work.record(decision).await?;
            Ok(Ok(Answer::Done))
        }
        Err(fault) => Ok(Err(fault)),
    }
}
