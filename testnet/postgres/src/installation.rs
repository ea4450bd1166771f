//! Where Postgres is installed, and as whom it runs.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::PostgresFault;

/// Where Debian and its kin keep one folder for each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// As whom Postgres runs when root starts it.
const USER: &str = "postgres";

/// The programs of one installation.
#[derive(Clone, Debug)]
pub(crate) struct Installation {
    programs: PathBuf,
    user: Option<(u32, u32)>,
}

impl Installation {
    /// The newest one of this machine.
    ///
    /// # Errors
    /// There is none, or none that may be run by this user.
    pub(crate) fn find() -> Result<Self, PostgresFault> {
        let missing = || {
            PostgresFault(
                "no Postgres is installed here (no initdb on the PATH or under \
                 /usr/lib/postgresql); on Debian or Ubuntu: apt-get install postgresql"
                    .to_owned(),
            )
        };
        let programs = newest().or_else(on_the_path).ok_or_else(missing)?;
        let is_root = rustix::process::geteuid().is_root();
        let user = if is_root { Some(user()?) } else { None };
        Ok(Self { programs, user })
    }

    /// As whom it runs, if that is not the user who asks.
    pub(crate) fn user(&self) -> Option<(u32, u32)> {
        self.user
    }

    /// One of its programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// A program run as the right user, in `folder`, without a terminal.
    pub(crate) fn command(&self, program: impl AsRef<Path>, folder: &Path) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir(folder).stdin(Stdio::null());
        // What a shell was told about another database does not count here.
        for name in [
            "PGHOST",
            "PGPORT",
            "PGUSER",
            "PGDATABASE",
            "PGPASSWORD",
            "PGOPTIONS",
        ] {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C");
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }
}

/// Runs a command to its end.
///
/// # Errors
/// It cannot be run, or fails; the fault tells what it said.
pub(crate) fn run(command: &mut Command) -> Result<String, PostgresFault> {
    let shown = format!("{command:?}");
    let output = command.output();
    let failed = |why: String| PostgresFault(format!("{shown}: {why}"));
    let Output {
        status,
        stdout,
        stderr,
    } = output.map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        let said = String::from_utf8_lossy(&stderr);
        let told = String::from_utf8_lossy(&stdout);
        return Err(failed(format!("{status}: {told}{said}")));
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

fn newest() -> Option<PathBuf> {
    let versions = fs::read_dir(VERSIONS).ok()?.filter_map(|entry| {
        let path = entry.ok()?.path();
        let version: u32 = path.file_name()?.to_str()?.parse().ok()?;
        let programs = path.join("bin");
        programs
            .join("initdb")
            .exists()
            .then_some((version, programs))
    });
    versions.max().map(|(_, programs)| programs)
}

fn on_the_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find(|folder| folder.join("initdb").exists())
}

/// The user and group of the package.
fn user() -> Result<(u32, u32), PostgresFault> {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let ids = text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields[..] {
            [USER, _, uid, gid, ..] => Some((uid.parse().ok()?, gid.parse().ok()?)),
            _ => None,
        }
    });
    ids.ok_or_else(|| {
        PostgresFault(format!(
            "Postgres does not run as root, and there is no user `{USER}` to run it as; on Debian or \
             Ubuntu: apt-get install postgresql"
        ))
    })
}
