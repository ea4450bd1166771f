//! Documents read back what was written, and nothing else.

use super::*;
use crate::device::{Device, DeviceId, HpkePublicKey, first_device_list};
use crate::home::HomeRecord;
use crate::{SigningKey, UnixMillis};

fn server_document() -> ServerDocument {
    let endpoint = |alpn: &str| ServiceEndpoint {
        host: "org-a.example".parse().expect("a domain"),
        port: 8448,
        alpn: alpn.to_owned(),
    };
    ServerDocument {
        did: "did:web:org-a.example".parse().expect("a DID"),
        keys: vec![SigningKey::from_seed(&[5; 32]).public()],
        federation: endpoint("entente-federation/1"),
        client: endpoint("entente-client/1"),
        first_key_document_hash: [9; 32],
    }
}

fn user_account() -> VerifiedAccount {
    let root = SigningKey::from_seed(&[1; 32]);
    let device = Device {
        id: DeviceId([2; 16]),
        signature_key: SigningKey::from_seed(&[2; 32]).public(),
        hpke_key: HpkePublicKey([3; 32]),
        role: crate::device::DeviceRole::Manager,
    };
    let created = UnixMillis(1_000);
    let handle = "alice@org-a.example".parse().expect("a handle");
    AccountClaim {
        account: AccountDid::new(root.public()),
        device_list: first_device_list(&root, vec![device], created),
        signer_chain: vec![],
        home_record: HomeRecord::first(&root, handle, created),
    }
    .verify()
    .expect("own statements hold")
}

#[test]
fn server_documents_read_back() {
    let document = server_document();
    let again = ServerDocument::parse(&document.did, &document.to_json()).expect("own document");
    assert_eq!(again, document);
    let other = "did:web:org-b.example".parse().expect("a DID");
    assert!(matches!(
        ServerDocument::parse(&other, &document.to_json()),
        Err(DocumentFault::OtherDid { .. })
    ));
}

#[test]
fn user_documents_read_back_and_are_bound_to_their_handle() {
    let account = user_account();
    let handle = account.home.handle.clone();
    let json = UserDocument::to_json(&account);
    let again = UserDocument::parse(&handle, &json).expect("own document");
    assert_eq!(again.account.claim, account.claim);
    let text = String::from_utf8(json).expect("JSON is text");
    let stolen = text.replace(":u:alice", ":u:mallory");
    let mallory = "mallory@org-a.example".parse().expect("a handle");
    assert_eq!(
        UserDocument::parse(&mallory, stolen.as_bytes()).map(|_| ()),
        Err(DocumentFault::OtherHome(handle))
    );
}

#[test]
fn strict_json_refuses_what_parsers_disagree_about() {
    let check = |text: &str, expect: bool| {
        assert_eq!(parse_strict(text.as_bytes()).is_ok(), expect, "{text}");
    };
    check(r#"{"a":1,"b":[true,null,"x",-1,1.5]}"#, true);
    check(r#"{"a":1,"a":2}"#, false);
    check(r#"{"a":{"b":1,"b":1}}"#, false);
    check("{} {}", false);
    check(&format!("{}{}", "[".repeat(32), "]".repeat(32)), true);
    check(&format!("{}{}", "[".repeat(34), "]".repeat(34)), false);
}

#[test]
fn documents_with_foreign_or_doubled_keys_are_refused() {
    let document = server_document();
    let text = String::from_utf8(document.to_json()).expect("JSON is text");
    let parse = |text: &str| ServerDocument::parse(&document.did, text.as_bytes());
    assert!(parse(&text).is_ok());
    assert!(parse(&text.replace("\"Multikey\"", "\"JsonWebKey2020\"")).is_err());
    let foreign = text.replace(
        "\"controller\": \"did:web:org-a.example\"",
        "\"controller\": \"did:web:org-b.example\"",
    );
    assert_ne!(foreign, text);
    assert!(parse(&foreign).is_err());
    let mut value: Value = serde_json::from_str(&text).expect("JSON");
    let method = value["verificationMethod"][0].clone();
    value["verificationMethod"]
        .as_array_mut()
        .expect("an array")
        .push(method);
    assert_eq!(parse(&value.to_string()), Err(DocumentFault::Keys));
}
