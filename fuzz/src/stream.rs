//! What the compiled-in codec names of `transport`'s streams: the fault of an opening.

/// A stream that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamFault {
    /// The first bytes name no kind of stream.
    UnknownOpening([u8; 4]),
}
