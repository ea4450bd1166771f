//! The folder with all that a server has: its keys, its first key document, its database.
//!
//! Invariants: only the owner enters the folder and reads its keys; one process at a time uses it;
//! what exists is never overwritten.

mod key_file;
mod secret_file;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use entente_identity::{
    CodecFault, KeyDocument, ServerDid, Signed, SigningKey, decode_exact, encode,
};
use rand::{CryptoRng, RngCore};

#[cfg(test)]
use key_file::write_key;
use secret_file::check_mode;

pub use key_file::{KeyFileFault, Purpose, create_key, read_key};
#[cfg(test)]
pub use secret_file::write_secret;
pub use secret_file::{Readers, SecretFileFault, read_secret, write_new};

const FEDERATION_KEY: &str = "federation.key";
const NEXT_KEY: &str = "next-federation.key";
const FIRST_KEY_DOCUMENT: &str = "key-document-0";
const LOCK: &str = "lock";

/// A server's folder, with permissions that were found good.
#[derive(Clone, Debug)]
pub struct DataDir {
    path: PathBuf,
}

/// The folder is this process's alone until this is dropped.
#[derive(Debug)]
pub struct DataDirLock {
    _file: File,
}

/// Why a folder is not used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirFault {
    /// It could not be read or written.
    #[error("{path}: {error}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It does not exist.
    #[error("the data folder {0} does not exist: `entente-homeserver init` makes it")]
    Missing(PathBuf),
    /// Something would be overwritten.
    #[error(
        "{0} exists already and is not overwritten: choose another place, or go on with `serve`"
    )]
    Exists(PathBuf),
    /// Others may enter it, or read a secret in it.
    #[error(transparent)]
    Secret(#[from] SecretFileFault),
    /// A key is not usable.
    #[error(transparent)]
    Key(#[from] KeyFileFault),
    /// Another process uses it.
    #[error(
        "another process{process} uses the data folder {path}: stop it, or give this server a folder \
         of its own"
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// Its process id in brackets, if it is known.
        process: String,
    },
    /// The first key document is damaged.
    #[error("{path}: {fault}: restore the file from a backup")]
    KeyDocument {
        /// The file.
        path: PathBuf,
        /// Why.
        fault: CodecFault,
    },
}

impl DataDirFault {
    /// Whether the file system lets nothing be written.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        matches!(self, Self::Io { error, .. } if error.kind() == ErrorKind::ReadOnlyFilesystem)
    }
}

impl DataDir {
    /// Makes the folder, or takes an existing one that holds no server yet.
    ///
    /// # Errors
    /// It holds a server already, others may enter it, or it cannot be made.
    pub fn create(path: &Path) -> Result<Self, DataDirFault> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| io(path, error))?;
        let dir = Self::open(path)?;
        for name in [FEDERATION_KEY, NEXT_KEY, FIRST_KEY_DOCUMENT] {
            let file = dir.path.join(name);
            if file.exists() {
                return Err(DataDirFault::Exists(file));
            }
        }
        Ok(dir)
    }

    /// Opens the folder of a server.
    ///
    /// # Errors
    /// It is not there, or others may enter it.
    pub fn open(path: &Path) -> Result<Self, DataDirFault> {
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(DataDirFault::Missing(path.to_owned()));
            }
            Err(error) => return Err(io(path, error)),
        };
        check_mode(path, metadata.permissions().mode(), Readers::Owner)?;
        let path = path.to_owned();
        Ok(Self { path })
    }

    /// Takes the folder for this process alone.
    ///
    /// # Errors
    /// Another process has it.
    pub fn lock(&self) -> Result<DataDirLock, DataDirFault> {
        let path = self.path.join(LOCK);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| io(&path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let known = file.read_to_string(&mut holder).is_ok() && !holder.is_empty();
                let process = format!(" (process {})", holder.trim());
                return Err(DataDirFault::InUse {
                    path: self.path.clone(),
                    process: if known { process } else { String::new() },
                });
            }
            Err(TryLockError::Error(error)) => return Err(io(&path, error)),
        }
        let named = file
            .set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        named.map_err(|error| io(&path, error))?;
        Ok(DataDirLock { _file: file })
    }

    /// Makes the key that the server signs with, and the one to which it will rotate.
    ///
    /// # Errors
    /// One exists already, or cannot be written.
    pub fn create_keys(
        &self,
        server: &ServerDid,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<(SigningKey, SigningKey), DataDirFault> {
        let current = self.path.join(FEDERATION_KEY);
        let next = self.path.join(NEXT_KEY);
        Ok((
            create_key(&current, Purpose::Federation, server, rng)?,
            create_key(&next, Purpose::NextFederation, server, rng)?,
        ))
    }

    /// Writes keys of a test's choice where [`DataDir::create_keys`] makes new ones.
    #[cfg(test)]
    pub fn write_keys(
        &self,
        server: &ServerDid,
        keys: (&SigningKey, &SigningKey),
    ) -> Result<(), DataDirFault> {
        let (current, next) = (self.path.join(FEDERATION_KEY), self.path.join(NEXT_KEY));
        write_key(&current, Purpose::Federation, server, keys.0)?;
        Ok(write_key(&next, Purpose::NextFederation, server, keys.1)?)
    }

    /// The key that the server signs with.
    ///
    /// # Errors
    /// It is missing, damaged, another's, readable by others, or known to others.
    pub fn federation_key(&self, server: &ServerDid) -> Result<SigningKey, DataDirFault> {
        let path = self.path.join(FEDERATION_KEY);
        Ok(read_key(&path, Purpose::Federation, server)?)
    }

    /// The key to which the server will rotate, if it is kept here.
    ///
    /// # Errors
    /// It is damaged, another's, readable by others, or known to others.
    pub fn next_key(&self, server: &ServerDid) -> Result<Option<SigningKey>, DataDirFault> {
        let path = self.path.join(NEXT_KEY);
        if !path.exists() {
            return Ok(None);
        }
        Ok(Some(read_key(&path, Purpose::NextFederation, server)?))
    }

    /// Writes the first key document, whose hash names the chain for ever.
    ///
    /// # Errors
    /// It exists already, or cannot be written.
    pub fn create_key_document(&self, document: &Signed<KeyDocument>) -> Result<(), DataDirFault> {
        let path = self.path.join(FIRST_KEY_DOCUMENT);
        write_new(&path, &encode(document), 0o600).map_err(|error| io(&path, error))
    }

    /// The first key document.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn first_key_document(&self) -> Result<Signed<KeyDocument>, DataDirFault> {
        let path = self.path.join(FIRST_KEY_DOCUMENT);
        let bytes = std::fs::read(&path).map_err(|error| io(&path, error))?;
        decode_exact("key document", &bytes)
            .map_err(|fault| DataDirFault::KeyDocument { path, fault })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn io(path: &Path, error: std::io::Error) -> DataDirFault {
    DataDirFault::Io {
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_others_may_enter_is_refused() {
        let parent = tempfile::tempdir().expect("a folder");
        let path = parent.path().join("data");
        let dir = DataDir::create(&path).expect("made");
        let mode = std::fs::metadata(dir.path())
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("changed");
        let fault = DataDir::open(&path).expect_err("too wide").to_string();
        assert!(fault.contains("chmod go-rwx"), "{fault}");
        let fault = DataDir::open(&parent.path().join("other")).expect_err("missing");
        assert!(fault.to_string().contains("init"), "{fault}");
    }

    #[test]
    fn one_holder_at_a_time() {
        let parent = tempfile::tempdir().expect("a folder");
        let dir = DataDir::create(&parent.path().join("data")).expect("made");
        let held = dir.lock().expect("free");
        let fault = dir.lock().expect_err("held").to_string();
        let process = format!("(process {})", std::process::id());
        assert!(fault.contains(&process), "{fault}");
        drop(held);
        dir.lock().expect("free again");
    }
}
