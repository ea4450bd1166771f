//! What the server has to promise, and what is told when it does not or is not there.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::thread;

use crate::databases::{Databases, open};
use entente_groups::{Epoch, RoomId};
use entente_homeserver_core::links::Tenure;
use entente_homeserver_core::register::RegistrationPolicy;
use entente_homeserver_core::rows::{LinkRow, NodeId, PeerRow, RoomRow};
use entente_homeserver_core::{Change, Effect, Owed};
use entente_homeserver_ops::conformance::{change, observe};
use entente_homeserver_ops::{Command, Here, Store, StoreFault, execute};
use entente_homeserver_store_postgres::{PostgresStore, Settings};
use entente_identity::{ServerDid, SigningKey, UnixMillis};
use entente_protocol::entry::{EntryHash, Head, Seq, Term};
use entente_protocol::fault::FaultCode;
use entente_testnet_postgres::Postgres;
use futures::executor::block_on;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// Why a database cannot be used now.
fn unavailable(settings: &Settings) -> String {
    match PostgresStore::open(settings) {
        Err(StoreFault::Unavailable(reason)) => reason,
        Err(fault) => panic!("{fault}"),
        Ok(_) => panic!("it was opened"),
    }
}

fn write(store: &PostgresStore, number: u8) -> Result<(), StoreFault> {
    block_on(async {
        let mut tx = store.begin().await?;
        tx.apply(vec![change((7, [number; 4]))]).await?;
        tx.commit().await
    })
}

#[test]
fn a_server_that_forgets_what_it_confirmed_is_refused() {
    let postgres = Postgres::start(&["fsync = off"]).unwrap();
    let database = postgres.database().unwrap();
    let settings = Settings::parse(&postgres.url(&database)).unwrap();
    let reason = unavailable(&settings);
    assert!(reason.contains("fsync = off"), "{reason}");
    postgres.reconfigure(&["fsync = on".to_owned()]).unwrap();
    let lazy = format!("ALTER DATABASE {database} SET synchronous_commit = off");
    postgres.ask("postgres", &lazy).unwrap();
    let reason = unavailable(&settings);
    assert!(reason.contains("synchronous_commit = off"), "{reason}");
    let eager = format!("ALTER DATABASE {database} SET synchronous_commit = on");
    postgres.ask("postgres", &eager).unwrap();
    assert!(PostgresStore::open(&settings).is_ok());
}

#[test]
fn what_is_not_there_is_told() {
    let postgres = Postgres::shared().unwrap();
    let nowhere = Settings::parse(&postgres.url("nowhere")).unwrap();
    let reason = unavailable(&nowhere);
    assert!(reason.contains("nowhere"), "{reason}");
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().display().to_string().replace('/', "%2F");
    let silent = Settings::parse(&format!("postgres://e@{empty}/e")).unwrap();
    let reason = unavailable(&silent);
    assert!(reason.contains("connecting"), "{reason}");
}

#[test]
fn a_store_lives_through_restarts_of_its_server() {
    let postgres = Postgres::start(&[]).unwrap();
    let database = postgres.database().unwrap();
    let store = open(&postgres.url(&database));
    write(&store, 1).unwrap();
    // Several readers' connections lie in the pool when the server goes.
    let views = block_on(async { [store.read().await, store.read().await, store.read().await] });
    let before = views.map(|view| block_on(async { observe(&mut *view.unwrap()).await }));
    postgres.stop().unwrap();
    let down = write(&store, 2).expect_err("the server is down");
    assert!(matches!(down, StoreFault::Unavailable(_)), "{down}");
    let down = block_on(store.read()).map(|_| ()).expect_err("down");
    assert!(matches!(down, StoreFault::Unavailable(_)), "{down}");
    postgres.start_again().unwrap();
    let after = block_on(async { observe(&mut *store.read().await.unwrap()).await });
    before[0].assert_same(&after);
    write(&store, 2).unwrap();
}

#[test]
fn a_transaction_whose_connection_is_lost_before_its_commit_was_not_written() {
    let databases = Databases::new();
    let url = databases.fresh();
    let store = open(&url);
    let mut tx = block_on(store.begin()).unwrap();
    block_on(tx.apply(vec![change((7, [1; 4]))])).unwrap();
    let name = url.rsplit('/').next().unwrap();
    let end = format!(
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
         WHERE datname = '{name}' AND state = 'idle in transaction'"
    );
    assert_eq!(databases.postgres.ask("postgres", &end).unwrap(), "1");
    let fault = block_on(tx.commit()).expect_err("its connection is gone");
    // Whether the news of the end came before the commit was sent is chance; success it never is.
    let honest = matches!(fault, StoreFault::Unavailable(_) | StoreFault::Unknown(_));
    assert!(honest, "{fault}");
    write(&store, 2).expect("the next one has a new connection");
}

/// Who drives the link of that debt.
const TENURE: Tenure = Tenure {
    holder: NodeId([1; 16]),
    fence: 1,
};

/// A room of which the only debt is about to end.
fn owing() -> Vec<Change> {
    let head = Head {
        term: Term(1),
        seq: Seq(1),
        hash: EntryHash([1; 32]),
    };
    let room = RoomRow {
        room: RoomId([1; 32]),
        hub: here().me,
        head,
        epoch: Epoch(1),
        delivered: Seq(0),
        pending: Vec::new(),
        followers: vec![peer()],
    };
    let owed = Owed::Entry {
        room: room.room,
        seq: Seq(1),
    };
    let owe = Change::Owe {
        peer: peer(),
        number: 1,
        item: owed,
    };
    let row = PeerRow {
        last_out: 1,
        ..PeerRow::new(peer())
    };
    let link = LinkRow {
        peer: peer(),
        holder: TENURE.holder,
        fence: TENURE.fence,
    };
    vec![
        Change::PutRoom(room),
        Change::PutPeer(row),
        Change::PutLink(link),
        owe,
    ]
}

fn here() -> Here {
    Here {
        me: "did:web:org-a.example".parse().unwrap(),
        key_id: "fed-test".to_owned(),
        key: SigningKey::from_seed(&[1; 32]),
        registration: RegistrationPolicy::Open,
    }
}

fn peer() -> ServerDid {
    "did:web:org-b.example".parse().unwrap()
}

/// A commit that waits for a standby that never comes is on disk here already when the server crashes.
#[test]
fn a_commit_whose_answer_is_lost_is_told_as_unknown() {
    let postgres = Postgres::start(&[]).unwrap();
    let database = postgres.database().unwrap();
    let store = open(&postgres.url(&database));
    block_on(async {
        let mut tx = store.begin().await.unwrap();
        tx.apply(owing()).await.unwrap();
        tx.commit().await.unwrap();
    });
    let standby = |name: &str| format!("synchronous_standby_names = '{name}'");
    postgres.configure(&[standby("nobody")]).unwrap();
    postgres.ask("postgres", "SELECT pg_reload_conf()").unwrap();
    // A new session is made by who has told all others of the new configuration; whether commits wait is up
    // to the process that makes checkpoints, which has heard of it once it has made one.
    let known = "SHOW synchronous_standby_names";
    while postgres.ask("postgres", known).unwrap() != "nobody" {}
    postgres.ask("postgres", "CHECKPOINT").unwrap();
    let executed = thread::scope(|scope| {
        let commands = vec![Command::Acknowledge {
            peer: peer(),
            tenure: TENURE,
            up_to: 1,
        }];
        let running = scope.spawn(|| block_on(execute(&store, &here(), commands, UnixMillis(9))));
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        while postgres.ask("postgres", waits).unwrap() != "1" {
            assert!(!running.is_finished(), "it did not wait for the standby");
        }
        postgres.configure(&[standby("")]).unwrap();
        postgres.crash().unwrap();
        running.join().unwrap()
    });
    let failure = executed.failure.expect("it was not answered");
    assert!(matches!(failure, StoreFault::Unknown(_)), "{failure}");
    let answer = executed.answers[0].as_ref().expect_err("nor is the caller");
    assert_eq!(answer.code, FaultCode::Timeout);
    assert!(answer.detail.contains("may be stored or not"), "{answer:?}");
    // Who would have to look is woken: in this case there is something to see.
    let wake = Effect::WakeRoom(RoomId([1; 32]));
    assert_eq!(executed.effects, vec![wake]);
    postgres.start_again().unwrap();
    let mut read = block_on(store.read()).unwrap();
    let room = block_on(read.room(&RoomId([1; 32]))).unwrap().unwrap();
    assert_eq!(room.delivered, Seq(1));
}

/// A server that wants TLS and a password on TCP.
fn encrypted() -> (Postgres, Vec<u8>) {
    let postgres = Postgres::start(&[]).unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let root = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::from_params(&authority, &authority_key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let owner = fs::metadata(postgres.folder()).unwrap();
    let place = |name: &str, pem: String| {
        let path = postgres.folder().join(name);
        fs::write(&path, pem).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
        path.display().to_string()
    };
    let rules = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
    let lines = [
        "listen_addresses = '127.0.0.1'".to_owned(),
        format!("port = {}", postgres.port()),
        "ssl = on".to_owned(),
        format!(
            "ssl_cert_file = '{}'",
            place("server.pem", certificate.pem())
        ),
        format!(
            "ssl_key_file = '{}'",
            place("server.key", key.serialize_pem())
        ),
        format!("hba_file = '{}'", place("hba.conf", rules.to_owned())),
    ];
    let password = "ALTER USER entente PASSWORD 'hunter2'";
    postgres.ask("postgres", password).unwrap();
    postgres.reconfigure(&lines).unwrap();
    (postgres, root.der().to_vec())
}

#[test]
fn an_encrypted_connection_checks_certificate_name_and_password() {
    let (postgres, root) = encrypted();
    let roots = vec![root.into()];
    let settings = |host: &str, rest: &str| {
        let port = postgres.port();
        Settings::parse(&format!("postgres://entente@{host}:{port}/postgres{rest}")).unwrap()
    };
    let require = settings("127.0.0.1", "?sslmode=require");
    let known = require.clone().with_roots(roots.clone());
    assert!(PostgresStore::open(&known.clone().with_password("hunter2")).is_ok());
    let wrong = unavailable(&known.with_password("hunter3"));
    assert!(wrong.contains("password"), "{wrong}");
    assert!(!wrong.contains("hunter3"), "{wrong}");
    let unknown = unavailable(&require.with_password("hunter2"));
    assert!(unknown.contains("TLS"), "{unknown}");
    let misnamed = settings("localhost", "?sslmode=require").with_roots(roots);
    let misnamed = unavailable(&misnamed.with_password("hunter2"));
    assert!(misnamed.contains("TLS"), "{misnamed}");
    let clear = settings("127.0.0.1", "?sslmode=disable").with_password("hunter2");
    let clear = unavailable(&clear);
    assert!(clear.contains("no encryption"), "{clear}");
}
