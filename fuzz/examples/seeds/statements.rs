//! Signed objects of every kind: accounts, greetings, key documents.

use entente_groups::{
    CreateRecord, HpkeSecretKey, LeafIndex, Role, RoomId, RoomPolicy, Suite, Ticket,
};
use entente_identity::{
    AccountClaim, AccountDid, Audience, Device, DeviceId, DeviceList, DeviceRole, Endpoint,
    FederationKey, Handle, HomeRecord, KeyDocument, ServerDid, Signed, SigningContext, SigningKey,
    UnixMillis, certify_device, encode, first_device_list,
};
use entente_protocol::hello::{
    ConnectionBound, Feature, Hello, HelloReply, KeyDocumentId, LoginProof, prove,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::hostile::{damaged, forged};
use crate::journal::{batch, checkpoint};
use crate::store::Store;

pub const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
pub const ROOM: RoomId = RoomId([0x11; 32]);

pub fn key() -> SigningKey {
    SigningKey::from_seed(&[0x55; 32])
}

pub fn account() -> AccountDid {
    AccountDid::new(key().public())
}

pub fn here() -> ServerDid {
    "did:web:org-a.example".parse().expect("a DID")
}

pub fn there() -> ServerDid {
    "did:web:org-b.example".parse().expect("a DID")
}

/// Adds them.
pub fn seed(store: &mut Store) {
    accounts(store);
    signed_objects(store);
    greetings(store);
    key_documents(store);
}

pub fn claim() -> AccountClaim {
    let handle: Handle = "alice@org-a.example".parse().expect("a handle");
    let devices = vec![
        device(1, DeviceRole::Manager),
        device(2, DeviceRole::Member),
    ];
    AccountClaim {
        account: account(),
        device_list: first_device_list(&key(), devices, NOW),
        signer_chain: vec![],
        home_record: HomeRecord::first(&key(), handle, NOW),
    }
}

pub fn device_key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[0x60 + number; 32])
}

fn device(number: u8, role: DeviceRole) -> Device {
    let (_, hpke_key) = HpkeSecretKey::generate(&mut StdRng::seed_from_u64(number.into()));
    Device {
        id: DeviceId([number; 16]),
        signature_key: device_key(number).public(),
        hpke_key,
        role,
    }
}

fn context(audience: Audience, expires: Option<UnixMillis>) -> SigningContext {
    SigningContext {
        key_id: key().public().to_string(),
        origin: account().to_string(),
        audience,
        created: NOW,
        expires,
    }
}

fn accounts(store: &mut Store) {
    let claim = claim();
    store.shelve("claim", encode(&claim));
    let first = claim.device_list.claimed_body().expect("own list");
    let second = DeviceList {
        version: 2,
        prev_hash: claim.device_list.hash(),
        devices: vec![device(1, DeviceRole::Manager)],
        ..first.clone()
    };
    let public = || context(Audience::Public, None);
    let second = Signed::sign(&second, &public(), &key());
    let manager = certify_device(&claim.device_list, &first, &first.devices[0], &key(), NOW);
    let certified = device_key(1);
    let member = certify_device(
        &claim.device_list,
        &first,
        &first.devices[1],
        &certified,
        NOW,
    );
    let chain = vec![manager.clone(), member.clone()];
    let genuine = [
        ("claim", 0, encode(&claim)),
        ("first-list", 1, claim.device_list.to_bytes()),
        ("second-list", 1, second.to_bytes()),
        ("chain-of-one", 2, encode(&vec![manager.clone()])),
        ("chain-of-two", 2, encode(&chain)),
        ("home-record", 3, claim.home_record.to_bytes()),
    ];
    for (name, kind, bytes) in &genuine {
        store.genuine("accounts", name, [&[*kind], &bytes[..]].concat());
    }
    let (_, _, bytes) = &genuine[2];
    forged(store, "accounts", "list", &[1], bytes);
    let (_, _, bytes) = &genuine[5];
    forged(store, "accounts", "home-record", &[3], bytes);
    let mut hostile = |line: &str, name: &str, kind: u8, bytes: Vec<u8>| {
        store.hostile("accounts", line, name, [&[kind], &bytes[..]].concat());
    };
    hostile(
        "a8",
        "chain-without-its-root",
        2,
        encode(&vec![member.clone()]),
    );
    hostile(
        "a8",
        "chain-beyond-its-length",
        2,
        encode(&vec![manager; 4]),
    );
    let empty = DeviceList {
        devices: vec![],
        version: 2,
        prev_hash: claim.device_list.hash(),
        ..first.clone()
    };
    let many = DeviceList {
        devices: (0..65).map(|n| device(n, DeviceRole::Member)).collect(),
        ..empty.clone()
    };
    let skipping = DeviceList {
        version: 3,
        devices: first.devices.clone(),
        ..empty.clone()
    };
    for (name, list) in [("empty", empty), ("of-65", many), ("skips-one", skipping)] {
        let list = Signed::sign(&list, &public(), &key());
        hostile("f6", &format!("list-{name}"), 1, list.to_bytes());
    }
}

fn signed_objects(store: &mut Store) {
    let claim = claim();
    let first = claim.device_list.claimed_body().expect("own list");
    let certificate = certify_device(&claim.device_list, &first, &first.devices[0], &key(), NOW);
    let record = CreateRecord {
        creator: account(),
        hub: here(),
        suite: Suite::PostQuantum,
        policy: RoomPolicy::founded_by(account()),
        created: NOW,
        nonce: [0x77; 16],
    };
    let genuine = [
        ("device-list", 0, claim.device_list.to_bytes()),
        ("certificate", 1, certificate.to_bytes()),
        ("home-record", 2, claim.home_record.to_bytes()),
        ("key-document", 3, key_document().sign(&key()).to_bytes()),
        ("create-record", 4, record.sign(&key()).to_bytes()),
        ("ticket", 5, ticket().sign(&key(), NOW, 1000).to_bytes()),
        ("login", 6, proof(&login()).to_bytes()),
        ("hello", 7, proof(&hello()).to_bytes()),
        ("batch-head", 8, batch().head.to_bytes()),
        ("checkpoint", 9, checkpoint(1)[0].checkpoint.to_bytes()),
    ];
    for (name, kind, bytes) in &genuine {
        store.genuine("signed_objects", name, [&[*kind], &bytes[..]].concat());
    }
    let (_, _, bytes) = &genuine[4];
    forged(store, "signed_objects", "record", &[4], bytes);
    damaged(
        store,
        "signed_objects",
        "a4",
        "record",
        &[&[4], &bytes[..]].concat(),
    );
    let mut hostile = |line: &str, name: &str, kind: u8, bytes: &[u8]| {
        store.hostile("signed_objects", line, name, [&[kind], bytes].concat());
    };
    hostile("a6", "record-as-a-checkpoint", 9, bytes);
    hostile("a6", "login-as-a-hello", 7, &genuine[6].2);
    let elsewhere = prove(&login(), "device".to_owned(), &there(), &key(), NOW);
    hostile("a2", "login-for-another-server", 6, &elsewhere.to_bytes());
}

pub fn ticket() -> Ticket {
    Ticket {
        room: ROOM,
        invitee: account(),
        role: Role::Member,
        min_list_version: 1,
        inviter: account(),
        inviter_leaf: LeafIndex(3),
    }
}

fn proof<T: ConnectionBound>(statement: &T) -> Signed<T> {
    prove(statement, account().to_string(), &here(), &key(), NOW)
}

fn login() -> LoginProof {
    LoginProof {
        account: account(),
        device: DeviceId([1; 16]),
        exporter: [0x99; 32],
    }
}

fn hello() -> Hello {
    Hello {
        server: there(),
        min_version: 1,
        max_version: 2,
        features: vec![Feature { id: 7, critical: 0 }],
        stream_epoch: 3,
        begins_after: 399,
        key_document: KeyDocumentId {
            seq: 1,
            hash: [0xbb; 32],
        },
        exporter: [0x99; 32],
    }
}

fn hello_reply() -> HelloReply {
    HelloReply {
        server: there(),
        version: 1,
        features: vec![],
        stream_epoch: 3,
        last_in: 399,
        key_document: hello().key_document,
        exporter: [0x99; 32],
    }
}

fn greetings(store: &mut Store) {
    let genuine = [
        ("hello", 0, proof(&hello()).to_bytes()),
        ("hello-reply", 1, proof(&hello_reply()).to_bytes()),
        ("login", 2, proof(&login()).to_bytes()),
    ];
    for (name, kind, bytes) in &genuine {
        store.genuine("greetings", name, [&[*kind], &bytes[..]].concat());
    }
    forged(store, "greetings", "hello", &[0], &genuine[0].2);
    damaged(
        store,
        "greetings",
        "a4",
        "login",
        &[&[2], &genuine[2].2[..]].concat(),
    );
    let mut hostile = |line: &str, name: &str, kind: u8, bytes: Vec<u8>| {
        store.hostile("greetings", line, name, [&[kind], &bytes[..]].concat());
    };
    let replayed = LoginProof {
        exporter: [0x98; 32],
        ..login()
    };
    hostile(
        "a1",
        "login-of-another-connection",
        2,
        proof(&replayed).to_bytes(),
    );
    let elsewhere = prove(&hello(), there().to_string(), &there(), &key(), NOW);
    hostile("a2", "hello-for-another-server", 0, elsewhere.to_bytes());
    let here_only = || context(Audience::Server(here()), None);
    let endless = Signed::sign(&login(), &here_only(), &key());
    hostile("a3", "login-without-an-end", 2, endless.to_bytes());
    let public = context(Audience::Public, Some(NOW.after(1000)));
    hostile(
        "a3",
        "login-for-nobody",
        2,
        Signed::sign(&login(), &public, &key()).to_bytes(),
    );
    for (name, at) in [
        ("past", NOW.before(1 << 30)),
        ("future", NOW.after(1 << 30)),
    ] {
        let proof = prove(&login(), "device".to_owned(), &here(), &key(), at);
        hostile("a3", &format!("login-of-the-{name}"), 2, proof.to_bytes());
    }
    let crossed = proof(&hello_reply()).to_bytes();
    hostile("a6", "reply-as-a-greeting", 0, crossed);
}

fn key_document() -> KeyDocument {
    KeyDocument {
        did: here(),
        seq: 0,
        prev_hash: [0; 32],
        keys: vec![FederationKey {
            public: key().public(),
            from: NOW,
            until: None,
        }],
        next_key_hash: [0x42; 32],
        endpoints: vec![Endpoint {
            host: "org-a.example".parse().expect("a domain"),
            port: 8448,
        }],
        features: vec![1, 2],
        issued: NOW,
    }
}

fn key_documents(store: &mut Store) {
    let genuine = key_document().sign(&key()).to_bytes();
    store.genuine("key_documents", "first", genuine.clone());
    forged(store, "key_documents", "first", &[], &genuine);
    damaged(store, "key_documents", "a4", "first", &genuine);
    let mut hostile = |line: &str, name: &str, document: KeyDocument, key: &SigningKey| {
        store.hostile("key_documents", line, name, document.sign(key).to_bytes());
    };
    let old = KeyDocument {
        issued: NOW.before(8 * 24 * 3_600_000),
        ..key_document()
    };
    let early = KeyDocument {
        issued: NOW.after(3_600_000),
        ..key_document()
    };
    let others = KeyDocument {
        did: there(),
        ..key_document()
    };
    let keyless = KeyDocument {
        keys: vec![],
        ..key_document()
    };
    hostile("a7", "issued-8-days-ago", old, &key());
    hostile("a7", "issued-in-the-future", early, &key());
    hostile("b4", "of-another-server", others, &key());
    hostile("b4", "without-keys", keyless, &key());
    hostile("a8", "signed-by-another", key_document(), &device_key(1));
    let endless = Signed::sign(&key_document(), &context(Audience::Public, None), &key());
    let own = context(Audience::Server(here()), Some(NOW.after(1000)));
    let aimed = Signed::sign(&key_document(), &own, &key());
    store.hostile("key_documents", "a2", "for-one-server", aimed.to_bytes());
    store.hostile("key_documents", "a3", "without-an-end", endless.to_bytes());
}
