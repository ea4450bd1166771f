//! What an attack expects of a server's answers.

use std::fmt::Debug;

use anyhow::{Result, bail, ensure};
use entente_protocol::fault::{Fault, FaultCode};
use entente_transport::CallError;

/// Longest sentence of a refusal, in bytes.
const MAX_DETAIL_BYTES: usize = 1024;

/// A refusal with one of these codes, that says what was wrong.
///
/// # Errors
/// The call succeeded, broke, or was refused with another code or without a reason.
pub fn refused<T: Debug>(answer: Result<T, CallError>, codes: &[FaultCode]) -> Result<Fault> {
    match answer {
        Err(CallError::Refused(fault)) if codes.contains(&fault.code) => {
            ensure!(
                !fault.detail.is_empty() && fault.detail.len() <= MAX_DETAIL_BYTES,
                "a refusal that does not say what was wrong: {fault:?}"
            );
            Ok(fault)
        }
        Err(CallError::Refused(fault)) => bail!("refused with {fault:?} instead of {codes:?}"),
        Err(error) => bail!("no refusal but {error}"),
        Ok(taken) => bail!("taken: {taken:?}"),
    }
}

/// Checks that a refusal quotes none of these secrets, in bytes or in hexadecimal.
///
/// # Errors
/// It does.
pub fn quotes_none(fault: &Fault, secrets: &[&[u8]]) -> Result<()> {
    for secret in secrets {
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = String::from_utf8_lossy(secret).into_owned();
        let told = fault.detail.contains(&hex) || fault.detail.contains(&text);
        ensure!(!told, "a refusal quotes a secret");
    }
    Ok(())
}
