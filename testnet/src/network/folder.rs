//! Where everything of one network lies, and the rule that only our own folders are ever cleared.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use entente_identity::{Domain, Handle};

/// The file that marks a folder as made by this program.
const MARKER: &str = "testnet.json";

/// The folder of one network.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Names a folder by its path; nothing is created.
    ///
    /// # Errors
    /// When the current directory is not known.
    pub fn at(path: &Path) -> Result<Self> {
        let root = std::path::absolute(path)
            .with_context(|| format!("{} is not a usable path", path.display()))?;
        Ok(Self { root })
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The plan, whose presence says that the folder is ours.
    #[must_use]
    pub fn marker(&self) -> PathBuf {
        self.root.join(MARKER)
    }

    /// The host table.
    #[must_use]
    pub fn host_table(&self) -> PathBuf {
        self.root.join("hosts")
    }

    /// The private authority's certificate.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.root.join("authority.pem")
    }

    /// The private authority's key.
    #[must_use]
    pub fn authority_key(&self) -> PathBuf {
        self.root.join("authority-key.pem")
    }

    /// Everything of one server.
    #[must_use]
    pub fn server(&self, domain: &Domain) -> PathBuf {
        self.root.join("servers").join(domain.as_str())
    }

    /// One server's host table: how it reaches the others.
    #[must_use]
    pub fn server_hosts(&self, domain: &Domain) -> PathBuf {
        self.server(domain).join("hosts")
    }

    /// One server's configuration.
    #[must_use]
    pub fn server_config(&self, domain: &Domain) -> PathBuf {
        self.server(domain).join("homeserver.toml")
    }

    /// One server's keys and database.
    #[must_use]
    pub fn server_data(&self, domain: &Domain) -> PathBuf {
        self.server(domain).join("data")
    }

    /// The keys of a server's second node.
    #[must_use]
    pub fn second_data(&self, domain: &Domain) -> PathBuf {
        self.server(domain).join("second")
    }

    /// One server's database.
    #[must_use]
    pub fn server_database(&self, domain: &Domain) -> PathBuf {
        self.server_data(domain).join("homeserver.sqlite")
    }

    /// What one server prints.
    #[must_use]
    pub fn server_log(&self, domain: &Domain) -> PathBuf {
        self.server(domain).join("server.log")
    }

    /// One server's HTTPS certificate and key.
    #[must_use]
    pub fn server_tls(&self, domain: &Domain) -> (PathBuf, PathBuf) {
        let folder = self.server(domain).join("tls");
        (folder.join("fullchain.pem"), folder.join("key.pem"))
    }

    /// The home under which the people's profiles lie.
    #[must_use]
    pub fn people(&self) -> PathBuf {
        self.root.join("people")
    }

    /// A person's recovery words: what people write on paper, a test network keeps here.
    #[must_use]
    pub fn person_words(&self, handle: &Handle) -> PathBuf {
        self.secrets().join(format!("{handle}.words"))
    }

    /// Where the people's secrets lie.
    #[must_use]
    pub fn secrets(&self) -> PathBuf {
        self.root.join("secrets")
    }

    /// Whether a network was made here.
    #[must_use]
    pub fn is_network(&self) -> bool {
        self.marker().is_file()
    }

    /// Creates the folder for a new network.
    ///
    /// # Errors
    /// When it holds something already, or cannot be written.
    pub fn create(&self) -> Result<()> {
        let path = self.root.display();
        match fs::read_dir(&self.root) {
            Ok(mut entries) => ensure!(
                entries.next().is_none(),
                "{path} is not empty and no test network; choose another folder with --dir"
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot look into {path}")),
        }
        for folder in [self.root.clone(), self.people(), self.secrets()] {
            private_folder(&folder)?;
        }
        Ok(())
    }

    /// Removes the network with everything in it.
    ///
    /// # Errors
    /// When no network was made here, or something cannot be removed.
    pub fn clear(&self) -> Result<()> {
        let path = self.root.display();
        if !self.is_network() {
            bail!("{path} is no test network (it has no {MARKER}), so nothing is removed");
        }
        fs::remove_dir_all(&self.root).with_context(|| format!("cannot remove {path}"))
    }
}

/// Creates a folder that only its owner can open.
///
/// # Errors
/// When it cannot be created.
pub fn private_folder(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .with_context(|| format!("cannot create {}", path.display()))
}

/// Writes a file that only its owner can read.
///
/// # Errors
/// When it cannot be written.
pub fn private_file(path: &Path, contents: &[u8]) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    io::Write::write_all(&mut file, contents)
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_folder_made_here_is_cleared() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::at(&temp.path().join("net")).unwrap();
        fs::create_dir(folder.root()).unwrap();
        fs::write(folder.root().join("precious"), "x").unwrap();
        assert!(folder.clear().is_err());
        assert!(folder.create().is_err());
        assert!(folder.root().join("precious").exists());
        fs::write(folder.marker(), "{}").unwrap();
        folder.clear().unwrap();
        assert!(!folder.root().exists());
    }
}
