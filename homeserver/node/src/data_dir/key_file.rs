//! A private key in a file: which server's, for what, and never one that others can know.

use std::path::{Path, PathBuf};

use entente_identity::{ServerDid, SigningKey};
use rand::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use super::secret_file::{Readers, SecretFileFault, read_secret, write_secret};

const HEADER: &str = "entente key 1";

/// Seeds that everybody can read in RFC 8032 §7.1, in the order of its tests.
const PUBLISHED_SEEDS: [&str; 4] = [
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
];

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The server signs and connects with it.
    Federation,
    /// The server will rotate to it: it is committed to, and kept apart.
    NextFederation,
}

/// Why a key file is not used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileFault {
    /// The file is not usable as a secret.
    #[error(transparent)]
    File(#[from] SecretFileFault),
    /// It is no key file.
    #[error("{0} is no key file: `entente-homeserver init` writes them")]
    Malformed(PathBuf),
    /// It is a key file for something else.
    #[error("{path} holds the {got} key of {server}, not the {expected} key of {wanted}")]
    Other {
        /// The file.
        path: PathBuf,
        /// What the key is for.
        got: String,
        /// Whose it is.
        server: String,
        /// What was wanted.
        expected: &'static str,
        /// Whose was wanted.
        wanted: ServerDid,
    },
    /// The public half is not that of the private half.
    #[error("{0}: the public key is not that of the secret: restore the file from a backup")]
    Mismatch(PathBuf),
    /// Others can know the key.
    #[error("{0} holds a default or test key: everybody can sign as this server; run `init` anew")]
    Known(PathBuf),
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Federation => "federation",
            Self::NextFederation => "next-federation",
        }
    }
}

/// Makes a key and writes it to a new file.
///
/// # Errors
/// The file exists or cannot be written.
pub fn create_key(
    path: &Path,
    purpose: Purpose,
    server: &ServerDid,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<SigningKey, KeyFileFault> {
    let key = SigningKey::generate(rng);
    let seed = Zeroizing::new(hex::encode(key.seed().as_slice()));
    let text = Zeroizing::new(format!(
        "{HEADER}\npurpose {}\nserver {server}\npublic {}\nsecret {}\n",
        purpose.name(),
        key.public(),
        seed.as_str(),
    ));
    write_secret(path, text.as_bytes())?;
    Ok(key)
}

/// Reads a key that is for this purpose of this server.
///
/// # Errors
/// See [`KeyFileFault`].
pub fn read_key(
    path: &Path,
    purpose: Purpose,
    server: &ServerDid,
) -> Result<SigningKey, KeyFileFault> {
    let bytes = read_secret(path, Readers::Owner)?;
    let malformed = || KeyFileFault::Malformed(path.to_owned());
    let text = std::str::from_utf8(&bytes).map_err(|_| malformed())?;
    let lines = lines(text).ok_or_else(malformed)?;
    if lines.purpose != purpose.name() || lines.server != server.to_string() {
        return Err(KeyFileFault::Other {
            path: path.to_owned(),
            got: lines.purpose.to_owned(),
            server: lines.server.to_owned(),
            expected: purpose.name(),
            wanted: server.clone(),
        });
    }
    let seed = seed_of(lines.secret).ok_or_else(malformed)?;
    if is_known(&seed) {
        return Err(KeyFileFault::Known(path.to_owned()));
    }
    let key = SigningKey::from_seed(&seed);
    if key.public().to_string() != lines.public {
        return Err(KeyFileFault::Mismatch(path.to_owned()));
    }
    Ok(key)
}

struct Lines<'t> {
    purpose: &'t str,
    server: &'t str,
    public: &'t str,
    secret: &'t str,
}

fn lines(text: &str) -> Option<Lines<'_>> {
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return None;
    }
    let read = Lines {
        purpose: lines.next()?.strip_prefix("purpose ")?,
        server: lines.next()?.strip_prefix("server ")?,
        public: lines.next()?.strip_prefix("public ")?,
        secret: lines.next()?.strip_prefix("secret ")?,
    };
    lines.next().is_none().then_some(read)
}

fn seed_of(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text, seed.as_mut_slice()).ok()?;
    Some(seed)
}

/// Whether others can know the seed: published, or of a pattern as people type them.
fn is_known(seed: &[u8; 32]) -> bool {
    let published = PUBLISHED_SEEDS.contains(&hex::encode(seed).as_str());
    let distinct = (0..=u8::MAX).filter(|byte| seed.contains(byte)).count();
    let steady = seed
        .windows(2)
        .all(|pair| pair[1].wrapping_sub(pair[0]) == seed[1].wrapping_sub(seed[0]));
    // 32 random bytes with fewer than 16 distinct values do not occur.
    published || steady || distinct < 16
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rand::rngs::OsRng;

    use super::*;

    fn server(name: &str) -> ServerDid {
        format!("did:web:{name}.test").parse().expect("a DID")
    }

    #[test]
    fn a_key_reads_back_for_its_server_and_purpose_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.key");
        let made = create_key(&path, Purpose::Federation, &server("org-a"), &mut OsRng);
        let key = made.expect("made");
        let read = |purpose, name| read_key(&path, purpose, &server(name));
        let again = read(Purpose::Federation, "org-a").expect("the same key");
        assert_eq!(again.public(), key.public());
        let other = read(Purpose::NextFederation, "org-a").expect_err("another purpose");
        assert!(
            other.to_string().contains("not the next-federation key"),
            "{other}"
        );
        let other = read(Purpose::Federation, "org-b").expect_err("another server");
        assert!(
            other.to_string().contains("key of did:web:org-b.test"),
            "{other}"
        );
        let twice = create_key(&path, Purpose::Federation, &server("org-a"), &mut OsRng);
        assert!(
            twice
                .expect_err("never replaced")
                .to_string()
                .contains("exists")
        );
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.key");
        create_key(&path, Purpose::Federation, &server("org-a"), &mut OsRng).expect("made");
        for mode in [0o640, 0o604, 0o620, 0o601] {
            let wide = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, wide).expect("changed");
            let fault = read_key(&path, Purpose::Federation, &server("org-a"));
            let text = fault.expect_err("too wide").to_string();
            assert!(text.contains("chmod go-rwx"), "{text}");
        }
    }

    #[test]
    fn keys_that_others_can_know_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let check = |name: &str, seed: [u8; 32], known: bool| {
            let path = folder.path().join(name);
            let public = SigningKey::from_seed(&seed).public();
            let secret = hex::encode(seed);
            let text = format!(
                "{HEADER}\npurpose federation\nserver did:web:org-a.test\npublic {public}\nsecret {secret}\n"
            );
            write_secret(&path, text.as_bytes()).expect("written");
            let read = read_key(&path, Purpose::Federation, &server("org-a"));
            assert_eq!(matches!(read, Err(KeyFileFault::Known(_))), known, "{name}");
            assert_eq!(read.is_ok(), !known, "{name}");
        };
        let counting: [u8; 32] = std::array::from_fn(|n| u8::try_from(n).expect("below 32"));
        let published = hex::decode(PUBLISHED_SEEDS[0]).expect("hex");
        check("zero", [0; 32], true);
        check("ones", [1; 32], true);
        check("counting", counting, true);
        check("rfc", published.try_into().expect("32 bytes"), true);
        check("fresh", *SigningKey::generate(&mut OsRng).seed(), false);
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.key");
        create_key(&path, Purpose::Federation, &server("org-a"), &mut OsRng).expect("made");
        let good = std::fs::read_to_string(&path).expect("text");
        for bad in [
            String::new(),
            good.replace("key 1", "key 2"),
            format!("{good}more\n"),
            good.replace("secret ", "secret x"),
        ] {
            std::fs::write(&path, bad).expect("written");
            let read = read_key(&path, Purpose::Federation, &server("org-a"));
            assert!(matches!(read, Err(KeyFileFault::Malformed(_))));
        }
        let other = SigningKey::generate(&mut OsRng).public().to_string();
        let own = good.lines().nth(3).expect("the public line");
        std::fs::write(&path, good.replace(own, &format!("public {other}"))).expect("written");
        let read = read_key(&path, Purpose::Federation, &server("org-a"));
        assert!(matches!(read, Err(KeyFileFault::Mismatch(_))));
    }
}
