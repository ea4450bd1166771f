//! Where profiles lie, and which one a command means.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use entente_sdk::Client;

use crate::args::Options;
use crate::failure::{Exit, Failure};

/// The profile that `register` makes when none is named.
const DEFAULT_NAME: &str = "default";
/// Longest name of a profile, in bytes.
const MAX_NAME_BYTES: usize = 200;

/// The folder for a new profile.
///
/// # Errors
/// When the name is no file name, or there is no home.
pub fn for_registration(options: &Options) -> Result<PathBuf, Failure> {
    let name = options.profile.as_deref().unwrap_or(DEFAULT_NAME);
    Ok(profiles(options)?.join(checked(name)?))
}

/// The folder of the profile that a command means: the named one, or the only one.
///
/// # Errors
/// When there is no such profile, or it is not clear which.
pub fn existing(options: &Options) -> Result<PathBuf, Failure> {
    let profiles = profiles(options)?;
    if let Some(name) = &options.profile {
        let folder = profiles.join(checked(name)?);
        if Client::profile_exists(&folder) {
            return Ok(folder);
        }
        let message = format!("there is no profile `{name}` in {}", profiles.display());
        return Err(Failure::new(Exit::Profile, message));
    }
    let mut names = names_in(&profiles);
    match (names.pop(), names.is_empty()) {
        (Some(only), true) => Ok(profiles.join(only)),
        (Some(last), false) => {
            names.push(last);
            let message = format!(
                "which profile? Name one with --profile: {}",
                names.join(", ")
            );
            Err(Failure::new(Exit::Profile, message))
        }
        (None, _) => {
            let message = "you have no account here yet; open one with `entente register HANDLE`";
            Err(Failure::new(Exit::Profile, message))
        }
    }
}

/// The folder with all profiles.
fn profiles(options: &Options) -> Result<PathBuf, Failure> {
    let home = match &options.home {
        Some(home) => home.clone(),
        None => default_home()?,
    };
    Ok(home.join("profiles"))
}

fn default_home() -> Result<PathBuf, Failure> {
    let absolute = |name: &str| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    if let Some(data) = absolute("XDG_DATA_HOME") {
        return Ok(data.join("entente"));
    }
    match absolute("HOME") {
        Some(home) => Ok(home.join(".local/share/entente")),
        None => Err(Failure::new(
            Exit::Profile,
            "HOME is not set; name a folder with --home",
        )),
    }
}

fn names_in(profiles: &Path) -> Vec<String> {
    let entries = fs::read_dir(profiles).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| Client::profile_exists(&entry.path()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn checked(name: &str) -> Result<&str, Failure> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'@' | b'-');
    let sized = (1..=MAX_NAME_BYTES).contains(&name.len());
    if sized && name.bytes().all(plain) && !name.starts_with('.') {
        return Ok(name);
    }
    let message = "a profile's name has letters, digits, `.`, `_`, `@` and `-`, and no dot first";
    Err(Failure::new(Exit::Usage, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_single_plain_path_segments() {
        for good in ["default", "alice@org-a.test", "a_b-1.c"] {
            assert!(checked(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "a\u{202e}"] {
            assert!(checked(bad).is_err(), "{bad}");
        }
        assert!(checked(&"a".repeat(MAX_NAME_BYTES + 1)).is_err());
    }
}
