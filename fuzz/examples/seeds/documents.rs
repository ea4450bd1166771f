//! DID documents of servers and persons, and those that say something else than was asked.

use entente_identity::{ServerDocument, ServiceEndpoint, UserDocument};
use serde_json::{Value, json};

use crate::statements::{claim, here, key};
use crate::store::Store;

/// Adds them.
pub fn seed(store: &mut Store) {
    let genuine = server_document();
    store.genuine("server_documents", "server", genuine.clone());
    hostile(store, "server_documents", &genuine);
    let endpoints = [
        ("port-0", json!(0)),
        ("port-70000", json!(70_000)),
        ("port-text", json!("1")),
    ];
    for (name, port) in endpoints {
        let document = changed(&genuine, |document| {
            document["service"][0]["serviceEndpoint"]["port"] = port;
        });
        store.hostile("server_documents", "b4", name, document);
    }
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "org-a.example:1",
        "ORG-A.example",
        "a@b.example",
    ] {
        let document = changed(&genuine, |document| {
            document["service"][0]["serviceEndpoint"]["host"] = json!(host);
        });
        let name = format!("host-{}", host.replace(['[', ']', ':', '@'], "-"));
        store.hostile("server_documents", "b1", &name, document);
    }
    let account = claim().verify().expect("own claim");
    let genuine = UserDocument::to_json(&account);
    store.genuine("user_documents", "person", genuine.clone());
    hostile(store, "user_documents", &genuine);
    let claim = |text: Value| {
        changed(&genuine, |document| {
            document["service"][0]["serviceEndpoint"]["claim"] = text;
        })
    };
    let document: Value = serde_json::from_slice(&genuine).expect("own JSON");
    let hexed = document["service"][0]["serviceEndpoint"]["claim"]
        .as_str()
        .expect("hex");
    for (name, text) in [
        ("claim-upper-case", hexed.to_uppercase()),
        ("claim-odd", hexed[1..].to_owned()),
        ("claim-cut-off", hexed[..hexed.len() - 2].to_owned()),
        ("claim-longer", format!("{hexed}00")),
        ("claim-empty", String::new()),
    ] {
        store.hostile("user_documents", "a4", name, claim(json!(text)));
    }
}

fn server_document() -> Vec<u8> {
    let endpoint = |alpn: &str| ServiceEndpoint {
        host: "org-a.example".parse().expect("a domain"),
        port: 8448,
        alpn: alpn.to_owned(),
    };
    ServerDocument {
        did: here(),
        keys: vec![key().public()],
        federation: endpoint("entente-federation/1"),
        client: endpoint("entente-client/1"),
        first_key_document_hash: [7; 32],
    }
    .to_json()
}

fn changed(genuine: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut document: Value = serde_json::from_slice(genuine).expect("own JSON");
    change(&mut document);
    serde_json::to_vec(&document).expect("JSON")
}

fn hostile(store: &mut Store, target: &str, genuine: &[u8]) {
    let mut add = |line: &str, name: &str, document: Vec<u8>| {
        store.hostile(target, line, name, document);
    };
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    let inside = |value: &[u8]| {
        let text = String::from_utf8_lossy(genuine).into_owned();
        let value = String::from_utf8_lossy(value).into_owned();
        text.replacen('{', &format!("{{\"x\":{value},"), 1)
            .into_bytes()
    };
    add("b3", "depth-33", inside(&nested(33)));
    add("b3", "depth-10000", nested(10_000));
    add("b3", "objects-1000-deep", b"{\"a\":".repeat(1000));
    let mut large = genuine.to_vec();
    large.resize(65_537, b' ');
    add("b3", "65537-bytes", large);
    add("b3", "not-a-text", inside(b"\"\\ud800\""));
    add("b4", "member-twice", inside(b"{\"a\":1,\"a\":2}"));
    add(
        "b4",
        "id-twice",
        inside(b"0, \"id\": \"did:web:org-a.example\""),
    );
    add("b4", "longer", [genuine, b"{}"].concat());
    add("b4", "cut-off", genuine[..genuine.len() - 2].to_vec());
    store.odd(target, "number-beyond-all", inside(b"1e999"));
    store.odd(target, "long-number", inside(&b"9".repeat(5000)));
    store.odd(
        target,
        "number-in-disguise",
        inside(br#"{"$serde_json::private::Number":"1"}"#),
    );
    let mut add = |line: &str, name: &str, document: Vec<u8>| {
        store.hostile(target, line, name, document);
    };
    let with = |change: &dyn Fn(&mut Value)| changed(genuine, |document| change(document));
    add(
        "b4",
        "other-id",
        with(&|d| d["id"] = json!("did:web:org-b.example")),
    );
    add(
        "b4",
        "longer-id",
        with(&|d| d["id"] = json!("did:web:org-a.example.evil.example")),
    );
    add(
        "b4",
        "key-of-another-type",
        with(&|d| d["verificationMethod"][0]["type"] = json!("JsonWebKey2020")),
    );
    add(
        "b4",
        "key-of-another",
        with(&|d| {
            d["verificationMethod"][0]["controller"] = json!("did:web:org-b.example");
        }),
    );
    add(
        "b4",
        "key-id-twice",
        with(&|d| {
            let method = d["verificationMethod"][0].clone();
            d["verificationMethod"] = json!([method.clone(), method]);
        }),
    );
    add(
        "b4",
        "nine-keys",
        with(&|d| {
            let method = d["verificationMethod"][0].clone();
            let numbered = (0..9).map(|number| {
                let mut method = method.clone();
                let id = method["id"].as_str().unwrap_or_default().to_owned();
                method["id"] = json!(format!("{id}{number}"));
                method
            });
            d["verificationMethod"] = numbered.collect();
        }),
    );
    let x25519 = "z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc";
    add(
        "b4",
        "key-for-agreement",
        with(&|d| {
            d["verificationMethod"][0]["publicKeyMultibase"] = json!(x25519);
        }),
    );
    add(
        "b4",
        "service-twice",
        with(&|d| {
            let mut services = d["service"].as_array().cloned().unwrap_or_default();
            services.extend(services.clone());
            d["service"] = json!(services);
        }),
    );
    add(
        "b4",
        "without-services",
        with(&|d| d["service"] = json!([])),
    );
}
