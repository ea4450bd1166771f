//! An organization whose server has two nodes on one Postgres: real clients at both of them, and one at
//! another organization, in one room.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use entente_sdk::{NewRoom, RoomId};
use entente_testnet_postgres::Postgres;
use testnet::cast::Member;
use testnet::network::{Binaries, BuildChoice, Folder, Network};
use tokio::process::{Child, Command};
use tokio::time::sleep;

/// How long a client may take to go on at another node. More than is aimed at, as the machines that run
/// tests are busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// A network whose first organization has a second node.
struct Stage {
    network: Network,
    second: Second,
    _folder: tempfile::TempDir,
    /// Dropped last.
    _postgres: Arc<Postgres>,
}

/// The second node: with the keys of the first, and a folder and addresses of its own.
struct Second {
    config: PathBuf,
    https: u16,
    quic: u16,
    process: Option<Child>,
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
        let second = Second::of(&network);
        let stage = Self {
            network,
            second,
            _folder: temporary,
            _postgres: postgres,
        };
        // Both organizations find both nodes; they read their tables when they start.
        let folder = stage.network.folder();
        for server in &stage.network.plan().servers {
            fs::write(
                folder.server_hosts(&server.domain()),
                stage.hosts(First::Node1),
            )
            .unwrap();
        }
        stage
    }

    async fn start(&mut self) {
        self.network.start_all().await.unwrap();
        self.second.start(&self.network).await;
    }

    /// The host table, with org-a's nodes in this order.
    fn hosts(&self, first: First) -> String {
        let [a, b] = &self.network.plan().servers[..] else {
            panic!("two organizations");
        };
        let line = |name: &str, https: u16, quic: u16| format!("{name} 127.0.0.1 {https} {quic}\n");
        let of_a = [
            line(&a.domain, a.https_port, a.quic_port),
            line(&a.domain, self.second.https, self.second.quic),
        ];
        let [one, two] = &of_a;
        let in_order = match first {
            First::Node1 => format!("{one}{two}"),
            First::Node2 => format!("{two}{one}"),
        };
        in_order + &line(&b.domain, b.https_port, b.quic_port)
    }

    /// Registers a person whose client tries org-a's nodes in this order.
    async fn person(&self, handle: &str, first: First) -> Member {
        let folder = self.network.folder();
        fs::write(folder.host_table(), self.hosts(first)).unwrap();
        Member::register(folder, &handle.parse().unwrap())
            .await
            .unwrap()
    }
}

impl Second {
    fn of(network: &Network) -> Self {
        let domain = network.plan().servers[0].domain();
        let folder = network.folder();
        let data = folder.server(&domain).join("second");
        DirBuilder::new().mode(0o700).create(&data).unwrap();
        for file in ["federation.key", "next-federation.key", "key-document-0"] {
            fs::copy(folder.server_data(&domain).join(file), data.join(file)).unwrap();
        }
        let (https, admin, quic) = (free_tcp(), free_tcp(), free_udp());
        let text = fs::read_to_string(folder.server_config(&domain)).unwrap();
        let mut settings: toml::Table = text.parse().unwrap();
        settings.insert("data_dir".to_owned(), data.to_str().unwrap().into());
        let mut listen = toml::Table::new();
        for (name, address) in [("https", https), ("admin", admin), ("quic", quic)] {
            listen.insert(name.to_owned(), address.to_string().into());
        }
        settings.insert("listen".to_owned(), listen.into());
        let node = toml::Table::from_iter([("name".to_owned(), "second".into())]);
        settings.insert("node".to_owned(), node.into());
        let config = folder.server(&domain).join("second.toml");
        fs::write(&config, settings.to_string()).unwrap();
        Self {
            config,
            https: https.port(),
            quic: quic.port(),
            process: None,
        }
    }

    async fn start(&mut self, network: &Network) {
        let program = &network.binaries().homeserver;
        let mut serving = command(program, "serve", &self.config);
        serving.stdout(Stdio::null()).kill_on_drop(true);
        self.process = Some(serving.spawn().unwrap());
        let begun = Instant::now();
        loop {
            let mut health = command(program, "health", &self.config);
            if health.output().await.unwrap().status.success() {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "the second node is not ready");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A command of the program, with no setting but those of the file.
fn command(program: &Path, name: &str, config: &Path) -> Command {
    let mut command = Command::new(program);
    for (variable, _) in std::env::vars().filter(|(name, _)| name.starts_with("ENTENTE_")) {
        command.env_remove(variable);
    }
    command.arg(name).arg("--config").arg(config);
    command
}

fn free_tcp() -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap()
}

fn free_udp() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap()
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
    stage.start().await;
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
    stage.network.kill(0).await.unwrap();
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
