//! A device logs in.

use entente_homeserver_core::login;
use entente_identity::{AccountDid, DeviceId, ServerDid, Signed, UnixMillis};
use entente_protocol::call::LoggedIn;
use entente_protocol::fault::Fault;
use entente_protocol::hello::LoginProof;

use crate::execute::store_fault;
use crate::store::Read;

/// Judges a login on a connection with this exporter value.
///
/// # Errors
/// The login does not hold, or the store does not answer.
pub async fn login(
    read: &mut dyn Read,
    me: &ServerDid,
    proof: &Signed<LoginProof>,
    exporter: &[u8; 32],
    now: UnixMillis,
) -> Result<((AccountDid, DeviceId), LoggedIn), Fault> {
    let account = match proof.claimed_body() {
        Ok(claimed) => read.account(&claimed.account).await,
        Err(_) => Ok(None),
    }
    .map_err(|fault| store_fault(&fault))?;
    let device = login::login(me, account.as_ref(), proof, exporter, now)?;
    let key_packages = read
        .key_package_count(&device.0, &device.1)
        .await
        .map_err(|fault| store_fault(&fault))?;
    let logged_in = LoggedIn {
        server_time: now,
        key_packages,
    };
    Ok((device, logged_in))
}
