//! Chance that can be had again: everything random in an attack comes from one printed seed.

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

/// Chance for one attack.
#[derive(Clone, Debug)]
pub struct Dice(StdRng);

impl Dice {
    /// The chance of an attack of that name under a seed: whichever other attacks run, it is the same.
    #[must_use]
    pub fn of(seed: u64, name: &str) -> Self {
        let salt = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(StdRng::seed_from_u64(seed ^ salt))
    }

    /// The generator itself.
    pub fn rng(&mut self) -> &mut StdRng {
        &mut self.0
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: usize) -> usize {
        self.0.gen_range(0..end)
    }

    /// Random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// Random bytes of a length.
    pub fn many(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_name_give_the_same_chance() {
        let draw = |seed, name| Dice::of(seed, name).bytes::<16>();
        assert_eq!(draw(7, "a"), draw(7, "a"));
        assert_ne!(draw(7, "a"), draw(7, "b"));
        assert_ne!(draw(7, "a"), draw(8, "a"));
    }
}
