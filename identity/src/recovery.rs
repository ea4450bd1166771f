//! The account root and its recovery words (BIP-39, 24 English words for 256 bits).

use std::fmt;

use bip39::Mnemonic;
use rand::{CryptoRng, RngCore};
use zeroize::{Zeroize, Zeroizing};

use crate::did::AccountDid;
use crate::keys::SigningKey;

/// An account's cold root: made on the person's device, shown once as words, then dropped.
pub struct RootKey(SigningKey);

/// The root as words to write down; shown once, never stored.
pub struct RecoveryWords(Zeroizing<String>);

/// Why recovery words are not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryFault {
    /// Not 24 words of the list with a right checksum.
    #[error("recovery words are 24 words from the BIP-39 English list; check order and spelling")]
    Words,
}

impl RootKey {
    /// Makes a root.
    pub fn generate(rng: &mut (impl CryptoRng + RngCore)) -> Self {
        Self(SigningKey::generate(rng))
    }

    /// The account that this root is.
    #[must_use]
    pub fn account(&self) -> AccountDid {
        AccountDid::new(self.0.public())
    }

    /// The key, for signing the account's first statements.
    #[must_use]
    pub fn signing_key(&self) -> &SigningKey {
        &self.0
    }

    /// The words that restore this root.
    #[must_use]
    pub fn recovery_words(&self) -> RecoveryWords {
        let seed = self.0.seed();
        let mut mnemonic =
            Mnemonic::from_entropy(seed.as_slice()).expect("32 bytes are valid BIP-39 entropy");
        let words = RecoveryWords(Zeroizing::new(mnemonic.to_string()));
        mnemonic.zeroize();
        words
    }
}

impl RecoveryWords {
    /// Reads words as a person types them; case and spacing do not matter.
    ///
    /// # Errors
    /// Not 24 words with a right checksum.
    pub fn parse(text: &str) -> Result<Self, RecoveryFault> {
        let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let normalized = Zeroizing::new(joined.to_lowercase());
        let words = Self(normalized);
        words.root()?;
        Ok(words)
    }

    /// The words, to be shown to their owner once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The root that the words restore.
    ///
    /// # Errors
    /// Not 24 words with a right checksum.
    pub fn root(&self) -> Result<RootKey, RecoveryFault> {
        let mut mnemonic = Mnemonic::parse_normalized(&self.0).map_err(|_| RecoveryFault::Words)?;
        let entropy = Zeroizing::new(mnemonic.to_entropy());
        mnemonic.zeroize();
        let seed = Zeroizing::new(
            <[u8; 32]>::try_from(entropy.as_slice()).map_err(|_| RecoveryFault::Words)?,
        );
        Ok(RootKey(SigningKey::from_seed(&seed)))
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootKey(of {})", self.account())
    }
}

impl fmt::Debug for RecoveryWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryWords(…)")
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn words_restore_the_root() {
        let root = RootKey::generate(&mut StdRng::seed_from_u64(1));
        let words = root.recovery_words();
        assert_eq!(words.reveal().split(' ').count(), 24);
        let typed = format!("  {}  ", words.reveal().to_uppercase().replace(' ', "\n"));
        let again = RecoveryWords::parse(&typed).expect("the same words");
        assert_eq!(again.root().expect("a root").account(), root.account());
        assert!(RecoveryWords::parse("abandon abandon").is_err());
        assert!(!format!("{words:?}").contains(words.reveal()));
    }
}
