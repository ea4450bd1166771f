//! Secrets on their way in: from a file or a hidden prompt, never from the command line.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;

use entente_sdk::{Client, Passphrase, Unlock, UnlockKind};

use crate::args::{Options, Register};
use crate::failure::{Exit, Failure};

/// Shortest passphrase that is accepted for a new vault, in characters.
const MIN_PASSPHRASE_CHARS: usize = 8;

/// What protects a new vault.
///
/// # Errors
/// When there is nobody to ask and no file, or the passphrase is too short.
pub fn for_new_vault(options: &Options, register: &Register) -> Result<Unlock, Failure> {
    if register.key_file {
        return Ok(Unlock::KeyFile);
    }
    let text = match &options.passphrase_file {
        Some(file) => first_line(file)?,
        None => chosen()?,
    };
    if text.chars().count() < MIN_PASSPHRASE_CHARS {
        let message = format!("a passphrase has at least {MIN_PASSPHRASE_CHARS} characters");
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok(Unlock::Passphrase(Passphrase::new(text)))
}

/// What opens the vault of a profile.
///
/// # Errors
/// When there is nobody to ask and no file.
pub fn for_vault(options: &Options, folder: &Path) -> Result<Unlock, Failure> {
    match Client::unlock_kind(folder) {
        Some(UnlockKind::KeyFile) => Ok(Unlock::KeyFile),
        Some(UnlockKind::Passphrase) | None => {
            let text = match &options.passphrase_file {
                Some(file) => first_line(file)?,
                None => ask("Passphrase: ")?,
            };
            Ok(Unlock::Passphrase(Passphrase::new(text)))
        }
    }
}

/// The token for a registration.
///
/// # Errors
/// When the file cannot be read.
pub fn token(register: &Register) -> Result<Option<String>, Failure> {
    register.token_file.as_deref().map(first_line).transpose()
}

fn first_line(file: &Path) -> Result<String, Failure> {
    let text = fs::read_to_string(file).map_err(|error| {
        let message = format!("cannot read {}: {error}", file.display());
        Failure::new(Exit::Usage, message)
    })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn chosen() -> Result<String, Failure> {
    let text = ask("Choose a passphrase for this device: ")?;
    if ask("Once more: ")? != text {
        return Err(Failure::new(Exit::Usage, "the two passphrases differ"));
    }
    Ok(text)
}

fn ask(prompt: &str) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        let message = "there is no terminal to ask for the passphrase; use --passphrase-file, \
                       ENTENTE_PASSPHRASE_FILE, or register with --key-file";
        return Err(Failure::new(Exit::Profile, message));
    }
    rpassword::prompt_password(prompt).map_err(|error| Failure::io("cannot ask", &error))
}
