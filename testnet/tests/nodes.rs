//! Two nodes of one organization, with the real programs: a room has one order whoever is asked, and a
//! client whose node dies goes on at the other.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use entente_testnet_postgres::Postgres;
use tempfile::TempDir;
use testnet::cast::{Line, Person};
use testnet::network::{Binaries, BuildChoice, Folder, Network};
use tokio::io::{AsyncBufReadExt, BufReader};

const ROOM: &str = "Two doors";

/// org-a with two nodes on one database, and org-b.
struct World {
    network: Network,
    /// A host table of which org-a's second node is the first place.
    second_first: PathBuf,
    _folder: TempDir,
    /// Dropped last.
    _postgres: Arc<Postgres>,
}

impl World {
    async fn start() -> Self {
        let postgres = Postgres::shared().unwrap();
        let database = postgres.database().unwrap();
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::at(&temp.path().join("network")).unwrap();
        let binaries = Binaries::find(BuildChoice::Build).await.unwrap();
        let mut network = Network::create(folder, binaries, 2).await.unwrap();
        network
            .use_databases(vec![postgres.url(&database)])
            .unwrap();
        network.add_node(0).unwrap();
        let second_first = temp.path().join("second-first");
        fs::write(&second_first, network.hosts_second_first()).unwrap();
        network.start_all().await.unwrap();
        Self {
            network,
            second_first,
            _folder: temp,
            _postgres: postgres,
        }
    }

    async fn person(&self, handle: &str) -> Person {
        Person::of(&self.network, &handle.parse().unwrap())
    }
}

/// Founds a room and brings everybody in by invitation.
async fn gather(people: &[&Person]) {
    let [founder, others @ ..] = people else {
        panic!("a room needs people")
    };
    founder.run(&["room", "create", ROOM]).await.unwrap();
    for person in others {
        let handle = person.handle().to_string();
        founder
            .run(&["room", "invite", ROOM, &handle])
            .await
            .unwrap();
        person.invitation().await.unwrap();
        person.run(&["room", "join"]).await.unwrap();
    }
    // Who sends in an epoch before somebody came in is not read by that one.
    for person in people {
        let whole = |room: &testnet::cast::Room| room.members == people.len();
        person.room_when("the whole room", whole).await.unwrap();
    }
}

fn texts(lines: &[Line]) -> Vec<String> {
    let texts = lines.iter().filter(|line| line.is_text());
    texts.filter_map(|line| line.text.clone()).collect()
}

#[tokio::test]
async fn devices_at_both_nodes_and_elsewhere_see_one_order_of_one_room() {
    const EACH: usize = 15;
    let world = World::start().await;
    let alice = world.person("alice@org-a.test").await;
    let carol = world
        .person("carol@org-a.test")
        .await
        .with_hosts(world.second_first.clone());
    let bob = world.person("bob@org-b.test").await;
    let people = [&alice, &carol, &bob];
    for person in people {
        person.register().await.unwrap();
    }
    gather(&people).await;
    let said = |person: &Person| -> Vec<String> {
        (0..EACH)
            .map(|n| format!("{} {n}", person.name()))
            .collect()
    };
    let (by_alice, by_carol, by_bob) = (said(&alice), said(&carol), said(&bob));
    let talked = tokio::join!(
        alice.say_all(ROOM, &by_alice),
        carol.say_all(ROOM, &by_carol),
        bob.say_all(ROOM, &by_bob),
    );
    talked.0.unwrap();
    talked.1.unwrap();
    talked.2.unwrap();
    let mut orders = Vec::new();
    for person in people {
        let all = |lines: &[Line]| texts(lines).len() >= 3 * EACH;
        let lines = person
            .history_when(ROOM, "all messages", all)
            .await
            .unwrap();
        orders.push(texts(&lines));
    }
    assert_eq!(orders[0].len(), 3 * EACH, "each once");
    assert_eq!(orders[0], orders[1], "one order at both nodes");
    assert_eq!(orders[0], orders[2], "and elsewhere");
    for own in [by_alice, by_carol, by_bob] {
        let kept: Vec<_> = orders[0]
            .iter()
            .filter(|text| own.contains(text))
            .cloned()
            .collect();
        assert_eq!(kept, own, "everybody's own order");
    }
}

#[tokio::test]
async fn a_client_whose_node_dies_goes_on_at_the_other_and_misses_nothing() {
    let mut world = World::start().await;
    let alice = world.person("alice@org-a.test").await;
    let bob = world.person("bob@org-b.test").await;
    for person in [&alice, &bob] {
        person.register().await.unwrap();
    }
    gather(&[&alice, &bob]).await;
    let mut command = alice.command();
    let mut listening = command
        .args(["--json", "listen", ROOM, "--count", "4", "--timeout", "90"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut printed = BufReader::new(listening.stdout.take().unwrap()).lines();
    bob.say(ROOM, "before").await.unwrap();
    let mut heard = Vec::new();
    next_text(&mut printed, &mut heard).await;
    world.network.kill_node(0, 1).await.unwrap();
    let killed = Instant::now();
    for text in ["one", "two", "three"] {
        bob.run(&["send", ROOM, text, "--wait", "stored"])
            .await
            .unwrap();
    }
    while heard.len() < 4 {
        next_text(&mut printed, &mut heard).await;
    }
    let took = killed.elapsed();
    eprintln!("all was heard {took:?} after the node was killed");
    assert_eq!(heard, ["before", "one", "two", "three"]);
    assert!(took < Duration::from_secs(20), "{took:?}");
}

async fn next_text(
    printed: &mut tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
    heard: &mut Vec<String>,
) {
    loop {
        let line = printed.next_line().await.unwrap().expect("it listens");
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        if let Some(text) = event["text"].as_str() {
            return heard.push(text.to_owned());
        }
    }
}
