//! What targets compare with: a room at its hub and at its members, frozen, and what was really signed.
//!
//! MLS draws its own randomness, so a room cannot be made again: `examples/seeds` writes it, together
//! with all genuine inputs, into `fixtures/world.bin`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use entente_groups::Suite;
use entente_identity::{SigningKey, UnixMillis, decode_exact};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes};

/// The time at which everything is judged.
pub(crate) const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

/// Byte strings under one name.
#[derive(Clone, Debug, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Shelf {
    /// The name.
    pub name: VLBytes,
    /// The byte strings.
    pub items: Vec<VLBytes>,
}

static WORLD: LazyLock<BTreeMap<String, Vec<Vec<u8>>>> = LazyLock::new(|| {
    let bytes = include_bytes!("../fixtures/world.bin");
    let shelves: Vec<Shelf> = decode_exact("fixture", bytes).expect("examples/seeds wrote it");
    let named = |shelf: Shelf| {
        let name = String::from_utf8_lossy(shelf.name.as_slice()).into_owned();
        let items = shelf.items.into_iter();
        (name, items.map(|item| item.as_slice().to_vec()).collect())
    };
    shelves.into_iter().map(named).collect()
});

/// The byte strings of a name.
pub(crate) fn shelf(name: &str) -> &'static [Vec<u8>] {
    WORLD.get(name).map_or(&[], Vec::as_slice)
}

/// The first byte string of a name.
pub(crate) fn item(name: &str) -> &'static [u8] {
    let items = shelf(name);
    assert!(
        !items.is_empty(),
        "the fixture lacks {name}: run the example `seeds`"
    );
    &items[0]
}

/// The inputs of a target that were really made and signed.
pub(crate) fn genuine(target: &str) -> &'static [Vec<u8>] {
    shelf(&format!("genuine/{target}"))
}

/// Whether an input of a target is one that was really made.
pub(crate) fn is_genuine(target: &str, input: &[u8]) -> bool {
    genuine(target).iter().any(|known| known == input)
}

/// The same for an input whose first byte only says what the rest is.
pub(crate) fn is_genuine_behind_the_first(target: &str, input: &[u8]) -> bool {
    genuine(target)
        .iter()
        .any(|known| known.get(1..) == input.get(1..))
}

/// The key that signed everything that is not about a room.
pub(crate) fn signer() -> SigningKey {
    SigningKey::from_seed(&[0x55; 32])
}

/// Rows of stored state, which lie on a shelf as keys and values in turn.
pub(crate) fn rows(name: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pairs = shelf(name).chunks_exact(2);
    pairs
        .map(|pair| (pair[0].clone(), pair[1].clone()))
        .collect()
}

/// The shelf of a room of one of the two suites, chosen by the lowest flag.
pub(crate) fn of_room(flags: u8, name: &str) -> String {
    let suite = if flags & 1 == 0 {
        Suite::Classical
    } else {
        Suite::PostQuantum
    };
    format!("{suite}/{name}")
}
