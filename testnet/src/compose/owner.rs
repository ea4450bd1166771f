//! Whose the files are that containers read. Containers run as fixed users other than root; files with
//! secrets belong to exactly those, which only root can arrange. Where somebody else makes the network, its
//! homeservers run as that very person instead.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use anyhow::{Context, Result};
use rustix::process::{getegid, geteuid};

/// The user of homeservers in containers; no system has it as a person.
const SERVER_ID: u32 = 10_001;
/// The user `postgres` of the official image on Alpine; the stand-in takes the same.
const DATABASE_ID: u32 = 70;
/// The user `nobody`, whom the official image of Prometheus has.
const METRICS_ID: u32 = 65_534;

/// A user and its group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Owner {
    /// Who homeservers run as.
    #[must_use]
    pub fn of_servers() -> Self {
        if geteuid().is_root() {
            return Self::both(SERVER_ID);
        }
        Self {
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
        }
    }

    /// Who databases run as.
    #[must_use]
    pub fn of_databases() -> Self {
        Self::both(DATABASE_ID)
    }

    /// Who Prometheus runs as.
    #[must_use]
    pub fn of_metrics() -> Self {
        Self::both(METRICS_ID)
    }

    fn both(id: u32) -> Self {
        Self { uid: id, gid: id }
    }

    /// Gives a file to this owner alone. Where only root could do that, the file becomes readable for all
    /// who reach it: the folders above it keep everybody out but containers that mount it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn give(self, path: &Path) -> Result<()> {
        let cannot = || format!("cannot give {} away", path.display());
        if geteuid().is_root() {
            return chown(path, Some(self.uid), Some(self.gid)).with_context(cannot);
        }
        if self.uid == geteuid().as_raw() {
            return Ok(());
        }
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).with_context(cannot)
    }
}
