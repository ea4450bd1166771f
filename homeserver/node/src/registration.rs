//! Who may open an account here: the configured mode with its token, read once.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::config::{Registration, RegistrationMode};
use crate::data_dir::{Readers, SecretFileFault, read_secret};

/// Shortest token accepted, in characters: it is the only thing between a stranger and an account.
const MIN_TOKEN_CHARS: usize = 16;

/// The mode, with what the token is compared by.
#[derive(Clone)]
pub enum RegistrationPolicy {
    /// Anybody may.
    Open,
    /// Who has the token may. Only its hash is kept, and compared: how long that takes tells nothing
    /// about the token.
    Token([u8; 32]),
    /// Nobody may.
    Closed,
}

/// Why the token is not usable.
#[derive(Debug, thiserror::Error)]
pub enum TokenFault {
    /// The file is not usable as a secret.
    #[error("the registration token: {0}")]
    File(#[from] SecretFileFault),
    /// It is too short to be kept secret.
    #[error("the registration token has less than {MIN_TOKEN_CHARS} characters")]
    TooShort,
}

impl RegistrationPolicy {
    /// Reads the token, if the mode needs one.
    ///
    /// # Errors
    /// See [`TokenFault`].
    pub fn load(settings: &Registration) -> Result<Self, TokenFault> {
        let file = match (settings.mode, &settings.token_file) {
            (RegistrationMode::Open, _) => return Ok(Self::Open),
            (RegistrationMode::Closed, _) | (RegistrationMode::Token, None) => {
                return Ok(Self::Closed);
            }
            (RegistrationMode::Token, Some(file)) => file,
        };
        let bytes = read_secret(file, Readers::Group)?;
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or(&[]);
        let token = line.trim_ascii();
        if token.len() < MIN_TOKEN_CHARS {
            return Err(TokenFault::TooShort);
        }
        Ok(Self::Token(Sha256::digest(token).into()))
    }

    /// Whether somebody with this token may open an account.
    #[must_use]
    pub fn admits(&self, token: Option<&str>) -> bool {
        match self {
            Self::Open => true,
            Self::Closed => false,
            Self::Token(hash) => {
                token.is_some_and(|token| Sha256::digest(token.as_bytes())[..] == hash[..])
            }
        }
    }
}

impl fmt::Debug for RegistrationPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Token(_) => "Token",
            Self::Closed => "Closed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::write_secret;

    #[test]
    fn only_the_token_admits_where_one_is_needed() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        write_secret(&file, b"long-enough-token\nnot this\n").expect("written");
        let load = |mode| {
            RegistrationPolicy::load(&Registration {
                mode,
                token_file: Some(file.clone()),
            })
        };
        let token = load(RegistrationMode::Token).expect("a token");
        assert!(token.admits(Some("long-enough-token")));
        assert!(!token.admits(Some("long-enough-toke")));
        assert!(!token.admits(None));
        assert!(load(RegistrationMode::Open).expect("open").admits(None));
        let closed = load(RegistrationMode::Closed).expect("closed");
        assert!(!closed.admits(Some("long-enough-token")));
        std::fs::remove_file(&file).expect("removed");
        write_secret(&file, b"short").expect("written");
        assert!(load(RegistrationMode::Token).is_err());
    }
}
