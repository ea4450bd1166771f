//! Somebody opens an account here.

use entente_identity::{ServerDid, UnixMillis};
use entente_protocol::call::Register;
use entente_protocol::fault::{Fault, FaultCode};
use sha2::{Digest, Sha256};

use crate::change::{Change, Decision};
use crate::rows::{AccountRow, DeviceRow};

/// Who may open an account.
#[derive(Clone, PartialEq, Eq)]
pub enum RegistrationPolicy {
    /// Everyone.
    Open,
    /// Whoever knows the token with this SHA-256. Comparing hashes takes a time that tells nothing
    /// about the token.
    Token([u8; 32]),
    /// Nobody.
    Closed,
}

/// Judges a registration. `same_name` and `same_account` are the accounts that exist under its name
/// and under its DID. Repeating a registration is idempotent.
///
/// # Errors
/// Not allowed, another server's handle, a name or account that is taken, or statements that do not
/// hold together.
pub fn register(
    me: &ServerDid,
    policy: &RegistrationPolicy,
    request: &Register,
    existing: (Option<&AccountRow>, Option<&AccountRow>),
    now: UnixMillis,
) -> Result<Decision<()>, Fault> {
    let (same_name, same_account) = existing;
    let account = request
        .claim
        .verify()
        .map_err(|fault| Fault::new(FaultCode::BadRequest, fault.to_string()))?;
    let handle = &account.home.handle;
    if same_account.is_some_and(|row| row.claim == request.claim) {
        return Ok(Decision::reply(()));
    }
    admit(policy, request.token.as_deref())?;
    if handle.domain() != me.domain() {
        let detail = format!("handles here end in @{}", me.domain());
        return Err(Fault::new(FaultCode::BadRequest, detail));
    }
    if same_name.is_some() || same_account.is_some() {
        let detail = "this handle or account is registered already; choose another handle";
        return Err(Fault::new(FaultCode::HandleTaken, detail));
    }
    let mut decision = Decision::reply(());
    decision.changes.push(Change::PutAccount(AccountRow {
        account: request.claim.account,
        local: handle.local().clone(),
        claim: request.claim.clone(),
        created: now,
    }));
    let devices = account.devices.devices.iter().map(|device| {
        Change::PutDevice(DeviceRow {
            account: request.claim.account,
            device: device.id,
            last_queued: 0,
        })
    });
    decision.changes.extend(devices);
    Ok(decision)
}

fn admit(policy: &RegistrationPolicy, token: Option<&str>) -> Result<(), Fault> {
    let refuse = |detail: &str| Err(Fault::new(FaultCode::RegistrationRefused, detail));
    match (policy, token) {
        (RegistrationPolicy::Open, _) => Ok(()),
        (RegistrationPolicy::Closed, _) => {
            refuse("registration is closed here; ask the operator for an account")
        }
        (RegistrationPolicy::Token(hash), Some(token))
            if Sha256::digest(token.as_bytes())[..] == hash[..] =>
        {
            Ok(())
        }
        (RegistrationPolicy::Token(_), _) => {
            refuse("registration here takes a token; ask the operator for one and pass --token")
        }
    }
}

impl std::fmt::Debug for RegistrationPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Token(_) => "Token(…)",
            Self::Closed => "Closed",
        })
    }
}
