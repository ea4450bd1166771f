//! The record that founds a room and gives it its name.
//!
//! The room id is the hash of the signed record, so nobody can found another room of that name, and
//! the group's first epoch is checked against what the record says.

use entente_identity::{
    AccountDid, Audience, Kind, ServerDid, Signed, SignedBody, SigningContext, SigningKey,
    UnixMillis,
};
use rand::{CryptoRng, RngCore};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use crate::ids::RoomId;
use crate::policy::RoomPolicy;
use crate::suite::Suite;

/// What a room is founded with.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct CreateRecord {
    /// Who founded it.
    pub creator: AccountDid,
    /// The server that orders its log at first.
    pub hub: ServerDid,
    /// Its cipher suite.
    pub suite: Suite,
    /// Its first policy.
    pub policy: RoomPolicy,
    /// When it was founded, by the creator's clock.
    pub created: UnixMillis,
    /// Makes two rooms of one founder different.
    pub nonce: [u8; 16],
}

impl SignedBody for CreateRecord {
    const KIND: Kind = Kind::RoomCreate;
    const NAME: &'static str = "room create record";
}

impl CreateRecord {
    /// A room with the usual policy: its creator is the admin, members may invite.
    pub fn new(
        creator: AccountDid,
        hub: ServerDid,
        suite: Suite,
        created: UnixMillis,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Self {
        let mut nonce = [0; 16];
        rng.fill_bytes(&mut nonce);
        Self {
            creator,
            hub,
            suite,
            policy: RoomPolicy::founded_by(creator),
            created,
            nonce,
        }
    }

    /// Signs the record with the key of the creator's device.
    #[must_use]
    pub fn sign(&self, device_key: &SigningKey) -> Signed<Self> {
        let context = SigningContext {
            key_id: device_key.public().to_string(),
            origin: self.creator.to_string(),
            audience: Audience::Public,
            created: self.created,
            expires: None,
        };
        Signed::sign(self, &context, device_key)
    }
}

/// The room that a signed record founds.
#[must_use]
pub fn room_id(record: &Signed<CreateRecord>) -> RoomId {
    RoomId(record.hash())
}
