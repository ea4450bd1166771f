//! Scenes: short scripts of what has to hold when things go wrong, which run unchanged on processes and in
//! containers.
//!
//! The map: [`script`] is a scene as it is written, with all that can be wrong with one; [`ground`] is what
//! it is played on; [`local`] and [`contained`] are the two kinds of ground; [`crossing`] lets two
//! processes be cut off from each other; [`clock`] shows a server another time; [`play`] plays; [`report`]
//! is what it came to. docs/testnet/scenes.md tells how to write one.
//!
//! Invariants
//! - What was delivered, lost and duplicated is what every member's own client shows in the end.
//! - A scene that a ground cannot play is skipped, with the reason, and never counts as passed.
//! - A script whose sum does not come out (who is cut off and never back, who says how much) is refused
//!   before anything starts.

pub mod clock;
pub mod contained;
pub mod crossing;
pub mod ground;
pub mod local;
pub mod play;
pub mod report;
pub mod script;

pub use report::Report;
pub use script::Script;
