//! The programs that a network starts: found beside this one, and built first so that they are current.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;

/// Path of the homeserver program, in place of the one that is built.
pub const HOMESERVER_VARIABLE: &str = "TESTNET_HOMESERVER";
/// Path of the client program, in place of the one that is built.
pub const CLIENT_VARIABLE: &str = "TESTNET_CLIENT";

/// Settings of the surrounding shell that are not to reach the programs of a network.
const OUR_VARIABLES: &str = "ENTENTE_";

/// Whether programs are built before they are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildChoice {
    /// Cargo brings them up to date.
    Build,
    /// What lies there is taken.
    TakeAsIs,
}

/// The programs that a network starts.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// `entente-homeserver`.
    pub homeserver: PathBuf,
    /// `entente`.
    pub client: PathBuf,
}

impl Binaries {
    /// Finds the programs: those named by environment variables, else those in the folder of this
    /// program, which cargo brings up to date in the same profile.
    ///
    /// # Errors
    /// When the build fails or a program is not there.
    pub async fn find(choice: BuildChoice) -> Result<Self> {
        let named = (
            env::var_os(HOMESERVER_VARIABLE),
            env::var_os(CLIENT_VARIABLE),
        );
        let binaries = match named {
            (Some(homeserver), Some(client)) => Self {
                homeserver: homeserver.into(),
                client: client.into(),
            },
            (homeserver, client) => {
                let output = OutputFolder::of_this_program()?;
                if choice == BuildChoice::Build {
                    output.build().await?;
                }
                Self {
                    homeserver: homeserver
                        .map_or_else(|| output.program("entente-homeserver"), PathBuf::from),
                    client: client.map_or_else(|| output.program("entente"), PathBuf::from),
                }
            }
        };
        binaries.check()?;
        Ok(binaries)
    }

    fn check(&self) -> Result<()> {
        for program in [&self.homeserver, &self.client] {
            let path = program.display();
            ensure!(
                program.is_file(),
                "{path} is not there; leave out --no-build, or name the programs in \
                 {HOMESERVER_VARIABLE} and {CLIENT_VARIABLE}"
            );
        }
        Ok(())
    }
}

/// A command without the settings of the surrounding shell, killed when it is dropped.
#[must_use]
pub fn hermetic(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with(OUR_VARIABLES) {
            command.env_remove(name);
        }
    }
    command.kill_on_drop(true);
    command
}

/// The source tree that this program was built from.
///
/// # Errors
/// When it is gone.
pub fn source_root() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = root.filter(|root| root.join("Cargo.toml").is_file());
    let root = root.context(
        "the source tree that this program was built from is gone; use --no-build, where that is \
         possible",
    )?;
    Ok(root.to_owned())
}

/// The folder into which cargo put this program, `target/<profile>`.
struct OutputFolder {
    target: PathBuf,
    profile_folder: String,
}

impl OutputFolder {
    fn of_this_program() -> Result<Self> {
        let program = env::current_exe().context("cannot tell where this program lies")?;
        Self::of(&program)
    }

    /// Programs lie in `target/<profile>`, tests one folder deeper.
    fn of(program: &Path) -> Result<Self> {
        let folder = program.parent().context("a program lies in a folder")?;
        let folder = match folder.file_name() {
            Some(name) if name == "deps" => folder.parent().unwrap_or(folder),
            _ => folder,
        };
        let name = folder.file_name().and_then(|name| name.to_str());
        let (Some(target), Some(name)) = (folder.parent(), name) else {
            bail!("{} is not in a folder of cargo's", program.display());
        };
        Ok(Self {
            target: target.to_owned(),
            profile_folder: name.to_owned(),
        })
    }

    fn program(&self, name: &str) -> PathBuf {
        let file = format!("{name}{}", env::consts::EXE_SUFFIX);
        self.target.join(&self.profile_folder).join(file)
    }

    /// Cargo's name of the profile whose output folder this is.
    fn profile(&self) -> &str {
        match self.profile_folder.as_str() {
            "debug" => "dev",
            other => other,
        }
    }

    async fn build(&self) -> Result<()> {
        let manifest = source_root()?.join("Cargo.toml");
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let status = Command::new(&cargo)
            .arg("build")
            .arg("--manifest-path")
            .arg(&manifest)
            .args([
                "--package",
                "entente-homeserver",
                "--package",
                "entente-cli",
                "--bins",
            ])
            .args(["--profile", self.profile()])
            .arg("--target-dir")
            .arg(&self.target)
            .stdout(std::process::Stdio::null())
            .kill_on_drop(true)
            .status()
            .await
            .with_context(|| format!("cannot start {}", cargo.display()))?;
        ensure!(status.success(), "the build failed");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(program: &str, profile: &str, client: &str) {
        let output = OutputFolder::of(Path::new(program)).unwrap();
        assert_eq!(output.profile(), profile);
        assert_eq!(output.program("entente"), Path::new(client));
    }

    #[test]
    fn the_profile_is_that_of_this_program() {
        check("/x/target/debug/testnet", "dev", "/x/target/debug/entente");
        check(
            "/x/target/debug/deps/t-1f",
            "dev",
            "/x/target/debug/entente",
        );
        check("/x/t/release/testnet", "release", "/x/t/release/entente");
        check("/x/t/bench/testnet", "bench", "/x/t/bench/entente");
    }
}
