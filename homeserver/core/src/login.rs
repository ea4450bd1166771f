//! A device proves on a connection that it is one of an account's devices.

use entente_identity::{AccountDid, DeviceId, ServerDid, Signature, Signed, UnixMillis};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::hello::{LoginProof, check_proof};

use crate::rows::AccountRow;

/// How many signatures a login by an account's first device takes: list, home record, proof.
const VERIFICATIONS: u32 = 3;

/// Verifies as many signatures as a login would have taken; none of them holds.
fn spend(claimed: &LoginProof, count: u32) {
    let key = claimed.account.root_key();
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(key.as_bytes());
    let signature = Signature::from_bytes(signature);
    for _ in 0..count {
        std::hint::black_box(key.verify(&claimed.exporter, &signature).is_ok());
    }
}

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
    let Some(account) = account.filter(|row| row.account == claimed.account) else {
        // As much work as for an account that exists, so that the time tells nothing either.
        spend(&claimed, VERIFICATIONS);
        return Err(refuse());
    };
    let verified = account.claim.verify().map_err(|_| refuse())?;
    let Some(device) = verified.device(&claimed.device) else {
        spend(&claimed, 1);
        return Err(refuse());
    };
    check_proof(proof, &device.signature_key, me, exporter, now).map_err(|_| refuse())?;
    Ok((claimed.account, claimed.device))
}
