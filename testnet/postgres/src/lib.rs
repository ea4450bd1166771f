//! A Postgres of one's own, for as long as a test or a test network needs it.
//!
//! Purpose: whoever tests against Postgres starts one: a fresh cluster in a temporary folder, reached
//! through a Unix socket in that folder, with `fsync` on, and gone afterwards. Nothing that is
//! installed or running already is touched.
//!
//! Invariants
//! - It ends with the process that started it, however that process ends: a guard waits on a pipe, and
//!   when the pipe closes it stops the database and removes the folder.
//! - One cluster serves all tests of a process that ask for the shared one; each has databases of its
//!   own.
//! - Postgres refuses to run as root; started by root, it runs as the user `postgres`.
//!
//! Absent: any client. Databases are made and questions asked by `psql`, which comes with Postgres.

mod cluster;
mod installation;

pub use cluster::Postgres;

use std::fmt;

/// Why there is no Postgres.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresFault(pub(crate) String);

impl fmt::Display for PostgresFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PostgresFault {}
