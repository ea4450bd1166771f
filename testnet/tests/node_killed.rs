//! An organization whose server has two nodes on one Postgres: real clients at both of them, and one at
//! another organization, in one room.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use entente_sdk::{NewRoom, RoomId};
use entente_testnet_postgres::Postgres;
use testnet::cast::Member;
use testnet::network::files::write_host_table;
use testnet::network::{Binaries, BuildChoice, Folder, Network};
use tokio::time::sleep;

/// How long a client may take to go on at another node. More than is aimed at, as the machines that run
/// tests are busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// A network whose first organization has a second node.
struct Stage {
    network: Network,
    _folder: tempfile::TempDir,
    /// Dropped last.
    _postgres: Arc<Postgres>,
}

/// Which node of org-a a client tries first.
#[derive(Clone, Copy)]
enum First {
    Node1,
    Node2,
}

impl Stage {
    async fn set() -> Self {
        let binaries = Binaries::find(BuildChoice::Build).await.unwrap();
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::at(&temporary.path().join("network")).unwrap();
        let mut network = Network::create(folder, binaries, 2).await.unwrap();
        let postgres = Postgres::shared().unwrap();
        let database = postgres.database().unwrap();
        let urls = vec![postgres.url(&database)];
        network.use_databases(urls).unwrap();
        network.add_node(0).unwrap();
        network.start_all().await.unwrap();
        Self {
            network,
            _folder: temporary,
            _postgres: postgres,
        }
    }

    /// Registers a person whose client tries org-a's nodes in this order.
    async fn person(&self, handle: &str, first: First) -> Member {
        let folder = self.network.folder();
        match first {
            First::Node1 => write_host_table(folder, self.network.plan()).unwrap(),
            First::Node2 => {
                fs::write(folder.host_table(), self.network.hosts_second_first()).unwrap();
            }
        }
        Member::register(folder, &handle.parse().unwrap())
            .await
            .unwrap()
    }
}

/// Says something again and again, each time once what was said before is in the log. Gives what was
/// said, and how long the slowest took.
async fn talk(member: Member, room: RoomId, count: usize) -> (Vec<String>, Duration) {
    let (mut said, mut slowest) = (Vec::new(), Duration::ZERO);
    for n in 0..count {
        let text = format!("{} says {n}", member.handle());
        let begun = Instant::now();
        let id = member.begin(room, &text).await.unwrap();
        member.ordered(room, id).await.unwrap();
        slowest = slowest.max(begun.elapsed());
        said.push(text);
        sleep(Duration::from_millis(100)).await;
    }
    (said, slowest)
}

/// Founds a room of the first person, with the others in it.
async fn gather(people: &[Member]) -> RoomId {
    let founder = people[0].client();
    let room = founder
        .create_room(NewRoom::named("Two nodes"))
        .await
        .unwrap();
    for person in &people[1..] {
        founder.invite(room, person.handle()).await.unwrap();
        assert_eq!(person.join_next().await.unwrap(), room);
    }
    for person in people {
        person.room_of(room, people.len()).await.unwrap();
    }
    room
}

/// Everybody has everything that was said, once, and in one order.
async fn check(people: &[Member], room: RoomId, said: &BTreeSet<String>) {
    let order = people[0].texts_when(room, said.len()).await.unwrap();
    assert_eq!(order.len(), said.len(), "each once");
    assert_eq!(&order.iter().cloned().collect::<BTreeSet<_>>(), said);
    for person in &people[1..] {
        let texts = person.texts_when(room, said.len()).await.unwrap();
        assert_eq!(texts, order, "{} sees another order", person.handle());
    }
}

/// Everybody talks; after a while the first node is killed, with its clients and perhaps its links.
async fn talk_while_the_first_node_dies(hub: &str) {
    let mut stage = Stage::set().await;
    let alice = stage.person("alice@org-a.test", First::Node1).await;
    let carol = stage.person("carol@org-a.test", First::Node2).await;
    let bob = stage.person("bob@org-b.test", First::Node1).await;
    let mut people = vec![alice, carol, bob];
    people.sort_by_key(|person| person.handle().domain().as_str() != hub);
    let room = gather(&people).await;
    let talking: Vec<_> = people
        .iter()
        .map(|person| tokio::spawn(talk(person.clone(), room, 60)))
        .collect();
    sleep(Duration::from_secs(3)).await;
    stage.network.kill_node(0, 1).await.unwrap();
    let mut said = BTreeSet::new();
    for (person, talked) in people.iter().zip(talking) {
        let (texts, slowest) = talked.await.unwrap();
        println!("{}: the slowest message took {slowest:?}", person.handle());
        assert!(slowest < PATIENCE);
        said.extend(texts);
    }
    assert_eq!(said.len(), 180);
    check(&people, room, &said).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_of_a_hub_with_two_nodes_keeps_one_order_when_one_is_killed() {
    talk_while_the_first_node_dies("org-a.test").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_at_two_nodes_go_on_at_one_when_the_other_is_killed() {
    talk_while_the_first_node_dies("org-b.test").await;
}
