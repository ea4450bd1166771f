//! The attacks: what is done, and what a server must answer.
//!
//! An attack runs against live servers while others use them, leaves nothing behind that changes what
//! others see, and may be run again. To add one: a function in the file of its kind, a line in that
//! file's list; `tests/` calls it by name.

mod altered;
mod claims;
mod epochs;
mod forged;
mod histories;
mod http;
mod incomplete;
mod load;
mod misdirected;
mod packets;
mod parsers;
mod questions;
mod removed;
mod replay;
mod stream;
mod streams;
mod welcomes;

use anyhow::Result;
use futures::future::LocalBoxFuture;

use crate::arena::Arena;
use crate::dice::Dice;

/// What an attack needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Devices alone.
    Devices,
    /// A hostile organization, which the servers' host table names.
    Peers,
}

/// One attack.
#[derive(Clone, Copy)]
pub struct Attack {
    /// Its name on the command line.
    pub name: &'static str,
    /// Whom it takes.
    pub needs: Needs,
    /// What is done.
    pub what: &'static str,
    /// What the servers must do.
    pub expects: &'static str,
    /// Does it; an error says what a server did instead.
    pub run: Run,
}

/// How an attack is run.
pub type Run = for<'a> fn(&'a Arena, Dice) -> LocalBoxFuture<'a, Result<()>>;

/// Every attack, in the order in which all of them are run.
#[must_use]
pub fn all() -> Vec<Attack> {
    [
        replay::ATTACKS,
        misdirected::ATTACKS,
        incomplete::ATTACKS,
        altered::ATTACKS,
        forged::ATTACKS,
        stream::ATTACKS,
        claims::ATTACKS,
        removed::ATTACKS,
        histories::ATTACKS,
        epochs::ATTACKS,
        welcomes::ATTACKS,
        questions::ATTACKS,
        parsers::ATTACKS,
        streams::ATTACKS,
        packets::ATTACKS,
        http::ATTACKS,
        load::ATTACKS,
    ]
    .concat()
}

/// The attack of that name.
#[must_use]
pub fn named(name: &str) -> Option<Attack> {
    all().into_iter().find(|attack| attack.name == name)
}

/// One attack of a list.
macro_rules! attack {
    ($name:literal, $needs:ident, $what:literal => $expects:literal, $function:ident) => {
        $crate::attack::Attack {
            name: $name,
            needs: $crate::attack::Needs::$needs,
            what: $what,
            expects: $expects,
            run: |arena, dice| Box::pin($function(arena, dice)),
        }
    };
}
use attack;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attack_has_a_name_of_its_own() {
        let attacks = all();
        for (index, attack) in attacks.iter().enumerate() {
            assert!(named(attack.name).is_some_and(|found| found.what == attack.what));
            assert!(
                attacks[..index]
                    .iter()
                    .all(|other| other.name != attack.name)
            );
        }
    }
}
