//! Finds out where an organization is and what it publishes, without being led astray.
//!
//! Purpose: the one crate that fetches documents over HTTPS and that turns names into addresses. The
//! reading of what was fetched is `identity`'s.
//!
//! Invariants
//! - Only canonical domains are asked; an IP address in any spelling is no domain.
//! - A name is looked up once per fetch, the answer is vetted, and only vetted addresses are dialled:
//!   the public internet, or what the host table says for exactly this name. A [`DialHook`] hears of
//!   each before it is dialled.
//! - Everything is bounded: no redirect, a body of 64 KiB, 256 KiB and 5 s in all, JSON depth 32, 64
//!   fetches at once.
//! - No proxy, no cookie, no decoding of compressed bodies, no kept connection.
//!
//! Absent: caching (a document's facts are pinned by the stores), retries (callers know what for).

mod address;
mod client;
mod dial;
mod document_url;
mod exchange;
mod fetch_error;
mod host_table;
mod json_depth;
mod lookup;
mod meter;
mod resolver;
mod throttle;
mod trust;

pub use address::is_public;
pub use client::{MAX_FETCH_MS, Options, SafeClient};
pub use dial::{Dial, DialHook, Service};
pub use document_url::{DocumentUrl, DocumentUrlFault};
pub use exchange::MAX_BODY_BYTES;
pub use fetch_error::{AddressFault, DocumentError, FetchError, KeyDocumentError, SetupError};
pub use host_table::{Host, HostTable, HostTableError, HostTableFault};
pub use json_depth::MAX_JSON_DEPTH;
pub use lookup::{LookupAnswer, NameLookup, SystemLookup};
pub use throttle::{FetchThrottle, MIN_FETCH_INTERVAL_MS, TooSoon};
pub use trust::{ExtraCa, ExtraCaError};
