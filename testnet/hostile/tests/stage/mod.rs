//! One fresh network for each test, and attacks on it by name.

use entente_hostile::arena::Arena;
use entente_hostile::attack::named;
use entente_hostile::dice::Dice;
use entente_hostile::health::GROWTH_LIMIT_KIB;
use testnet::network::{Binaries, BuildChoice};

/// The seed of all attacks in tests: a failure comes again.
pub const SEED: u64 = 20_260_101;

/// Two real organizations and two hostile ones.
pub async fn arena() -> Arena {
    let binaries = Binaries::find(BuildChoice::Build).await.unwrap();
    Arena::open(binaries, SEED).await.unwrap()
}

/// Runs attacks one after the other; all are run, whatever becomes of those before.
pub async fn attacks(names: &[&str]) {
    let arena = arena().await;
    let before = arena.memory().await.unwrap();
    let mut failed = Vec::new();
    for name in names {
        let attack = named(name).unwrap_or_else(|| panic!("no attack {name}"));
        if let Err(error) = (attack.run)(&arena, Dice::of(SEED, name)).await {
            failed.push(format!("{name}: {error:#}"));
        }
    }
    arena.check_servers().await.unwrap();
    let after = arena.memory().await.unwrap();
    for (before, after) in before.into_iter().zip(after) {
        let grown = after.growth_kib(before);
        assert!(grown < GROWTH_LIMIT_KIB, "a server grew by {grown} KiB");
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
