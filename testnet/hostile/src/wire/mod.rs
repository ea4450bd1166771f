//! The wire below the typed transport: connections, streams, frames, statements and packets in bytes.
//!
//! Nothing here checks anything. What is well-formed is so because whoever attacks wants it to be.

pub mod bomb;
pub mod frame;
pub mod link;
pub mod packet;
pub mod statement;
