//! The people of a network: who they are, and the real client that they use.
//!
//! Purpose: what a [`Person`] does goes through the program `entente`, as a script would run it, and
//! comes back as the words of this module. A [`Member`] is the same without the program, for crowds.

pub mod line;
pub mod member;
pub mod names;
pub mod person;
pub mod run;

pub use line::{Line, Room, Sent};
pub use member::Member;
pub use person::{Person, Registration};
pub use run::ClientFailure;
