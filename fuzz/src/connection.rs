//! What the compiled-in codec names of `transport`'s connections: which protocol a call belongs to.

/// Which of the two protocols a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// A person's device and its homeserver.
    Client,
    /// Two homeservers.
    Federation,
}
