//! Holds the house: the rules of structure and style that a compiler does not check.
//!
//! Purpose: turn the sentences of the architecture and the style guide into tests. The rules are
//! functions from the work tree to a list of [`Violation`]s; `tests/house.rs` names each of them.
//!
//! Invariants
//! - Every violation says where it is and what to do about it.
//! - A rule has tests of its own, on text that breaks it: a rule that cannot fail holds nothing.
//! - Exceptions stand in one table, each with its reason, and one that no code needs is itself a
//!   violation.
//!
//! How to add a rule: write a function that returns violations beside its kin, test it on broken
//! text, and call it from one test in `tests/house.rs` whose name reads as the rule.

pub mod arrows;
pub mod chart;
pub mod habits;
pub mod house;
pub mod purity;
pub mod sizes;
pub mod source;
pub mod tokens;
pub mod violation;
pub mod wording;

pub use house::House;
pub use source::RustFile;
pub use violation::{Violation, uphold};
