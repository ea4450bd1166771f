//! The Cap'n Proto schemas in `schemas/*.capnp`, as Rust code generated from them.
//!
//! Nothing in `src` is written by hand but this file. After a change to a schema, run
//! `cargo run -p entente-schemas --no-default-features --example regenerate` (it needs the `capnp`
//! tool, 0.9 or newer) and commit the result; the test `drift` compares.

#[cfg(feature = "generated")]
#[rustfmt::skip]
pub mod calls_capnp;
#[cfg(feature = "generated")]
#[rustfmt::skip]
pub mod federation_capnp;
#[cfg(feature = "generated")]
#[rustfmt::skip]
pub mod flows_capnp;
#[cfg(feature = "generated")]
#[rustfmt::skip]
pub mod words_capnp;
