//! Invitations and policies.

use entente_client_core::invite::{InviteBinding, InvitePayload};
use entente_groups::{
    Aad, HpkeSecretKey, InviteRight, MessageId, RoomPolicy, SealedKind, Ticket, seal,
};
use entente_identity::{AccountDid, DeviceId, Handle, encode};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::hostile::damaged;
use crate::statements::{NOW, account, device_key, here, key, ticket};
use crate::store::Store;

/// Adds them.
pub fn seed(store: &mut Store) {
    invites(store);
    policies(store);
}

fn invites(store: &mut Store) {
    let binding = InviteBinding {
        account: account(),
        device: DeviceId([1; 16]),
        inviter: account(),
        message_id: MessageId([2; 16]),
    };
    store.shelve("binding", binding.to_bytes());
    let signed = ticket().sign(&key(), NOW, 1000);
    let handle: Handle = "alice@org-a.example".parse().expect("a handle");
    let payload = |name: &str| InvitePayload::new(signed.clone(), here(), handle.clone(), name, "");
    store.accepted("invite_payloads", "tea", payload("Tea").to_bytes());
    store.accepted(
        "invite_payloads",
        "long",
        payload(&"ä".repeat(2000)).to_bytes(),
    );
    let bytes = payload("Tea").to_bytes();
    store.hostile(
        "invite_payloads",
        "a3",
        "version-2",
        [&[2], &bytes[1..]].concat(),
    );
    store.hostile(
        "invite_payloads",
        "a4",
        "longer",
        [&bytes[..], &[0]].concat(),
    );
    let other = Ticket {
        invitee: AccountDid::new(device_key(1).public()),
        ..ticket()
    };
    let other = other.sign(&key(), NOW, 1000);
    let other = InvitePayload::new(other, here(), handle, "Tea", "");
    store.hostile("invite_payloads", "a2", "for-another", other.to_bytes());
    let mut rng = StdRng::seed_from_u64(5);
    let (secret, public) = HpkeSecretKey::generate(&mut rng);
    let (_, stranger) = HpkeSecretKey::generate(&mut rng);
    store.shelve("hpke", secret.to_bytes().to_vec());
    let sealed =
        |to, aad: &[u8]| encode(&seal(to, SealedKind::Invite, aad, &bytes).expect("sealed"));
    let genuine = sealed(&public, &binding.to_bytes());
    store.genuine("sealed_invites", "tea", genuine.clone());
    damaged(store, "sealed_invites", "a4", "tea", &genuine);
    store.hostile(
        "sealed_invites",
        "a2",
        "to-another",
        sealed(&stranger, &binding.to_bytes()),
    );
    store.hostile(
        "sealed_invites",
        "a2",
        "bound-to-another",
        sealed(&public, b"else"),
    );
    let mut low = genuine;
    low[1..33].fill(0);
    store.hostile("sealed_invites", "a5", "small-order-point", low);
}

fn policies(store: &mut Store) {
    let others = (1..4).map(|number| AccountDid::new(device_key(number).public()));
    let policy = RoomPolicy::new(others.chain([account()]), InviteRight::Admins).expect("four");
    store.accepted("policies", "four-admins", policy.to_bytes());
    let founded = RoomPolicy::founded_by(account()).to_bytes();
    store.accepted("policies", "founded", founded.clone());
    let aad = Aad::new(MessageId([1; 16]), 2, [3; 32]).to_bytes();
    store.accepted("policies", "authenticated-data", aad.clone());
    store.hostile(
        "policies",
        "a3",
        "version-2",
        [&[2], &founded[1..]].concat(),
    );
    store.hostile("policies", "a4", "longer", [&founded[..], &[0]].concat());
    store.hostile("policies", "a4", "data-longer", [&aad[..], &[0]].concat());
    store.hostile(
        "policies",
        "c7",
        "without-admins",
        founded[..2].iter().copied().chain([0]).collect(),
    );
    let twice = [&[1, 1, 0x40, 114], &founded[3..], &founded[3..]].concat();
    store.hostile("policies", "c7", "one-admin-twice", twice);
}
