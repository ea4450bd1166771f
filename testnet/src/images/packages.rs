//! Stand-ins for published images, made from the packages of the Debian or Ubuntu that this is.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio::process::Command;

use super::{POSTGRES_IMAGE, PROMETHEUS_IMAGE};
use crate::compose::owner::Owner;
use crate::docker::{docker, done, text};
use crate::narrator::Narrator;

/// Makes the cluster and becomes Postgres.
const POSTGRES_ENTRYPOINT: &str = include_str!("../../images/postgres-entrypoint");
/// What nobody reads in a container.
const SUPERFLUOUS: &[&str] = &[
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "var/cache/apt",
    "var/cache/debconf",
    "var/lib/apt/lists",
    "var/lib/postgresql",
    "var/log",
];

/// Whose place an image takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandIn {
    /// `postgres`.
    Postgres,
    /// `prom/prometheus`.
    Prometheus,
}

impl StandIn {
    /// The image's name.
    #[must_use]
    pub fn image(self) -> &'static str {
        match self {
            Self::Postgres => POSTGRES_IMAGE,
            Self::Prometheus => PROMETHEUS_IMAGE,
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Postgres => "postgresql",
            Self::Prometheus => "prometheus",
        }
    }

    /// The folder of its volume, inside of the container.
    fn volume(self) -> &'static str {
        match self {
            Self::Postgres => "var/lib/postgresql/data",
            Self::Prometheus => "prometheus",
        }
    }

    /// What the container is to know of the image, as lines of a Dockerfile.
    fn settings(self, root: &Path) -> Result<Vec<String>> {
        let owner = self.owner();
        let user = format!("USER {}:{}", owner.uid, owner.gid);
        Ok(match self {
            Self::Postgres => {
                let programs = postgres_programs(root)?;
                vec![
                    format!("ENV PATH={programs}:/usr/bin:/bin"),
                    "ENV PGDATA=/var/lib/postgresql/data/pgdata".to_owned(),
                    "ENTRYPOINT [\"/usr/local/bin/postgres-entrypoint\"]".to_owned(),
                    "CMD [\"postgres\"]".to_owned(),
                    user,
                ]
            }
            Self::Prometheus => vec!["ENTRYPOINT [\"/usr/bin/prometheus\"]".to_owned(), user],
        })
    }

    fn owner(self) -> Owner {
        match self {
            Self::Postgres => Owner::of_databases(),
            Self::Prometheus => Owner::of_metrics(),
        }
    }
}

/// Makes a stand-in.
///
/// # Errors
/// When this is no Debian, a tool or root rights are missing, or a package cannot be had.
pub async fn make(stand_in: StandIn, narrator: Narrator) -> Result<()> {
    check_tools(stand_in).await?;
    let folder = TempDir::with_prefix("entente-packages-").context("cannot make a folder")?;
    let root = folder.path().join("root");
    let package = stand_in.package();
    {
        let _busy = narrator.busy(&format!("installing {package} into a folder"));
        let mut command = Command::new("debootstrap");
        command
            .args(["--variant=minbase", &format!("--include={package}")])
            .arg(codename()?)
            .arg(&root);
        if let Some(mirror) = mirror().await {
            command.arg(mirror);
        }
        // Neither units nor a first cluster are wanted of the package.
        command.env("DEBIAN_FRONTEND", "noninteractive");
        let installed = done(&mut command).await;
        installed.with_context(|| format!("cannot install {package} into a folder"))?;
    }
    let _busy = narrator.busy(&format!("making {}", stand_in.image()));
    for folder in SUPERFLUOUS {
        empty(&root.join(folder))?;
    }
    lay_out(stand_in, &root)?;
    import(stand_in, folder.path()).await
}

async fn check_tools(stand_in: StandIn) -> Result<()> {
    let image = stand_in.image();
    let found = done(Command::new("debootstrap").arg("--version")).await;
    if found.is_err() {
        bail!(
            "{image} is made with debootstrap, which is not there; on Debian or Ubuntu: apt-get install \
             debootstrap; elsewhere name an image in ENTENTE_POSTGRES_IMAGE that Docker can pull"
        );
    }
    ensure!(
        rustix::process::geteuid().is_root(),
        "{image} is made with debootstrap, which wants to be root: sudo testnet images"
    );
    Ok(())
}

/// The release that this machine runs, and so the one whose packages its mirror has.
fn codename() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("cannot tell which system this is")?;
    let found = text
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let found = found.context("this system names no release; stand-ins want Debian or Ubuntu")?;
    Ok(found.trim_matches('"').to_owned())
}

/// The mirror that this machine's apt uses; debootstrap has one of its own besides.
async fn mirror() -> Option<String> {
    let mut command = Command::new("apt-get");
    command.args([
        "indextargets",
        "--format",
        "$(REPO_URI)",
        "Created-By: Packages",
    ]);
    let told = text(&mut command).await.ok()?;
    told.lines()
        .find(|uri| !uri.contains("security") && uri.starts_with("http"))
        .map(str::to_owned)
}

fn lay_out(stand_in: StandIn, root: &Path) -> Result<()> {
    let volume = root.join(stand_in.volume());
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o755);
    let parent = volume.parent().context("a volume lies in a folder")?;
    builder.create(parent).context("cannot make a folder")?;
    let mut private = fs::DirBuilder::new();
    private.recursive(true).mode(0o700);
    private.create(&volume).context("cannot make a folder")?;
    let owner = stand_in.owner();
    chown(&volume, Some(owner.uid), Some(owner.gid)).context("cannot give a folder away")?;
    if stand_in == StandIn::Postgres {
        let entrypoint = root.join("usr/local/bin/postgres-entrypoint");
        let mut file = fs::File::create(&entrypoint).context("cannot write a program")?;
        file.write_all(POSTGRES_ENTRYPOINT.as_bytes())?;
        file.set_permissions(fs::Permissions::from_mode(0o755))?;
        // Postgres looks its own user up; the number alone is not enough for it.
        let line = format!("entente:x:{}:{}::/:/bin/sh\n", owner.uid, owner.gid);
        let mut users = fs::File::options()
            .append(true)
            .open(root.join("etc/passwd"))
            .context("the packages brought no table of users")?;
        users.write_all(line.as_bytes())?;
    }
    Ok(())
}

/// The folder of Postgres's programs, as the container sees it; the newest if there are several.
fn postgres_programs(root: &Path) -> Result<String> {
    let versions = fs::read_dir(root.join("usr/lib/postgresql"));
    let versions = versions.context("the package brought no Postgres")?;
    let newest = versions
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .max();
    let newest = newest.context("the package brought no Postgres")?;
    Ok(format!("/usr/lib/postgresql/{newest}/bin"))
}

fn empty(folder: &Path) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(_) => return Ok(()),
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let removed = if entry.file_type()?.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// Packs the folder and lets Docker make an image of it.
async fn import(stand_in: StandIn, folder: &Path) -> Result<()> {
    let archive = folder.join("root.tar");
    let root = folder.join("root");
    let mut pack = Command::new("tar");
    pack.args(["--create", "--numeric-owner", "--one-file-system"])
        .args([
            "--exclude=./proc/*",
            "--exclude=./sys/*",
            "--exclude=./dev/*",
        ])
        .arg("--file")
        .arg(&archive)
        .arg("--directory")
        .arg(&root)
        .arg(".");
    done(&mut pack).await.context("cannot pack the image")?;
    let mut command = docker();
    command.arg("import");
    for setting in stand_in.settings(&root)? {
        command.args(["--change", &setting]);
    }
    command.arg(&archive).arg(stand_in.image());
    done(&mut command).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_postgres_is_taken() {
        let temp = tempfile::tempdir().unwrap();
        assert!(postgres_programs(temp.path()).is_err());
        for version in ["9.6", "15", "17"] {
            fs::create_dir_all(temp.path().join("usr/lib/postgresql").join(version)).unwrap();
        }
        let programs = postgres_programs(temp.path()).unwrap();
        assert_eq!(programs, "/usr/lib/postgresql/17/bin");
    }

    #[test]
    fn what_is_superfluous_goes_and_the_folder_stays() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("var/log");
        fs::create_dir_all(folder.join("deep")).unwrap();
        fs::write(folder.join("dpkg.log"), "x").unwrap();
        empty(&folder).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        empty(&temp.path().join("never/was")).unwrap();
    }
}
