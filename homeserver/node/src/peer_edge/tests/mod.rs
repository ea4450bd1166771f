//! The edge over real connections, as other servers meet it.

mod callers;
mod greeting;
mod peer;
mod quotas;
