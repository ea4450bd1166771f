//! What programs and tests of the testnet need of the machine that they run on: ports that are theirs alone,
//! and something to say where it lacks what a test takes.

mod lacking;
mod ports;

pub use lacking::not_run;
pub use ports::{ADDRESS, MAX_SERVERS, PortClaim};
