//! Files that only the server's user may read: written that way, and refused otherwise.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Larger than any secret kept in a file of its own, in bytes.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Who beside the owner may read a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Nobody.
    Owner,
    /// The owner's group, as with certificates that a group of services shares.
    Group,
}

/// Why a secret file is not used.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileFault {
    /// It could not be read or written.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Others may read it.
    #[error(
        "{path} has permissions {mode:04o}: others may read this secret; run `chmod {remedy} {path}`"
    )]
    Wide {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// The permissions that it should have.
        remedy: &'static str,
    },
    /// It is far larger than a secret.
    #[error("{0} is larger than {MAX_SECRET_BYTES} bytes")]
    TooLarge(PathBuf),
}

/// Reads a secret, unless others may read it too.
///
/// # Errors
/// See [`SecretFileFault`].
pub fn read_secret(path: &Path, readers: Readers) -> Result<Zeroizing<Vec<u8>>, SecretFileFault> {
    let io = |error| SecretFileFault::Io {
        path: path.to_owned(),
        error,
    };
    let file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    check_mode(path, metadata.permissions().mode(), readers)?;
    if metadata.len() > MAX_SECRET_BYTES {
        return Err(SecretFileFault::TooLarge(path.to_owned()));
    }
    let size = usize::try_from(metadata.len()).unwrap_or(0);
    let mut bytes = Zeroizing::new(Vec::with_capacity(size + 1));
    file.take(MAX_SECRET_BYTES)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    Ok(bytes)
}

/// Writes a new secret that only the owner may read; never replaces a file.
///
/// # Errors
/// The file exists, or cannot be written.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), SecretFileFault> {
    write_new(path, bytes, 0o600).map_err(|error| SecretFileFault::Io {
        path: path.to_owned(),
        error,
    })
}

/// Writes a new file to disk; never replaces one.
///
/// # Errors
/// The file exists, or cannot be written.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Refuses a path whose permissions let others in.
pub(super) fn check_mode(path: &Path, mode: u32, readers: Readers) -> Result<(), SecretFileFault> {
    let mode = mode & 0o7777;
    let (forbidden, remedy) = match readers {
        Readers::Owner => (0o077, "go-rwx"),
        Readers::Group => (0o027, "g-w,o-rwx"),
    };
    if mode & forbidden == 0 {
        return Ok(());
    }
    Err(SecretFileFault::Wide {
        path: path.to_owned(),
        mode,
        remedy,
    })
}
