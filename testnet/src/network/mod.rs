//! A network of real homeserver processes on this machine, with all of its state in one folder.
//!
//! Purpose: to make a network from nothing, start it, take single servers down and up again, and
//! leave nothing running behind. Ports and keys are chosen once and remembered, so that a server that
//! was killed comes back as the same server.
//!
//! The map: [`folder`] knows where everything lies; [`plan`] is what is remembered; [`ports`] claims
//! ports; [`authority`] makes certificates; [`files`] writes the host table and the servers'
//! configuration; [`binaries`] finds and builds what is started; [`process`] is one running server;
//! [`ready`] asks a server whether it is ready; [`supervisor`] holds all of them together;
//! [`leftovers`] stops what an earlier supervisor left running.

pub mod authority;
pub mod binaries;
pub mod files;
pub mod folder;
pub mod leftovers;
pub mod plan;
pub mod process;
pub mod ready;
pub mod supervisor;

pub use binaries::{Binaries, BuildChoice};
pub use folder::Folder;
pub use plan::{Plan, ServerPlan};
pub use supervisor::Network;
