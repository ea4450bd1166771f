//! What happens to machines: power cuts, full disks, databases in other hands, old backups.

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use entente_identity::Domain;
use rusqlite::Connection;
use testnet::network::{Binaries, Folder};

/// Bytes that are written at once when a disk is filled.
const BLOCK: usize = 64 * 1024;

/// A server's database, held by somebody else: whoever wants to write has to wait.
pub struct HeldDatabase(Connection);

impl HeldDatabase {
    /// Takes the place of the one who writes.
    ///
    /// # Errors
    /// The database cannot be had.
    pub fn of(folder: &Folder, domain: &Domain) -> Result<Self> {
        let database = Connection::open(folder.server_database(domain))?;
        database.busy_timeout(std::time::Duration::from_secs(10))?;
        database.execute_batch("BEGIN IMMEDIATE")?;
        Ok(Self(database))
    }

    /// Gives it back, unchanged.
    ///
    /// # Errors
    /// The database is gone.
    pub fn release(self) -> Result<()> {
        Ok(self.0.execute_batch("ROLLBACK")?)
    }
}

/// A copy of a server's data, from when it did not run.
pub struct Backup {
    data: PathBuf,
    copy: PathBuf,
}

impl Backup {
    /// Copies a stopped server's data.
    ///
    /// # Errors
    /// A file cannot be copied.
    pub fn of(folder: &Folder, domain: &Domain) -> Result<Self> {
        let data = folder.server_data(domain);
        let copy = data.with_extension("backup");
        copy_folder(&data, &copy)?;
        Ok(Self { data, copy })
    }

    /// Puts the copy in the place of what a stopped server has now.
    ///
    /// # Errors
    /// A file cannot be copied.
    pub fn restore(&self) -> Result<()> {
        fs::remove_dir_all(&self.data)?;
        copy_folder(&self.copy, &self.data)
    }
}

/// `cp -a`: owners and modes count for a server's keys.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    ensure!(status.success(), "cannot copy {}", from.display());
    Ok(())
}

/// Programs of which one server gets a small disk of its own for its data.
pub struct SmallDisk {
    /// The programs: a script stands before the homeserver.
    pub binaries: Binaries,
    _folder: tempfile::TempDir,
}

impl SmallDisk {
    /// Why this machine lets nobody have a disk of its own, if so.
    #[must_use]
    pub fn impossible() -> Option<String> {
        let tried = Command::new("unshare")
            .args(["-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
            .output();
        match tried {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Some(format!("no unshare: {error}")),
        }
    }

    /// Gives the server of that domain a file system of so many KiB, in a mount namespace of its own: it
    /// goes away with the process. What was in the data folder is copied into it.
    ///
    /// # Errors
    /// The script cannot be written.
    pub fn of(binaries: Binaries, domain: &str, size_kib: u32) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let script = folder.path().join("entente-homeserver");
        let program = binaries.homeserver.display();
        let mounted = format!(
            "config=$(dirname \"$3\"); cp -a \"$config/data\" \"$config/seed\" && \
             mount -t tmpfs -o size={size_kib}k,mode=0700 tmpfs \"$config/data\" && \
             cp -a \"$config/seed/.\" \"$config/data/\" && exec \"{program}\" \"$@\""
        );
        let text = format!(
            "#!/bin/sh\ncase \"$1 $3\" in\n\"serve \"*/{domain}/*) exec unshare -m sh -c '{mounted}' sh \"$@\" ;;\n\
             *) exec \"{program}\" \"$@\" ;;\nesac\n"
        );
        fs::write(&script, text)?;
        fs::set_permissions(&script, Permissions::from_mode(0o755))?;
        Ok(Self {
            binaries: Binaries {
                homeserver: script,
                ..binaries
            },
            _folder: folder,
        })
    }
}

/// Something that takes all the room there is on a server's disk.
pub struct Filler(PathBuf);

impl Filler {
    /// Fills the disk on which a process has its data.
    ///
    /// # Errors
    /// The disk cannot be written, or is not small.
    pub fn of(pid: u32, folder: &Folder, domain: &Domain) -> Result<Self> {
        const MOST: usize = 4096;
        let data = folder.server_data(domain);
        let inside = data.strip_prefix("/").context("an absolute path")?;
        let path = PathBuf::from(format!("/proc/{pid}/root"))
            .join(inside)
            .join("filler");
        let mut file = File::create(&path)?;
        for block in [BLOCK, 512, 1] {
            for _ in 0..MOST {
                match file.write_all(&vec![7; block]) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        match file.write_all(&[7; BLOCK]) {
            Err(error) if error.kind() == ErrorKind::StorageFull => Ok(Self(path)),
            other => bail!("the disk is not full: {other:?}"),
        }
    }

    /// Makes room again.
    ///
    /// # Errors
    /// The file is gone.
    pub fn remove(self) -> Result<()> {
        Ok(fs::remove_file(self.0)?)
    }
}
