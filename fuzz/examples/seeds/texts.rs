//! Names, keys and signatures, contents, texts for terminals, files of the operator.

use entente_groups::{MessageId, RoomId};
use entente_identity::AccountDid;
use entente_protocol::content::{
    Content, ContentId, Disposition, Expiration, NestedPart, PartBody, TEXT_MARKDOWN,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::hostile::add_order;
use crate::statements::key;
use crate::store::Store;

/// Adds them.
pub fn seed(store: &mut Store) {
    names(store);
    signatures(store);
    contents(store);
    terminal(store);
    configurations(store);
    host_tables(store);
}

fn names(store: &mut Store) {
    let did = AccountDid::new(key().public()).to_string();
    let room = RoomId([0xab; 32]).to_string();
    let message = MessageId([0xcd; 16]).to_string();
    for (name, text) in [
        ("domain", "org-a.example"),
        ("domain-a-label", "xn--bcher-kva.example"),
        ("handle", "alice@org-a.example"),
        ("local-part", "a.b_c-9"),
        ("account", &did),
        ("server", "did:web:org-a.example"),
        ("person", "did:web:org-a.example:u:alice"),
        ("document", "https://org-a.example/.well-known/did.json"),
        ("room", &room),
        ("message", &message),
    ] {
        store.accepted("names", name, text.as_bytes().to_vec());
    }
    for (name, text) in [
        ("trailing-dot", "org-a.example."),
        ("upper-case", "ORG-A.example"),
        ("mask", "did:web:xn--a.example"),
        ("slash", "org-a.example/x"),
        ("user-info", "did:web:alice@org-a.example"),
        ("port", "did:web:org-a.example:8443"),
        ("port-encoded", "did:web:org-a.example%3A8443"),
        ("zone", "fe80::1%eth0"),
        ("wide-digits", "１２７.0.0.1"),
        ("octal", "https://0177.0.0.1/did.json"),
        ("hexadecimal", "https://0x7f.1/did.json"),
        ("dots", "https://org-a.example/../did.json"),
        ("dots-encoded", "https://org-a.example/%2e%2e/did.json"),
        ("query", "https://org-a.example/did.json?x"),
        ("backslash", "https://org-a.example\\@evil.example/did.json"),
        (
            "account-of-ones",
            "did:key:z6Mk1111111111111111111111111111111111111111111111",
        ),
        (
            "label-of-64",
            "did:web:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example",
        ),
    ] {
        store.hostile("names", "a11", name, text.as_bytes().to_vec());
    }
}

/// Source: novifinancial/ed25519-speccheck, cases.json (see testdata/README.md): strict verification
/// accepts case 3 only.
fn signatures(store: &mut Store) {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../testdata/ed25519/speccheck-cases.json"
    );
    let text = std::fs::read_to_string(path).expect("test vectors are in testdata/");
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).expect("cases are JSON");
    for (index, case) in cases.iter().enumerate() {
        let part = |name: &str| hex::decode(case[name].as_str().expect("hex")).expect("hex");
        let input = [part("pub_key"), part("signature"), part("message")].concat();
        if index == 3 {
            store.genuine("signatures", "speccheck-3", input);
        } else {
            store.hostile("signatures", "a5", &format!("speccheck-{index}"), input);
        }
    }
    let mut signature = *key().sign(b"message").as_bytes();
    let input = |signature: &[u8]| [key().public().as_bytes(), signature, b"message"].concat();
    store.genuine("signatures", "own", input(&signature));
    add_order(&mut signature);
    store.hostile("signatures", "a5", "scalar-plus-order", input(&signature));
    let mut not_canonical = [0xff; 100];
    (not_canonical[0], not_canonical[31]) = (0xee, 0x7f);
    store.hostile("signatures", "a5", "key-beyond-p", not_canonical.to_vec());
}

fn contents(store: &mut Store) {
    let mut rng = StdRng::seed_from_u64(1);
    let id = ContentId([1; 32]);
    let mut all = vec![
        ("text", Content::text("hello", &mut rng)),
        ("reply", Content::reply(id, "yes", &mut rng)),
        ("edit", Content::edit(id, "no", &mut rng)),
        ("deletion", Content::delete(id, &mut rng)),
        ("reaction", Content::reaction(id, "👍", &mut rng)),
        (
            "profile",
            Content::room_profile("Tea \"and\" \\ cake\n", "topic", &mut rng),
        ),
    ];
    let mut unknown = Content::text("x", &mut rng);
    unknown.topic_id = vec![1, 2, 3];
    unknown.expires = Some(Expiration {
        relative: true,
        time_s: 60,
    });
    let part = |disposition, content_type: &str, content: &[u8]| NestedPart {
        disposition,
        language: "de".to_owned(),
        body: PartBody::Single {
            content_type: content_type.to_owned(),
            content: content.to_vec(),
        },
    };
    unknown.part.body = PartBody::Multi {
        semantics: 0,
        parts: vec![
            part(Disposition(99), "application/future", &[1, 2]),
            part(Disposition::RENDER, TEXT_MARKDOWN, b"*hi*"),
        ],
    };
    all.push(("several-parts", unknown));
    for (name, content) in &all {
        store.accepted("contents", name, content.to_cbor());
    }
    let text = all[0].1.to_cbor();
    let mut add = |line: &str, name: &str, bytes: Vec<u8>| {
        store.hostile("contents", line, name, bytes);
    };
    add("a4", "longer", [&text[..], &[0]].concat());
    add("a4", "cut-off", text[..text.len() - 1].to_vec());
    add("b3", "arrays-10000-deep", vec![0x81; 10_000]);
    add("b3", "tags-10000-deep", vec![0xc1; 10_000]);
    add("b3", "array-of-2e32", vec![0x9b, 0, 0, 0, 1, 0, 0, 0, 0]);
    add(
        "b3",
        "array-of-2e64",
        vec![0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    );
    add(
        "b3",
        "bytes-of-2e62",
        vec![0x87, 0x5b, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    );
    add(
        "b3",
        "map-of-2e64",
        vec![0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    );
    add(
        "b3",
        "endless-text",
        [&[0x87, 0x7f][..], &[0x61, b'a'].repeat(5000)].concat(),
    );
    let mut deep = vec![0x87, 0x50];
    deep.extend([7; 16]);
    deep.extend([0xf6, 0x40, 0xf6, 0xf6, 0xa0]);
    for _ in 0..6 {
        deep.extend([0x85, 1, 0x60, 3, 1, 0x82]);
    }
    add("b3", "parts-6-deep", deep);
}

fn terminal(store: &mut Store) {
    for (name, text) in [
        ("plain", "hello world"),
        ("escape", "\u{1b}[2J\u{7}"),
        ("bidi", "user\u{202e}txt.exe \u{2066}x\u{2069}\u{200f}"),
        ("lines", "one\r\n\ttwo\nmallory: \u{1b}[1m"),
        ("emoji", "👍🏽 ❤️ 👨‍👩‍👧 1️⃣ 🏳️‍🌈"),
        (
            "invisible",
            "ad\u{200b}min\u{feff}\u{ad}\u{e0041}\u{3164}\u{2028}",
        ),
        ("letters", "日本語 עברית عربى e\u{301}"),
    ] {
        store.accepted("inert_text", name, text.as_bytes().to_vec());
    }
    store.hostile("inert_text", "f8", "no-utf-8", vec![b'a', 0x9b, 0xff]);
}

fn configurations(store: &mut Store) {
    let example = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/operations/homeserver.example.toml"
    );
    let example = std::fs::read(example).expect("the example is in docs/");
    store.accepted("config_files", "example", example);
    let minimal = "domain = \"org-a.test\"\ndata_dir = \"data\"\n";
    store.accepted("config_files", "minimal", minimal.as_bytes().to_vec());
    let full = "[listen]\nquic = \"0.0.0.0:1\"\n[federation]\npolicy = 'allow'\nservers = [\n\
                'org-b.example', \"xn--bcher-kva.example\"]\n[log]\nfilter = \"info,x=debug\"\n";
    store.accepted(
        "config_files",
        "full",
        format!("{minimal}{full}").into_bytes(),
    );
    for (name, rest) in [
        ("unknown-key", "typo = 1".to_owned()),
        ("unknown-section", "[typo]\na = 1".to_owned()),
        ("section-as-a-value", "listen = 1".to_owned()),
        ("arrays-10000-deep", format!("x = {}", "[".repeat(10_000))),
        ("tables-10000-deep", format!("x = {}", "{a=".repeat(10_000))),
        ("keys-1000-deep", format!("{}a = 1", "a.".repeat(1000))),
        ("port-beyond", "[public]\nquic_port = 0x1ffff".to_owned()),
        (
            "key-twice",
            "[listen]\nquic = \"x\"\nquic = \"y\"".to_owned(),
        ),
        ("wide-column", "[listen]\nquic = \"ä日\"\n".to_owned()),
        (
            "address-as-a-domain",
            "[federation]\npolicy = \"deny\"\nservers = [\"127.0.0.1\"]".to_owned(),
        ),
        ("filter", "[log]\nfilter = \"a=b=c\"".to_owned()),
    ] {
        let text = format!("{minimal}{rest}");
        store.hostile("config_files", "local", name, text.into_bytes());
    }
}

fn host_tables(store: &mut Store) {
    let table = "# closed\n\norg-a.example 127.0.0.2 8443 4433 # one\norg-b.example ::1 1 2\n";
    store.accepted("host_tables", "two", table.as_bytes().to_vec());
    store.accepted("host_tables", "empty", Vec::new());
    for (name, text) in [
        ("three-fields", "org-a.example 127.0.0.1 1"),
        ("name-as-an-address", "org-a.example localhost 1 2"),
        ("no-address", "org-a.example 0.0.0.0 1 2"),
        ("many-addresses", "org-a.example ff02::1 1 2"),
        ("port-0", "org-a.example 127.0.0.1 0 2"),
        ("port-65536", "org-a.example 127.0.0.1 1 65536"),
        ("twice", "a.example 127.0.0.1 1 2\na.example 127.0.0.1 1 2"),
        ("localhost", "localhost 127.0.0.1 1 2"),
    ] {
        store.hostile("host_tables", "b1", name, text.as_bytes().to_vec());
    }
}
