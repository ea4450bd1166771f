//! The work tree: which files there are, and which of them are whose code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::source::RustFile;

/// Folders that hold no text of ours.
const SKIPPED_FOLDERS: &[&str] = &["target", ".git", ".testnet", ".idea", ".vscode"];

/// The work tree, read once.
#[derive(Debug)]
pub struct House {
    root: PathBuf,
    files: Vec<PathBuf>,
    rust_files: Vec<RustFile>,
}

impl House {
    /// Reads the workspace that this crate is part of.
    ///
    /// # Panics
    /// When a file cannot be read, or a Rust file is not Rust.
    #[must_use]
    pub fn open() -> Self {
        let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = crate_dir
            .parent()
            .expect("this crate lies in a folder of the workspace");
        let mut files = Vec::new();
        list_files(root, root, &mut files);
        files.sort();
        let rust_files = read_rust_files(root, &files);
        Self {
            root: root.to_owned(),
            files,
            rust_files,
        }
    }

    /// The workspace root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Every file, relative to the root, sorted.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Every Rust file written by hand.
    #[must_use]
    pub fn rust_files(&self) -> &[RustFile] {
        &self.rust_files
    }

    /// The text of a file, or nothing when it is missing or no UTF-8.
    #[must_use]
    pub fn text(&self, file: &Path) -> Option<String> {
        fs::read_to_string(self.root.join(file)).ok()
    }
}

fn list_files(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
    for entry in entries {
        let entry = entry.unwrap_or_else(|error| panic!("cannot list: {error}"));
        let path = entry.path();
        let kind = entry
            .file_type()
            .unwrap_or_else(|error| panic!("cannot tell: {error}"));
        if kind.is_dir() {
            let name = entry.file_name();
            if !SKIPPED_FOLDERS.iter().any(|skipped| name == *skipped) {
                list_files(root, &path, files);
            }
        } else {
            let relative = path
                .strip_prefix(root)
                .expect("the listing began at the root");
            files.push(relative.to_owned());
        }
    }
}

/// Parses the Rust files; a file is test code also when the module that declares it is.
fn read_rust_files(root: &Path, files: &[PathBuf]) -> Vec<RustFile> {
    let mut parsed: Vec<RustFile> = files
        .iter()
        .filter(|file| file.extension().is_some_and(|ending| ending == "rs"))
        .filter(|file| !is_generated(file))
        .map(|file| {
            let text = fs::read_to_string(root.join(file))
                .unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
            RustFile::parse(file, &text)
        })
        .collect();
    let test_modules: BTreeSet<PathBuf> = parsed
        .iter()
        .flat_map(|file| file.test_module_files().to_vec())
        .collect();
    for file in &mut parsed {
        if test_modules.iter().any(|module| {
            file.path().starts_with(module.with_extension("")) || file.path() == module
        }) {
            file.mark_as_test();
        }
    }
    parsed
}

/// What capnpc writes is not ours to shape.
fn is_generated(file: &Path) -> bool {
    file.starts_with("schemas/src")
        && file
            .file_stem()
            .is_some_and(|stem| stem.to_string_lossy().ends_with("_capnp"))
}
