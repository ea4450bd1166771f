//! The profile's folder: who may read it, and where the vault's key comes from.
//!
//! The folder is 0700, its files 0600; anything wider is refused, since it may have been read already.
//! `vault.header` says how the key is made: from a passphrase by Argon2id (RFC 9106) with the
//! parameters and the salt that stand there, or from `vault.key`.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use rand::{CryptoRng, RngCore};
use zeroize::Zeroizing;

const HEADER_FILE: &str = "vault.header";
const KEY_FILE: &str = "vault.key";
const DATABASE_FILE: &str = "vault.db";
const HEADER_MAGIC: &str = "entente-vault 1";
/// Argon2id with 64 MiB and 3 passes (RFC 9106 §4, second recommendation), one lane.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
/// The most memory that a header may ask for: a changed header must not exhaust the machine.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
/// The most passes that a header may ask for.
const MAX_PASSES: u32 = 64;

/// What opens a vault.
#[derive(Debug)]
pub enum Unlock {
    /// A passphrase that a person knows.
    Passphrase(Passphrase),
    /// The key file in the profile's folder.
    KeyFile,
}

/// How a vault is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnlockKind {
    /// By a passphrase.
    Passphrase,
    /// By the key file in the profile's folder.
    KeyFile,
}

/// A passphrase; wiped on drop, never printed.
pub struct Passphrase(Zeroizing<String>);

/// The database's key; wiped on drop, never printed.
pub struct VaultKey(Zeroizing<[u8; 32]>);

/// A profile's folder, whose permissions were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileFolder {
    path: PathBuf,
}

/// Why a profile cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileFault {
    /// There is none.
    #[error("there is no profile in {}; run `register` first", .0.display())]
    Missing(PathBuf),
    /// There is one already, of another kind.
    #[error("the vault in {} is opened by {have}, not by {asked}", path.display())]
    OtherUnlock {
        /// The folder.
        path: PathBuf,
        /// How it is opened.
        have: UnlockKind,
        /// How it was tried.
        asked: UnlockKind,
    },
    /// Others can read or write it.
    #[error(
        "{} has mode {mode:04o}, but only its owner may have access. Others may have read it \
         already; if not, run: chmod {wanted:04o} {}",
        path.display(), path.display()
    )]
    Permissions {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The widest mode that is accepted.
        wanted: u32,
    },
    /// The header or key file is damaged.
    #[error("{} is damaged: {reason}; restore it from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// Empty.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// The file system says no.
    #[error("{}: {reason}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
}

enum Header {
    KeyFile,
    Argon2id { params: Params, salt: Vec<u8> },
}

impl Passphrase {
    /// Takes a passphrase.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl Unlock {
    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> UnlockKind {
        match self {
            Self::Passphrase(_) => UnlockKind::Passphrase,
            Self::KeyFile => UnlockKind::KeyFile,
        }
    }
}

impl VaultKey {
    /// A key of 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key as SQLCipher takes it: 64 hexadecimal digits, used as they are.
    pub(crate) fn hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex(self.0.as_slice()))
    }
}

impl ProfileFolder {
    /// Whether a folder holds a profile; says nothing about whether it can be opened.
    #[must_use]
    pub fn exists(path: &Path) -> bool {
        path.join(HEADER_FILE).exists()
    }

    /// How the profile in a folder is opened, if there is one and its header is whole.
    #[must_use]
    pub fn unlock_kind(path: &Path) -> Option<UnlockKind> {
        let header = read_header(&path.join(HEADER_FILE)).ok()?;
        Some(header.kind())
    }

    /// Opens a profile's folder and its key.
    ///
    /// # Errors
    /// No profile, wrong permissions, damaged files, another way to unlock.
    pub fn open(path: &Path, unlock: &Unlock) -> Result<(Self, VaultKey), ProfileFault> {
        if !Self::exists(path) {
            return Err(ProfileFault::Missing(path.to_owned()));
        }
        check_mode(path, 0o700)?;
        check_mode(&path.join(HEADER_FILE), 0o600)?;
        let database = path.join(DATABASE_FILE);
        if database.exists() {
            check_mode(&database, 0o600)?;
        }
        let header = read_header(&path.join(HEADER_FILE))?;
        let folder = Self {
            path: path.to_owned(),
        };
        let key = match (&header, unlock) {
            (Header::KeyFile, Unlock::KeyFile) => read_key(&path.join(KEY_FILE))?,
            (Header::Argon2id { params, salt }, Unlock::Passphrase(passphrase)) => {
                derive(passphrase, params.clone(), salt)?
            }
            (Header::KeyFile, Unlock::Passphrase(_))
            | (Header::Argon2id { .. }, Unlock::KeyFile) => {
                return Err(ProfileFault::OtherUnlock {
                    path: path.to_owned(),
                    have: header.kind(),
                    asked: unlock.kind(),
                });
            }
        };
        Ok((folder, key))
    }

    /// Opens a profile's folder, or makes it.
    ///
    /// # Errors
    /// As for [`Self::open`]; or the folder cannot be made, or exists and others can look into it.
    pub fn open_or_create(
        path: &Path,
        unlock: &Unlock,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<(Self, VaultKey), ProfileFault> {
        if Self::exists(path) {
            return Self::open(path, unlock);
        }
        let database = path.join(DATABASE_FILE);
        if database.exists() {
            return Err(ProfileFault::Damaged {
                path: path.join(HEADER_FILE),
                reason: "it is missing, but there is a vault",
            });
        }
        if path.exists() {
            check_mode(path, 0o700)?;
        } else {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(|error| io_fault(path, &error))?;
        }
        let header = match unlock {
            Unlock::KeyFile => {
                let mut key = Zeroizing::new([0; 32]);
                rng.fill_bytes(key.as_mut());
                let text = Zeroizing::new(format!("{}\n", hex(key.as_slice())));
                write_new(&path.join(KEY_FILE), text.as_bytes())?;
                format!("{HEADER_MAGIC}\nkey file\n")
            }
            Unlock::Passphrase(passphrase) if passphrase.0.is_empty() => {
                return Err(ProfileFault::EmptyPassphrase);
            }
            Unlock::Passphrase(_) => {
                let mut salt = [0; SALT_BYTES];
                rng.fill_bytes(&mut salt);
                let salt = hex(&salt);
                format!(
                    "{HEADER_MAGIC}\nkey argon2id m={MEMORY_KIB} t={PASSES} p={LANES} salt={salt}\n"
                )
            }
        };
        // The header comes last: a folder without one is begun anew.
        write_new(&path.join(HEADER_FILE), header.as_bytes())?;
        Self::open(path, unlock)
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the database lies. Makes an empty file of mode 0600 if there is none: SQLite gives its
    /// journal the same mode.
    pub(crate) fn database(&self) -> Result<PathBuf, ProfileFault> {
        let path = self.path.join(DATABASE_FILE);
        let opened = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path);
        opened.map_err(|error| io_fault(&path, &error))?;
        check_mode(&path, 0o600)?;
        Ok(path)
    }
}

impl Header {
    fn kind(&self) -> UnlockKind {
        match self {
            Self::KeyFile => UnlockKind::KeyFile,
            Self::Argon2id { .. } => UnlockKind::Passphrase,
        }
    }
}

fn derive(passphrase: &Passphrase, params: Params, salt: &[u8]) -> Result<VaultKey, ProfileFault> {
    if passphrase.0.is_empty() {
        return Err(ProfileFault::EmptyPassphrase);
    }
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.0.as_bytes(), salt, key.as_mut())
        .expect("the parameters were checked and a salt has 16 bytes");
    Ok(VaultKey(key))
}

fn read_header(path: &Path) -> Result<Header, ProfileFault> {
    let text = fs::read_to_string(path).map_err(|error| io_fault(path, &error))?;
    let damaged = |reason| ProfileFault::Damaged {
        path: path.to_owned(),
        reason,
    };
    let mut lines = text.lines();
    if lines.next() != Some(HEADER_MAGIC) {
        return Err(damaged("its first line is not `entente-vault 1`"));
    }
    let line = lines.next().unwrap_or_default();
    if line == "key file" {
        return Ok(Header::KeyFile);
    }
    let unreadable = "its second line says neither `key file` nor `key argon2id …`";
    let words = line
        .strip_prefix("key argon2id ")
        .ok_or_else(|| damaged(unreadable))?;
    let value = |name: &str| {
        words
            .split(' ')
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    };
    let number = |name: &str| value(name).and_then(|text| text.parse::<u32>().ok());
    let (Some(memory), Some(passes), Some(lanes)) = (number("m"), number("t"), number("p")) else {
        return Err(damaged(unreadable));
    };
    let salt = value("salt").and_then(unhex);
    let salt = salt.filter(|salt| salt.len() == SALT_BYTES);
    let salt = salt.ok_or_else(|| damaged("its salt is not 16 bytes"))?;
    if memory > MAX_MEMORY_KIB || passes > MAX_PASSES || lanes > 16 {
        return Err(damaged("it asks for more memory or time than is sensible"));
    }
    let params = Params::new(memory, passes, lanes, Some(32));
    let params = params.map_err(|_| damaged("its Argon2id parameters are not valid"))?;
    Ok(Header::Argon2id { params, salt })
}

fn read_key(path: &Path) -> Result<VaultKey, ProfileFault> {
    check_mode(path, 0o600)?;
    let text = fs::read_to_string(path).map_err(|error| io_fault(path, &error))?;
    let text = Zeroizing::new(text);
    let bytes = unhex(text.trim_end()).map(Zeroizing::new);
    let key = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
    key.map(VaultKey::from_bytes).ok_or(ProfileFault::Damaged {
        path: path.to_owned(),
        reason: "it does not hold 64 hexadecimal digits",
    })
}

/// Checks that nobody but the owner has any access.
fn check_mode(path: &Path, wanted: u32) -> Result<(), ProfileFault> {
    let metadata = fs::metadata(path).map_err(|error| io_fault(path, &error))?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(ProfileFault::Permissions {
        path: path.to_owned(),
        mode,
        wanted,
    })
}

/// Writes a file that must survive a power cut before anything is built on it. A leftover of an
/// interrupted attempt is replaced.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), ProfileFault> {
    let fault = |error: io::Error| io_fault(path, &error);
    let draft = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&draft).map_err(fault)?;
    file.write_all(bytes).map_err(fault)?;
    file.sync_all().map_err(fault)?;
    fs::rename(&draft, path).map_err(fault)?;
    let parent = path.parent().unwrap_or(Path::new("."));
    File::open(parent)
        .and_then(|folder| folder.sync_all())
        .map_err(fault)
}

fn io_fault(path: &Path, error: &io::Error) -> ProfileFault {
    ProfileFault::Io {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

impl fmt::Display for UnlockKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passphrase => "a passphrase",
            Self::KeyFile => "its key file",
        })
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

impl fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VaultKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn passphrase(text: &str) -> Unlock {
        Unlock::Passphrase(Passphrase::new(text.to_owned()))
    }

    fn create(path: &Path, unlock: &Unlock) -> Result<[u8; 32], ProfileFault> {
        let mut rng = StdRng::seed_from_u64(1);
        ProfileFolder::open_or_create(path, unlock, &mut rng).map(|(_, key)| *key.0)
    }

    fn open(path: &Path, unlock: &Unlock) -> Result<[u8; 32], ProfileFault> {
        ProfileFolder::open(path, unlock).map(|(_, key)| *key.0)
    }

    #[test]
    fn a_key_file_gives_the_same_key_again() {
        let parent = tempfile::tempdir().expect("a folder");
        let path = parent.path().join("profile");
        assert!(matches!(
            open(&path, &Unlock::KeyFile),
            Err(ProfileFault::Missing(_))
        ));
        let key = create(&path, &Unlock::KeyFile).expect("made");
        assert_eq!(open(&path, &Unlock::KeyFile), Ok(key));
        assert_eq!(create(&path, &Unlock::KeyFile), Ok(key));
        assert_eq!(ProfileFolder::unlock_kind(&path), Some(UnlockKind::KeyFile));
        let other = open(&path, &passphrase("x"));
        assert!(matches!(other, Err(ProfileFault::OtherUnlock { .. })));
    }

    #[test]
    fn a_passphrase_gives_one_key_and_another_passphrase_another() {
        let parent = tempfile::tempdir().expect("a folder");
        let path = parent.path().join("profile");
        let empty = create(&path, &passphrase(""));
        assert_eq!(empty, Err(ProfileFault::EmptyPassphrase));
        let key = create(&path, &passphrase("correct horse")).expect("made");
        assert_eq!(open(&path, &passphrase("correct horse")), Ok(key));
        assert_ne!(open(&path, &passphrase("battery staple")), Ok(key));
        assert!(!path.join(KEY_FILE).exists());
    }

    #[test]
    fn what_others_can_read_is_refused() {
        let parent = tempfile::tempdir().expect("a folder");
        let path = parent.path().join("profile");
        create(&path, &Unlock::KeyFile).expect("made");
        for (file, mode) in [(KEY_FILE, 0o640), (HEADER_FILE, 0o604), ("", 0o750)] {
            let target = path.join(file);
            let before = fs::metadata(&target).expect("there").permissions();
            fs::set_permissions(&target, Permissions::from_mode(mode)).expect("ours");
            let fault = open(&path, &Unlock::KeyFile).expect_err("too wide");
            assert!(
                matches!(fault, ProfileFault::Permissions { mode: found, .. } if found == mode)
            );
            assert!(fault.to_string().contains("chmod"), "{fault}");
            fs::set_permissions(&target, before).expect("ours");
        }
        assert!(open(&path, &Unlock::KeyFile).is_ok());
    }

    #[test]
    fn damaged_headers_are_refused() {
        let parent = tempfile::tempdir().expect("a folder");
        let path = parent.path().join("profile");
        create(&path, &passphrase("x")).expect("made");
        let salt = "00".repeat(SALT_BYTES);
        for header in [
            "".to_owned(),
            "entente-vault 2\nkey file\n".to_owned(),
            "entente-vault 1\nkey argon2id m=65536 t=3 p=1 salt=00\n".to_owned(),
            format!("entente-vault 1\nkey argon2id m=4294967295 t=3 p=1 salt={salt}\n"),
            format!("entente-vault 1\nkey argon2id m=65536 t=0 p=1 salt={salt}\n"),
        ] {
            fs::write(path.join(HEADER_FILE), &header).expect("ours");
            let fault = open(&path, &passphrase("x")).expect_err("damaged");
            assert!(matches!(fault, ProfileFault::Damaged { .. }), "{header}");
        }
    }
}
