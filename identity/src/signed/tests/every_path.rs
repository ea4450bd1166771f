//! One thing wrong in any of the statements that servers and accounts make, and nothing counts.

use super::*;
use crate::account::AccountClaim;
use crate::device::{
    Device, DeviceCertificate, DeviceId, DeviceList, DeviceRole, HpkePublicKey, certify_device,
    first_device_list, verify_chain, verify_device_list,
};
use crate::did::AccountDid;
use crate::document::UserDocument;
use crate::home::{HomeRecord, verify_home_record};
use crate::key_document::{FederationKey, KeyDocument, verify_key_document};
use crate::key_pin::KeyPin;

/// Whether an object's bytes become a fact.
type Judgement = Box<dyn Fn(&[u8]) -> bool>;

/// A good statement of each kind, with the judgement on any bytes in its place.
pub(super) struct Path {
    pub(super) name: &'static str,
    pub(super) signer: SigningKey,
    pub(super) bytes: Vec<u8>,
    pub(super) holds: Judgement,
}

fn device(number: u8, role: DeviceRole) -> Device {
    Device {
        id: DeviceId([number; 16]),
        signature_key: key(number).public(),
        hpke_key: HpkePublicKey([number; 32]),
        role,
    }
}

fn account() -> AccountDid {
    AccountDid::new(key(1).public())
}

fn list() -> Signed<DeviceList> {
    let devices = vec![
        device(2, DeviceRole::Manager),
        device(3, DeviceRole::Member),
    ];
    first_device_list(&key(1), devices, NOW)
}

fn certificate(number: u8, role: DeviceRole, signer: u8) -> Signed<DeviceCertificate> {
    let body = list().claimed_body().expect("own list");
    certify_device(&list(), &body, &device(number, role), &key(signer), NOW)
}

fn home() -> Signed<HomeRecord> {
    let handle = "alice@org-a.example".parse().expect("a handle");
    HomeRecord::first(&key(1), handle, NOW)
}

fn key_document() -> KeyDocument {
    KeyDocument {
        did: server("org-a"),
        seq: 0,
        prev_hash: [0; 32],
        keys: vec![FederationKey {
            public: key(1).public(),
            from: NOW,
            until: None,
        }],
        next_key_hash: key(2).public().fingerprint(),
        endpoints: vec![],
        features: vec![],
        issued: NOW,
    }
}

/// An account whose list, of version 2, was signed by a manager that a certificate shows.
fn managed_claim() -> AccountClaim {
    let first = list();
    let second = DeviceList {
        version: 2,
        prev_hash: first.hash(),
        ..first.claimed_body().expect("own list")
    };
    AccountClaim {
        account: account(),
        device_list: crate::device::sign_statement(&second, &account(), &key(2), NOW),
        signer_chain: vec![certificate(2, DeviceRole::Manager, 1)],
        home_record: home(),
    }
}

fn path<T: SignedBody + 'static>(
    name: &'static str,
    signer: u8,
    good: &Signed<T>,
    holds: impl Fn(Signed<T>) -> bool + 'static,
) -> Path {
    Path {
        name,
        signer: key(signer),
        bytes: good.to_bytes(),
        holds: Box::new(move |bytes| Signed::from_bytes(bytes).is_ok_and(&holds)),
    }
}

/// Every way in which this crate turns a signature into a fact.
pub(super) fn paths() -> Vec<Path> {
    let chained = certificate(3, DeviceRole::Member, 2);
    let document = key_document();
    vec![
        path("call", 1, &signed_in(&context()), |call| {
            judge(&call).is_ok()
        }),
        path("device list", 1, &list(), |list| {
            verify_device_list(&account(), None, None, &list).is_ok()
        }),
        path(
            "certificate of the root",
            1,
            &certificate(2, DeviceRole::Manager, 1),
            |first| verify_chain(&account(), &[first]).is_ok(),
        ),
        path("certificate of a manager", 2, &chained, |second| {
            let first = certificate(2, DeviceRole::Manager, 1);
            verify_chain(&account(), &[first, second]).is_ok()
        }),
        path("home record", 1, &home(), |home| {
            verify_home_record(&account(), [], &home).is_ok()
        }),
        path("key document", 1, &document.sign(&key(1)), |document| {
            verify_key_document(&server("org-a"), &document, NOW).is_ok()
        }),
        path("pinned key document", 1, &document.sign(&key(1)), {
            let hash = document.chain_hash();
            move |document| KeyPin::first_contact(&server("org-a"), &hash, &document, NOW).is_ok()
        }),
        path("list in a claim", 2, &managed_claim().device_list, |list| {
            let claim = AccountClaim {
                device_list: list,
                ..managed_claim()
            };
            claim.verify().is_ok()
        }),
        path(
            "certificate in a claim",
            1,
            &managed_claim().signer_chain[0],
            |first| {
                let claim = AccountClaim {
                    signer_chain: vec![first],
                    ..managed_claim()
                };
                claim.verify().is_ok()
            },
        ),
        path("home record in a claim", 1, &home(), |home| {
            let claim = AccountClaim {
                home_record: home,
                ..managed_claim()
            };
            claim.verify().is_ok()
        }),
    ]
}

#[test]
fn a4_one_byte_changed_appended_or_left_out_anywhere_is_refused() {
    for path in paths() {
        let good = &path.bytes;
        assert!((path.holds)(good), "{}", path.name);
        for place in 0..good.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut changed = good.clone();
                changed[place] ^= flip;
                assert!(!(path.holds)(&changed), "{}: {place}", path.name);
            }
            let inserted = [&good[..place], &[0], &good[place..]].concat();
            assert!(!(path.holds)(&inserted), "{}: {place}", path.name);
            let left_out = [&good[..place], &good[place + 1..]].concat();
            assert!(!(path.holds)(&left_out), "{}: {place}", path.name);
        }
        for more in [&[0_u8][..], &[0xff], good] {
            let appended = [good, more].concat();
            assert!(!(path.holds)(&appended), "{}", path.name);
        }
    }
}

#[test]
fn a4_a_longer_spelling_of_a_length_is_refused() {
    for path in paths() {
        // The header's length in two bytes (RFC 9000 §16); the same in four.
        let length = [path.bytes[0] & 0x3f, path.bytes[1]];
        assert_eq!(path.bytes[0] & 0xc0, 0x40, "{}", path.name);
        let longer = [&[0x80, 0, length[0], length[1]], &path.bytes[2..]].concat();
        assert!(!(path.holds)(&longer), "{}", path.name);
    }
}

#[test]
fn a4_of_two_lists_for_one_version_only_the_known_one_counts() {
    let known = list();
    let body = known.claimed_body().expect("own list");
    let other = first_device_list(&key(1), vec![device(9, DeviceRole::Manager)], NOW);
    let judged = verify_device_list(&account(), Some((&known, &body)), None, &other);
    assert_eq!(
        judged.map(|_| ()),
        Err(crate::device::DeviceListFault::NotNext { known: 1, got: 1 })
    );
    let again = verify_device_list(&account(), Some((&known, &body)), None, &known);
    assert!(again.is_ok(), "the same again is no contradiction");
}

#[test]
fn a6_statements_of_one_account_are_not_another_s() {
    let other = AccountDid::new(key(9).public());
    let chain = [certificate(2, DeviceRole::Manager, 1)];
    assert!(verify_chain(&account(), &chain).is_ok());
    assert!(verify_chain(&other, &chain).is_err());
    assert!(verify_device_list(&other, None, None, &list()).is_err());
    assert!(verify_home_record(&other, [], &home()).is_err());
    let stolen = AccountClaim {
        account: other,
        ..managed_claim()
    };
    assert!(stolen.verify().is_err());
    // A key that is a root here and a manager there signs for each under its own name only.
    let by_manager = |origin: AccountDid| {
        let context = SigningContext {
            key_id: key(2).public().to_string(),
            origin: origin.to_string(),
            audience: Audience::Public,
            created: NOW,
            expires: None,
        };
        let record = home().claimed_body().expect("own record");
        let signed = Signed::sign(&record, &context, &key(2));
        verify_home_record(&account(), [&device(2, DeviceRole::Manager)], &signed)
    };
    assert!(by_manager(account()).is_ok());
    assert!(by_manager(AccountDid::new(key(2).public())).is_err());
}

#[test]
fn a12_a_statement_that_names_another_key_id_is_refused() {
    let renamed = SigningContext {
        key_id: key(2).public().to_string(),
        ..list().claimed_context().expect("own list")
    };
    let body = list().claimed_body().expect("own list");
    let signed = Signed::sign(&body, &renamed, &key(1));
    assert!(verify_device_list(&account(), None, None, &signed).is_err());
    let body = home().claimed_body().expect("own record");
    let signed = Signed::sign(&body, &renamed, &key(1));
    assert!(verify_home_record(&account(), [], &signed).is_err());
    let body = certificate(2, DeviceRole::Manager, 1)
        .claimed_body()
        .expect("own certificate");
    let signed = Signed::sign(&body, &renamed, &key(1));
    assert!(verify_chain(&account(), &[signed]).is_err());
}

#[test]
fn a12_one_invalid_signature_among_several_refuses_the_whole() {
    let good = managed_claim();
    assert!(good.verify().is_ok());
    let handle = "alice@org-a.example".parse().expect("a handle");
    let json = UserDocument::to_json(&good.verify().expect("own claim"));
    assert!(UserDocument::parse(&handle, &json).is_ok());
    let text = String::from_utf8(json).expect("JSON is text");
    for signature in [
        good.device_list.signature,
        good.signer_chain[0].signature,
        good.home_record.signature,
    ] {
        let hex: String = hex::encode(signature.as_bytes());
        assert_eq!(text.matches(&hex).count(), 1);
        let broken = text.replace(&hex, &hex::encode([7; 64]));
        assert!(UserDocument::parse(&handle, broken.as_bytes()).is_err());
    }
}
