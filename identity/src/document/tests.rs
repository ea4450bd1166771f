//! Documents read back what was written, and nothing else (adversaries B3, B4).

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
fn b4_strict_json_refuses_what_parsers_disagree_about() {
    let check = |text: &str, expect: bool| {
        assert_eq!(parse_strict(text.as_bytes()).is_ok(), expect, "{text}");
    };
    check(
        r#"{"a":1,"b":[true,null,"x",-1,18446744073709551615]}"#,
        true,
    );
    for number in ["1.5", "1e3", "1e999", "-0.0", "18446744073709551616"] {
        check(number, false);
        check(&format!("[{number}]"), false);
    }
    check(r#"{"$serde_json::private::Number":"8448"}"#, false);
    check(r#"{"$serde_json::private::RawValue":"8448"}"#, false);
    check(r#"{"a":1,"a":2}"#, false);
    check(r#"{"a":1,"\u0061":2}"#, false);
    check(r#"{"a":1,"a":1}"#, false);
    check(r#"{"a":{"b":1,"b":1}}"#, false);
    check(r#"[{"b":1,"b":1}]"#, false);
    for text in [
        "",
        " ",
        "{} {}",
        "{}x",
        "{\"a\":1,}",
        "[1,]",
        "{a:1}",
        "{'a':1}",
        "[01]",
        "[NaN]",
        "\u{feff}{}",
        "// no\n{}",
        r#"["\ud800"]"#,
    ] {
        check(text, false);
    }
    assert!(parse_strict(b"[\"\xff\"]").is_err());
}

#[test]
fn b3_nesting_is_bounded() {
    let check = |open: &str, close: &str, depth: usize, expect: bool| {
        let text = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        let read = parse_strict(text.as_bytes());
        assert_eq!(read.is_ok(), expect, "{open}: {depth}");
    };
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        check(open, close, 32, true);
        check(open, close, 33, false);
        check(open, close, 10_000, false);
    }
    assert!(parse_strict("[".repeat(60_000).as_bytes()).is_err());
}

#[test]
fn b3_a_document_beyond_64_kib_is_refused() {
    let document = server_document();
    let mut json = document.to_json();
    json.resize(MAX_DOCUMENT_BYTES, b' ');
    assert!(ServerDocument::parse(&document.did, &json).is_ok());
    json.push(b' ');
    assert!(matches!(
        ServerDocument::parse(&document.did, &json),
        Err(DocumentFault::Malformed(_))
    ));
}

/// The fault of the server's document after its JSON was changed.
fn fault_after(change: impl FnOnce(&mut Value)) -> DocumentFault {
    let document = server_document();
    let mut value: Value = serde_json::from_slice(&document.to_json()).expect("own JSON");
    change(&mut value);
    let parsed = ServerDocument::parse(&document.did, value.to_string().as_bytes());
    parsed.expect_err("it was changed")
}

fn other_key() -> PublicKey {
    SigningKey::from_seed(&[6; 32]).public()
}

#[test]
fn b4_the_document_of_another_did_is_refused() {
    for other in [
        "did:web:org-b.example",
        "did:web:org-a.example.evil",
        "did:web:a.org-a.example",
        "did:web:org-a.example:u:alice",
        "did:web:ORG-A.example",
        "did:web:org-a.example%3A443",
        "did:web:org-a.example.",
        "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
    ] {
        let fault = fault_after(|value| value["id"] = other.into());
        assert!(
            matches!(fault, DocumentFault::OtherDid { .. }),
            "{other}: {fault}"
        );
    }
    for no_did in [
        Value::Null,
        json!(1),
        json!(["did:web:org-a.example"]),
        json!("x"),
    ] {
        let fault = fault_after(|value| value["id"] = no_did);
        assert!(matches!(fault, DocumentFault::Malformed(_)), "{fault}");
    }
}

#[test]
fn b4_a_key_id_that_stands_twice_or_is_another_key_s_is_refused() {
    let push = |value: &mut Value, method: Value| {
        let methods = value["verificationMethod"].as_array_mut();
        methods.expect("an array").push(method);
    };
    let twice = fault_after(|value| {
        let method = value["verificationMethod"][0].clone();
        push(value, method);
    });
    assert_eq!(twice, DocumentFault::Keys);
    let own = server_document().method(&server_document().keys[0]);
    let other = server_document().method(&other_key());
    let mixed_up = |id: Value, key: &Value| {
        let mut method = key.clone();
        method["id"] = id;
        fault_after(|value| push(value, method))
    };
    let relative = json!(format!("#{}", key_id(&other_key())));
    for id in [
        own["id"].clone(),
        json!("did:web:org-a.example#fed-0"),
        json!(format!("did:web:org-b.example#{}", key_id(&other_key()))),
    ] {
        let fault = mixed_up(id, &other);
        assert!(matches!(fault, DocumentFault::KeyId { .. }), "{fault}");
    }
    assert!(matches!(
        mixed_up(relative, &other),
        DocumentFault::KeyId { .. } | DocumentFault::Malformed(_)
    ));
    let many = fault_after(|value| {
        for number in 10..18 {
            let key = SigningKey::from_seed(&[number; 32]).public();
            push(value, server_document().method(&key));
        }
    });
    assert_eq!(many, DocumentFault::Keys);
}

#[test]
fn b4_a_member_that_stands_twice_is_refused() {
    let text = String::from_utf8(server_document().to_json()).expect("JSON is text");
    let parse = |text: &str| ServerDocument::parse(&server_document().did, text.as_bytes());
    assert!(parse(&text).is_ok());
    for member in [
        "\"id\": \"did:web:org-a.example\"",
        "\"type\": \"Multikey\"",
        "\"port\": 8448",
        "\"host\": \"org-a.example\"",
    ] {
        assert!(text.contains(member), "{member}");
        let doubled = text.replacen(member, &format!("{member}, {member}"), 1);
        let fault = parse(&doubled).expect_err(member);
        assert!(fault.to_string().contains("stands twice"), "{fault}");
    }
}

#[test]
fn b4_a_key_of_another_type_is_refused() {
    let set = |member: &'static str, value: Value| {
        move |document: &mut Value| document["verificationMethod"][0][member] = value
    };
    // Keys of did:key's own examples: X25519, P-256, secp256k1; RSA and no key at all.
    for multibase in [
        "z6LSeu9HkTHSfLLeUs2nnzUSNedgDUevfNQgQjQC23ZCit6F",
        "zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169",
        "zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
        "z4MXj1wBzi9jUstyPMS4jQqB6KdJaiatPkAtVtGc6bQEQEEsKTic4G7Rou3iBf9vPmT5dbkm9qsZsuVNjq8HCuW1w24nhBFGkRE4cd2Uf2tfrB3N7h4mnyPp1BF3ZttHTYv3DLUPi1zMdkULiow3M1GfXkoC6DoxDUm1jmN6GBj22SjVsr6dxezRVQc7aj9TxE7JLbMH1wh5X3kA58H3DFW8rnYMakFGbca5CB2Jf6CnGQZmL7o5uJAdTwXfy2iiiyPxXEGerMhHwhjTA1mKYobyk2CpeEcmvynADfNZ5MBvcCS7m3XkFCMNUYBS9NQ3fze6vMSUPsNa6GVYmKx2x6JrdEjCk3qRMMmyjnjCMfR4pXbRMZa3i",
        "",
        "z",
        "f6d",
    ] {
        let fault = fault_after(set("publicKeyMultibase", multibase.into()));
        assert!(matches!(fault, DocumentFault::Key { .. }), "{fault}");
    }
    for other in [
        "JsonWebKey2020",
        "Ed25519VerificationKey2020",
        "multikey",
        "",
    ] {
        let fault = fault_after(set("type", other.into()));
        assert!(matches!(fault, DocumentFault::Missing(_)), "{fault}");
    }
    let foreign = fault_after(set("controller", "did:web:org-b.example".into()));
    assert!(matches!(foreign, DocumentFault::Missing(_)), "{foreign}");
    let without = fault_after(|document| document["verificationMethod"] = json!([]));
    assert!(matches!(without, DocumentFault::Missing(_)), "{without}");
}

#[test]
fn b4_a_service_that_is_doubled_or_leads_to_no_domain_is_refused() {
    let doubled = fault_after(|value| {
        let service = value["service"][0].clone();
        value["service"]
            .as_array_mut()
            .expect("an array")
            .push(service);
    });
    assert_eq!(doubled, DocumentFault::Missing("the service #federation"));
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "org-a.example:22",
        "ORG-A.example",
    ] {
        let fault =
            fault_after(|value| value["service"][0]["serviceEndpoint"]["host"] = host.into());
        assert_eq!(fault, DocumentFault::Missing("the service #federation"));
    }
    for port in [json!(0), json!(65_536), json!(-1), json!("8448")] {
        let fault = fault_after(|value| value["service"][1]["serviceEndpoint"]["port"] = port);
        assert_eq!(fault, DocumentFault::Missing("the service #client"));
    }
    for hash in [
        json!("09"),
        json!("0A".repeat(32)),
        json!(["09".repeat(32)]),
        Value::Null,
    ] {
        let fault = fault_after(|value| value["service"][2]["serviceEndpoint"]["sha256"] = hash);
        assert_eq!(
            fault,
            DocumentFault::Missing("the service #keys with a sha256")
        );
    }
}
