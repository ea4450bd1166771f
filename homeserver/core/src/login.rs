//! A device proves on a connection that it is one of an account's devices.

use entente_identity::{AccountDid, DeviceId, ServerDid, Signed, UnixMillis};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::hello::{LoginProof, check_proof};

use crate::rows::AccountRow;

/// Judges a login. `account` is the account that the proof claims, if it is at home here.
///
/// # Errors
/// One answer, whatever is wrong, so that nothing is learnt about who exists.
pub fn login(
    me: &ServerDid,
    account: Option<&AccountRow>,
    proof: &Signed<LoginProof>,
    exporter: &[u8; 32],
    now: UnixMillis,
) -> Result<(AccountDid, DeviceId), Fault> {
    let refuse = || {
        let detail = "the login does not hold: unknown account or device, a wrong key, or a clock \
                      that is off by more than ten minutes";
        Fault::new(FaultCode::AuthenticationFailed, detail)
    };
    let claimed = proof.claimed_body().map_err(|_| refuse())?;
    let account = account
        .filter(|row| row.account == claimed.account)
        .ok_or_else(refuse)?;
    let verified = account.claim.verify().map_err(|_| refuse())?;
    let device = verified.device(&claimed.device).ok_or_else(refuse)?;
    check_proof(proof, &device.signature_key, me, exporter, now).map_err(|_| refuse())?;
    Ok((claimed.account, claimed.device))
}
