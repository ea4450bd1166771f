//! One door for good configurations, one for faulty ones: each fault names its place.

use super::*;

const MINIMAL: &str = "domain = \"org-a.test\"\ndata_dir = \"data\"\n";

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn parse(text: &str, pairs: &[(&str, &str)]) -> Result<Config, ConfigFaults> {
    Config::parse(Some((Path::new("a.toml"), text)), variables(pairs))
}

/// Checks what is wrong with `text` after the two lines that have to be there.
fn check_faults(rest: &str, expected: &[&str]) {
    let faults = parse(&format!("{MINIMAL}{rest}"), &[]).expect_err(rest);
    let found: Vec<String> = faults.0.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), expected.len(), "{rest}: {found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{rest}: {found}");
    }
}

#[test]
fn the_two_required_settings_are_enough() {
    let config = parse(MINIMAL, &[]).expect("minimal");
    assert_eq!(config.did().to_string(), "did:web:org-a.test");
    assert_eq!(config.listen.quic.port(), 8448);
    assert_eq!(config.public_host().as_str(), "org-a.test");
    assert_eq!(config.public_port(8448), 8448);
    assert!(config.listen.admin.ip().is_loopback());
    assert_eq!(config.registration.mode, RegistrationMode::Open);
    assert_eq!(config.federation.policy, FederationPolicy::Open);
}

#[test]
fn every_fault_names_its_line_and_column() {
    check_faults(
        "typo = 1",
        &["a.toml:3:1: unknown key `typo`; the top level knows: domain"],
    );
    check_faults(
        "[listen]\nquic = \"x\"",
        &["a.toml:4:8: listen.quic: `x`: invalid socket address"],
    );
    check_faults(
        "[listen]\nquic = 7\nhttps = true",
        &[
            "a.toml:4:8: listen.quic: expected a string, found integer",
            "a.toml:5:9: listen.https: expected a string, found boolean",
        ],
    );
    check_faults(
        "[public]\nquic_port = 70000",
        &["a.toml:4:13: public.quic_port: 70000 is not from 0 to 65535"],
    );
    check_faults(
        "[public]\nquic_port = \"8448\"",
        &["a.toml:4:13: public.quic_port: expected an integer, found string"],
    );
    check_faults(
        "[public]\nquic_port = 0",
        &["a.toml:4:13: public.quic_port: 0 is no port"],
    );
    check_faults(
        "[public]\nhost = \"LOUD.test\"",
        &["a.toml:4:8: public.host: `LOUD.test`"],
    );
    check_faults("[lissten]\n", &["a.toml:3:2: unknown key `lissten`"]);
    check_faults(
        "[listen]\nqiuc = \"\"",
        &["a.toml:4:1: unknown key `qiuc`; [listen] knows: quic"],
    );
    check_faults("log = 3", &["a.toml:3:7: log: is a section: write `[log]`"]);
    check_faults("[log", &["a.toml:3:"]);
    check_faults("domain = \"org-b.test\"", &["a.toml:3:1: duplicate key"]);
}

#[test]
fn settings_that_do_not_fit_each_other_are_faults() {
    check_faults(
        "[registration]\nmode = \"token\"",
        &["a.toml:3:1: registration.token_file: is missing"],
    );
    check_faults(
        "[store]\nkind = \"postgres\"",
        &["a.toml:3:1: store.url: is missing"],
    );
    check_faults(
        "[store]\nurl = \"postgres://e@db.org-a.test/e\"",
        &["a.toml:4:7: store.url: leads to another machine"],
    );
    check_faults(
        "[federation]\nservers = [\"org-b.test\"]",
        &["a.toml:4:11: federation.servers: lists servers"],
    );
    check_faults(
        "[federation]\npolicy = \"alow\"",
        &["a.toml:4:10: federation.policy: `alow`: expected one of open, allow, deny"],
    );
    check_faults("[log]\nfilter = \"x=y=z\"", &["a.toml:4:10: log.filter: "]);
    check_faults(
        "[store]\nkeep_days = 30",
        &["a.toml:4:13: store.keep_days: is neither 0 nor from 31"],
    );
    check_faults(
        "[store]\nkind = \"mysql\"",
        &["a.toml:4:8: store.kind: `mysql`"],
    );
}

#[test]
fn a_password_in_a_url_is_refused_and_not_repeated() {
    let url = "postgres://entente:hunter2@localhost/entente";
    let pairs = [("ENTENTE_STORE_URL", url)];
    let text = parse(MINIMAL, &pairs).expect_err("refused").to_string();
    assert!(
        text.contains("ENTENTE_STORE_URL: store.url: holds a password"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn what_is_required_is_missed_by_name() {
    let faults = parse("", &[]).expect_err("nothing is set");
    let text = faults.to_string();
    assert!(
        text.contains("a.toml:1:1: domain: is missing: write `domain ="),
        "{text}"
    );
    assert!(text.contains("set ENTENTE_DATA_DIR"), "{text}");
    let faults = Config::parse(None, BTreeMap::new()).expect_err("nothing is set");
    assert!(
        faults.to_string().starts_with("configuration: domain"),
        "{faults}"
    );
}

#[test]
fn variables_go_before_the_file_and_faults_name_them() {
    let config = parse(
        "domain = \"org-a.test\"\ndata_dir = \"/a\"\n[listen]\nquic = \"broken\"",
        &[
            ("ENTENTE_LISTEN_QUIC", "127.0.0.1:1"),
            ("ENTENTE_FEDERATION_POLICY", "allow"),
            ("ENTENTE_FEDERATION_SERVERS", "org-b.test, org-c.test"),
            ("ENTENTE_PUBLIC_QUIC_PORT", "9"),
        ],
    )
    .expect("the variable replaces the broken setting");
    assert_eq!(config.listen.quic.port(), 1);
    assert_eq!(config.public_port(8448), 9);
    let b = "did:web:org-b.test".parse().expect("a DID");
    let d = "did:web:org-d.test".parse().expect("a DID");
    assert!(config.federation.admits(&b) && !config.federation.admits(&d));
    let faults = parse(
        MINIMAL,
        &[("ENTENTE_LISTEN_QUIC", "x"), ("ENTENTE_LISTEN_QIUC", "")],
    )
    .expect_err("one faulty, one unknown");
    let text = faults.to_string();
    assert!(
        text.contains("environment variable ENTENTE_LISTEN_QUIC: listen.quic: `x`"),
        "{text}"
    );
    assert!(
        text.contains("environment variable ENTENTE_LISTEN_QIUC: names no setting"),
        "{text}"
    );
}

#[test]
fn a_server_can_be_configured_by_variables_alone() {
    let pairs = [
        ("ENTENTE_DOMAIN", "org-a.test"),
        ("ENTENTE_DATA_DIR", "/data"),
    ];
    let config = Config::load(None, variables(&pairs)).expect("two variables");
    assert_eq!(config.store.path, Path::new("/data/homeserver.sqlite"));
}

#[test]
fn relative_paths_are_relative_to_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.toml");
    std::fs::write(&file, MINIMAL).expect("written");
    let config = Config::load(Some(&file), BTreeMap::new()).expect("minimal");
    assert_eq!(config.server.data_dir, folder.path().join("data"));
    assert_eq!(config.tls.key, folder.path().join("key.pem"));
    assert_eq!(
        config.store.path,
        folder.path().join("data/homeserver.sqlite")
    );
    let missing = Config::load(Some(&folder.path().join("b.toml")), BTreeMap::new());
    assert!(
        missing
            .expect_err("no file")
            .to_string()
            .contains("cannot read")
    );
}

#[test]
fn the_example_parses_and_its_comments_are_the_defaults() {
    let example = render(SHAPE, &Overrides::new());
    let config = parse(&example, &[]).expect("the example");
    assert_eq!(config.listen.quic.port(), 8448);
    let uncommented: String = example
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
            Some(_) | None => format!("{line}\n"),
        })
        .collect();
    let all = parse(&uncommented, &[]).expect("every setting is written as it can be set");
    assert_eq!(format!("{:?}", all.listen), format!("{:?}", config.listen));
    assert_eq!(format!("{:?}", all.log), format!("{:?}", config.log));
    for section in SHAPE {
        for key in section.keys {
            assert!(
                uncommented.contains(&format!("\n{} = {}\n", key.name, key.shown)),
                "{}",
                key.name
            );
        }
    }
}

#[test]
fn the_committed_example_is_the_generated_one() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations/homeserver.example.toml");
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        committed,
        render(SHAPE, &Overrides::new()),
        "run `entente-homeserver config example > docs/operations/homeserver.example.toml`"
    );
}

#[test]
fn overrides_are_written_as_settings() {
    let mut overrides = Overrides::new();
    overrides.insert(("", "domain"), toml_string("org-b.test"));
    overrides.insert(("listen", "quic"), toml_string("127.0.0.1:1"));
    let config = parse(&render(SHAPE, &overrides), &[]).expect("rendered");
    assert_eq!(config.server.domain.as_str(), "org-b.test");
    assert_eq!(config.listen.quic.port(), 1);
}
