//! A private key in a file: which server's, for what, and never one that others can know.

use std::path::{Path, PathBuf};

use entente_identity::{ServerDid, SigningKey};
use rand::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use super::secret_file::{Readers, SecretFileFault, read_secret, write_secret};

const HEADER: &str = "entente key 1";

/// Seeds that everybody can read, by where they are published.
const PUBLISHED_SEEDS: [[u8; 32]; 9] = [
    // RFC 8032 §7.1, in the order of its tests.
    hex32(b"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"),
    hex32(b"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"),
    hex32(b"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"),
    hex32(b"f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5"),
    hex32(b"833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42"),
    // RFC 8032 §7.2.
    hex32(b"0305334e381af78f141cb666f6199f57bc3495335a256a95bd2a55bf546663f6"),
    hex32(b"ab9c2853ce297ddab85c993b3ae14bcad39b2c682beabc27d6d4eb20711d6560"),
    // RFC 8410 §10.3.
    hex32(b"d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842"),
    // RFC 9421 appendix B.1.4.
    hex32(b"9f8362f87a484a954e6e740c5b4c0e84229139a20aa8ab56ff66586f6a7d29c5"),
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
    #[error(
        "{0} holds a default or test key: everybody can sign as this server; make new keys with \
         `entente-homeserver init`"
    )]
    Known(PathBuf),
    /// What was to be a new key is a known one.
    #[error("the machine's source of randomness gives no random keys: repair it before `init`")]
    NotRandom,
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
    if is_known(&key.seed()) {
        return Err(KeyFileFault::NotRandom);
    }
    write_key(path, purpose, server, &key)?;
    Ok(key)
}

/// Writes a key to a new file.
pub(super) fn write_key(
    path: &Path,
    purpose: Purpose,
    server: &ServerDid,
    key: &SigningKey,
) -> Result<(), SecretFileFault> {
    let seed = Zeroizing::new(hex::encode(key.seed().as_slice()));
    let text = Zeroizing::new(format!(
        "{HEADER}\npurpose {}\nserver {server}\npublic {}\nsecret {}\n",
        purpose.name(),
        key.public(),
        seed.as_str(),
    ));
    write_secret(path, text.as_bytes())
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

/// Whether others can know the seed: published, or of a pattern as people type them. 32 random bytes
/// have none of the patterns.
fn is_known(seed: &[u8; 32]) -> bool {
    let distinct = (0..=u8::MAX).filter(|byte| seed.contains(byte)).count();
    let steady = seed
        .windows(2)
        .all(|pair| pair[1].wrapping_sub(pair[0]) == seed[1].wrapping_sub(seed[0]));
    let typed = seed.iter().all(|byte| (b' '..=b'~').contains(byte));
    let twice = seed[..16] == seed[16..];
    PUBLISHED_SEEDS.contains(seed) || steady || typed || twice || distinct < 16
}

/// Reads 64 lower-case hex digits when the program is built.
const fn hex32(digits: &[u8; 64]) -> [u8; 32] {
    const fn value(digit: u8) -> u8 {
        match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => panic!("no lower-case hex digit"),
        }
    }
    let mut bytes = [0; 32];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = value(digits[2 * at]) << 4 | value(digits[2 * at + 1]);
        at += 1;
    }
    bytes
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

    fn check(seed: [u8; 32], known: bool) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.key");
        let key = SigningKey::from_seed(&seed);
        write_key(&path, Purpose::Federation, &server("org-a"), &key).expect("written");
        let read = read_key(&path, Purpose::Federation, &server("org-a"));
        let refused = matches!(read, Err(KeyFileFault::Known(_)));
        assert_eq!((refused, read.is_ok()), (known, !known), "{seed:02x?}");
    }

    fn seed(byte: impl FnMut(usize) -> u8) -> [u8; 32] {
        std::array::from_fn(byte)
    }

    fn low(n: usize) -> u8 {
        n.to_le_bytes()[0]
    }

    #[test]
    fn a9_a_key_of_a_pattern_is_refused() {
        for byte in 0..=u8::MAX {
            check([byte; 32], true);
        }
        for pattern in [
            seed(low),
            seed(|n| low(n) + 1),
            seed(|n| 31 - low(n)),
            seed(|n| low(n).wrapping_mul(8)),
            seed(|n| u8::from(n == 31)),
            seed(|n| u8::from(n == 0)),
            seed(|n| b"entente"[n % 7]),
            seed(|n| low(n % 16).wrapping_mul(37)),
            *b"correct horse battery staple 123",
            *b"0123456789abcdefghijklmnopqrstuv",
        ] {
            check(pattern, true);
        }
        for _ in 0..64 {
            check(*SigningKey::generate(&mut OsRng).seed(), false);
        }
    }

    #[test]
    fn a9_a_published_key_is_refused() {
        let published = [
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "dfc9425e4f968f7f0c29f0259cf5f9aed6851c2bb4ad8bfb860cfee0ab248292",
            "0f1d1274943b91415889152e893d80e93275a1fc0b65fd71b4b0dda10ad7d772",
            "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1",
            "26b40b8f93fff3d897112f7ebc582b232dbd72517d082fe83cfb30ddce43d1bb",
        ];
        for (seed, public) in PUBLISHED_SEEDS.into_iter().zip(published) {
            assert_eq!(SigningKey::from_seed(&seed).public().to_string(), public);
            check(seed, true);
        }
    }

    #[test]
    fn a9_a_known_key_is_not_made_either() {
        /// What a machine without entropy could give.
        struct Broken(u8);

        impl RngCore for Broken {
            fn next_u32(&mut self) -> u32 {
                0
            }

            fn next_u64(&mut self) -> u64 {
                0
            }

            fn fill_bytes(&mut self, bytes: &mut [u8]) {
                bytes.fill(self.0);
            }

            fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand::Error> {
                self.fill_bytes(bytes);
                Ok(())
            }
        }

        impl CryptoRng for Broken {}

        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.key");
        for byte in [0, 0xff] {
            let rng = &mut Broken(byte);
            let made = create_key(&path, Purpose::Federation, &server("org-a"), rng);
            assert!(matches!(made, Err(KeyFileFault::NotRandom)));
            assert!(!path.exists());
        }
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
