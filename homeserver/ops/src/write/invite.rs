//! A device hands over a sealed invitation.

use entente_homeserver_core::invite::invite;
use entente_identity::AccountDid;
use entente_protocol::call::SealedInvite;

use super::{Outcome, refuse};
use crate::command::Answer;
use crate::work::Work;

pub(crate) async fn run(
    work: &mut Work<'_>,
    inviter: AccountDid,
    request: SealedInvite,
) -> Outcome {
    let mut devices = Vec::new();
    if request.home == work.here.me {
        for row in work.tx().await?.devices(&request.account).await? {
            let waiting = work.waiting_invites((row.account, row.device)).await?;
            devices.push((row, waiting));
        }
    }
    match invite(&work.here.me, inviter, &request, &devices) {
        Ok(decision) => {
            work.record(decision).await?;
            Ok(Ok(Answer::Done))
        }
        Err(code) => refuse(code),
    }
}
