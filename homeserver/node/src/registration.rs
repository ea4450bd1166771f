//! Who may open an account here: the configured mode with its token, read once.

use entente_homeserver_core::register::RegistrationPolicy;
use sha2::{Digest, Sha256};

use crate::config::{Registration, RegistrationMode};
use crate::data_dir::{Readers, SecretFileFault, read_secret};

/// Shortest token accepted, in characters: it is the only thing between a stranger and an account.
const MIN_TOKEN_CHARS: usize = 16;

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

/// Reads the token, if the mode needs one.
///
/// # Errors
/// See [`TokenFault`].
pub fn load(settings: &Registration) -> Result<RegistrationPolicy, TokenFault> {
    let file = match (settings.mode, &settings.token_file) {
        (RegistrationMode::Open, _) => return Ok(RegistrationPolicy::Open),
        (RegistrationMode::Closed, _) | (RegistrationMode::Token, None) => {
            return Ok(RegistrationPolicy::Closed);
        }
        (RegistrationMode::Token, Some(file)) => file,
    };
    let bytes = read_secret(file, Readers::Group)?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or(&[]);
    let token = line.trim_ascii();
    if token.len() < MIN_TOKEN_CHARS {
        return Err(TokenFault::TooShort);
    }
    Ok(RegistrationPolicy::Token(Sha256::digest(token).into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::write_secret;

    #[test]
    fn the_first_line_of_the_file_is_the_token() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        write_secret(&file, b"long-enough-token\nnot this\n").expect("written");
        let load = |mode| {
            load(&Registration {
                mode,
                token_file: Some(file.clone()),
            })
        };
        let hash = Sha256::digest(b"long-enough-token").into();
        let token = load(RegistrationMode::Token).expect("a token");
        assert_eq!(token, RegistrationPolicy::Token(hash));
        let open = load(RegistrationMode::Open).expect("open");
        assert_eq!(open, RegistrationPolicy::Open);
        let closed = load(RegistrationMode::Closed).expect("closed");
        assert_eq!(closed, RegistrationPolicy::Closed);
        std::fs::remove_file(&file).expect("removed");
        write_secret(&file, b"short").expect("written");
        assert!(load(RegistrationMode::Token).is_err());
    }
}
