//! Fuzzing: a target for every parser that sees foreign bytes.
//!
//! Purpose: one table, [`TARGETS`], of functions from bytes to a verdict. A target panics if the code
//! under test panics or if one of the properties that it checks does not hold. The same table serves
//! the smoke test on stable Rust, the long run under libFuzzer, and the replay of a finding.
//!
//! Invariants: a target is deterministic and keeps nothing from one input to the next; what it compares
//! with lies in `fixtures/`, written by `examples/seeds`.
//!
//! Codecs that are private to a crate with a runtime, TLS or a database are compiled in from their
//! sources, so that what is fuzzed is what is shipped while the instrumented build stays small.
//!
//! To add a target: a function in `targets/`, a line in [`TARGETS`], seeds in `examples/seeds`, a file in
//! `cargo-fuzz/fuzz_targets`, a line in `tests/smoke.rs` and in `docs/operations/fuzzing.md`.

// The compiled-in modules bring their own tests, which run where they are at home.
#![cfg(not(test))]

#[path = "../../homeserver/node/src/config/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "the server's own module, of which a target uses a part"
)]
mod config;
#[path = "../../discovery/src/document_url.rs"]
#[expect(
    dead_code,
    reason = "discovery's own module, of which a target uses a part"
)]
mod document_url;
#[path = "../../transport/src/frame.rs"]
#[expect(
    dead_code,
    reason = "transport's own module, of which a target uses a part"
)]
mod frame;
#[path = "../../discovery/src/host_table.rs"]
#[expect(
    dead_code,
    reason = "discovery's own module, of which a target uses a part"
)]
mod host_table;
#[path = "../../client-cli/src/render/inert.rs"]
mod inert;
#[path = "../../transport/src/limits.rs"]
#[expect(
    dead_code,
    reason = "transport's own module, of which a target uses a part"
)]
mod limits;
#[path = "../../transport/src/opening.rs"]
mod opening;
#[path = "../../transport/src/wire/mod.rs"]
mod wire;

// The server's configuration names limits of `transport`, which are compiled in here.
extern crate self as entente_transport;

mod connection;
mod fixture;
mod input;
mod stream;
mod target;
mod targets;

pub(crate) use limits::{AdmissionLimits, EndpointLimits, HandshakeRate};

pub use fixture::Shelf;
pub use target::{Target, Verdict, run, target};
pub use targets::TARGETS;

/// Inputs made of values, for `examples/seeds`.
pub mod inputs {
    pub use crate::input::join_parts;
    pub use crate::targets::calls::{reply_input, request_input};
    pub use crate::targets::flows::root_input;
}
