//! Bounds that both sides of a link know. Sizes are in bytes, times in milliseconds.

/// Largest frame of any kind.
pub const MAX_FRAME_BYTES: usize = 4 * 1024 * 1024;
/// Largest single item of a batch.
pub const MAX_ITEM_BYTES: usize = 2 * 1024 * 1024;
/// Largest body of an entry, Welcome or GroupInfo: an item less room for what surrounds it.
pub const MAX_BODY_BYTES: usize = MAX_ITEM_BYTES - 64 * 1024;
/// Largest ciphertext of one application message.
pub const MAX_CIPHERTEXT_BYTES: usize = 256 * 1024;
/// Largest plaintext that the client puts into one message, before padding and encryption.
pub const MAX_CONTENT_BYTES: usize = 192 * 1024;
/// Most items of one batch.
pub const MAX_BATCH_ITEMS: usize = 512;
/// Most bytes of one batch, unless it holds a single item.
pub const MAX_BATCH_BYTES: usize = 1024 * 1024;
/// Largest sealed invitation.
pub const MAX_INVITE_BYTES: usize = 32 * 1024;
/// Most invitations that wait for one device; further ones are dropped until it takes them.
pub const MAX_WAITING_INVITES: u32 = 4_000;
/// Most of them that one server handed over, so that no server takes the room of others.
pub const MAX_WAITING_INVITES_OF_SERVER: u32 = 1_000;
/// A ratchet tree above this size is fetched in chunks instead of inline.
pub const MAX_INLINE_TREE_BYTES: usize = 256 * 1024;
/// Size of one chunk of a fetched tree.
pub const CHUNK_BYTES: usize = 1024 * 1024;
/// Epochs behind the head in which an application message is still accepted.
pub const MAX_PAST_EPOCHS: u64 = entente_groups::APPLICATION_EPOCHS;
/// Epochs whose GroupInfo and tree the hub keeps.
pub const KEPT_EPOCHS: u64 = 8;
/// Most proposals pending in one epoch of a room, per sender.
pub const MAX_PENDING_PROPOSALS: usize = entente_groups::MAX_PENDING_PROPOSALS;
/// How long an outbox keeps what is owed, and message ids stay unique: 31 days.
pub const RETENTION_MS: u64 = 31 * 24 * 3600 * 1000;
/// How long an invitation ticket counts: 14 days.
pub const TICKET_LIFETIME_MS: u64 = 14 * 24 * 3600 * 1000;
/// How long a KeyPackage counts: 90 days.
pub const KEY_PACKAGE_LIFETIME_MS: u64 = entente_groups::MAX_KEY_PACKAGE_LIFETIME_MS;
/// How many KeyPackages a device keeps at its server; refilled at half.
pub const KEY_PACKAGE_STOCK: usize = 20;
/// Most KeyPackages of one upload.
pub const MAX_KEY_PACKAGES_PER_CALL: usize = 100;
/// Most entries in one page of a pull or a sync.
pub const MAX_PAGE_ENTRIES: usize = 256;
/// Most bytes in one page of a pull or a sync, unless it holds a single entry.
pub const MAX_PAGE_BYTES: usize = 1024 * 1024;
/// Most heads in one exchange between servers.
pub const MAX_SHOWN_HEADS: usize = 256;
/// Most proofs of two histories in one exchange between servers.
pub const MAX_SHOWN_PROOFS: usize = 8;
/// Most rooms in one sync request.
pub const MAX_SYNC_ROOMS: usize = 10_000;
/// How long a call may take.
pub const CALL_TIMEOUT_MS: u64 = 30_000;
/// How long a greeting or login counts.
pub const HELLO_LIFETIME_MS: u64 = 60_000;
