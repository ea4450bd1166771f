//! Two nodes of one server, as real processes on one Postgres, and another organization's server: devices
//! and the other server may reach either node, and it does not matter which of them dies or stands still.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::network::{Network, PATIENCE, Person, Server, refusal};
use entente_groups::{MessageId, RoomId};
use entente_protocol::call::{ClientRequest, GroupInfoRequest, HubCall, RoomAccess, SealedInvite};
use entente_protocol::fault::FaultCode;
use entente_protocol::flow::{DeviceItem, SyncEvent, SyncRequest};
use entente_testnet_postgres::Postgres;
use entente_transport::{Connection, FlowReceiver, FlowSender};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// org-a with two nodes, and org-b with one.
struct World {
    a1: Server,
    a2: Server,
    b: Server,
    database: String,
    /// Dropped last.
    postgres: Arc<Postgres>,
}

/// A node's links as `admin nodes` shows them.
struct Link {
    holder: Option<String>,
    fence: u64,
}

impl World {
    async fn start() -> Self {
        let postgres = Postgres::shared().expect("a Postgres");
        let database = postgres.database().expect("a database");
        let mut network = Network::new();
        let mut a1 = network.add("org-a.test");
        a1.set("ENTENTE_STORE_KIND", "postgres");
        a1.set("ENTENTE_STORE_URL", &postgres.url(&database));
        let mut a2 = network.add_node(&a1, "a2");
        a1.set("ENTENTE_NODE_NAME", "a1");
        let mut b = network.add("org-b.test");
        a1.start();
        a2.start();
        b.start();
        Self {
            a1,
            a2,
            b,
            database,
            postgres,
        }
    }

    /// How org-a's link to org-b is.
    fn link(&self, asked: &Server) -> Option<Link> {
        let mut command = asked.command("admin nodes");
        let shown = command.arg("--json").output().expect("runs");
        assert!(shown.status.success(), "{shown:?}");
        let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("JSON");
        let link = shown["links"].as_array().expect("a list").first()?;
        Some(Link {
            holder: link["name"].as_str().map(ToOwned::to_owned),
            fence: link["fence"].as_u64().expect("a number"),
        })
    }

    fn holder(&self, asked: &Server) -> Option<String> {
        self.link(asked)?.holder
    }
}

/// A device's queue, as it comes.
struct Inbox {
    requests: FlowSender<SyncRequest>,
    events: FlowReceiver<SyncEvent>,
}

impl Inbox {
    async fn open(connection: &Connection) -> Self {
        let (mut requests, events) = connection.open_sync().await.expect("a flow");
        let open = SyncRequest::Open {
            cursors: Vec::new(),
            queue_after: 0,
        };
        requests.send(&open).await.expect("sent");
        Self { requests, events }
    }

    /// The next invitation.
    async fn next(&mut self) -> u64 {
        loop {
            let event = timeout(PATIENCE, self.events.next()).await;
            match event.expect("in time").expect("the flow holds") {
                Some(SyncEvent::Queued {
                    number,
                    item: DeviceItem::Invite(invite),
                    ..
                }) => {
                    // Only so many invitations of one server wait for a device.
                    if number % 50 == 0 {
                        self.acknowledge(number).await;
                    }
                    let id = invite.message_id.0[8..].try_into();
                    return u64::from_be_bytes(id.expect("8 bytes"));
                }
                Some(SyncEvent::CaughtUp) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn acknowledge(&mut self, queue: u64) {
        let cursors = Vec::new();
        let ack = SyncRequest::Ack { cursors, queue };
        self.requests.send(&ack).await.expect("sent");
    }

    /// All up to this one.
    async fn until(&mut self, last: u64) -> Vec<u64> {
        let mut came = Vec::new();
        while came.last() != Some(&last) {
            came.push(self.next().await);
        }
        came
    }
}

fn invite(to: &Person, home: &Server, id: u64) -> ClientRequest {
    let mut message_id = [0; 16];
    message_id[8..].copy_from_slice(&id.to_be_bytes());
    ClientRequest::Invite(SealedInvite {
        account: to.account,
        home: home.did.clone(),
        message_id: MessageId(message_id),
        sealed: vec![(to.device, vec![7; 64])],
    })
}

/// Everything that was answered came, and once.
fn check(taken: &BTreeSet<u64>, came: &[u64]) {
    let distinct: BTreeSet<u64> = came.iter().copied().collect();
    let lost = taken.difference(&distinct).count();
    let again = came.len() - distinct.len();
    eprintln!(
        "taken {}, came {}, again {again}, lost {lost}",
        taken.len(),
        came.len()
    );
    assert_eq!(lost, 0, "nothing lost");
    assert_eq!(again, 0, "nothing twice");
}

/// Hands invitations in, until told to stop; the ids that were taken.
async fn send_many(from: Connection, requests: Vec<(u64, ClientRequest)>) -> BTreeSet<u64> {
    let mut calls = JoinSet::new();
    for (id, request) in requests {
        let from = from.clone();
        calls.spawn(async move {
            // A node that was killed does not answer; what it did not answer does not count.
            let answer = timeout(Duration::from_secs(8), from.call(&request)).await;
            answer.ok()?.ok().map(|_| id)
        });
        sleep(Duration::from_millis(9)).await;
    }
    calls.join_all().await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_through_one_node_reaches_a_device_at_the_other_within_the_poll() {
    let world = World::start().await;
    let (_alice, from) = world.a1.join("alice").await;
    let (carol, at_a2) = world.a2.join("carol").await;
    let mut inbox = Inbox::open(&at_a2).await;
    let mut slowest = Duration::ZERO;
    for id in 1..=20 {
        let begun = Instant::now();
        let taken = from.call(&invite(&carol, &world.a1, id)).await;
        taken.expect("taken");
        assert_eq!(inbox.next().await, id);
        slowest = slowest.max(begun.elapsed());
    }
    eprintln!("slowest of 20 through the database: {slowest:?}");
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    // An account that was opened at one node logs in at the other.
    world.a1.login(&carol).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn either_node_hands_over_to_another_organization_and_takes_from_it() {
    let world = World::start().await;
    let (alice, at_a1) = world.a1.join("alice").await;
    let (carol, at_a2) = world.a2.join("carol").await;
    let (bob, at_b) = world.b.join("bob").await;
    let mut inbox = Inbox::open(&at_b).await;
    at_a1.call(&invite(&bob, &world.b, 1)).await.expect("taken");
    assert_eq!(inbox.next().await, 1);
    at_a2.call(&invite(&bob, &world.b, 2)).await.expect("taken");
    assert_eq!(inbox.next().await, 2);
    let (mut of_alice, mut of_carol) = (Inbox::open(&at_a1).await, Inbox::open(&at_a2).await);
    at_b.call(&invite(&alice, &world.a1, 3))
        .await
        .expect("taken");
    at_b.call(&invite(&carol, &world.a1, 4))
        .await
        .expect("taken");
    assert_eq!(of_alice.next().await, 3);
    assert_eq!(of_carol.next().await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_to_a_peer_goes_through_a_node_that_does_not_hold_the_link() {
    let world = World::start().await;
    let (_alice, at_a1) = world.a1.join("alice").await;
    let (_carol, at_a2) = world.a2.join("carol").await;
    let (bob, at_b) = world.b.join("bob").await;
    let mut inbox = Inbox::open(&at_b).await;
    at_a1.call(&invite(&bob, &world.b, 1)).await.expect("taken");
    assert_eq!(inbox.next().await, 1);
    let before = world.link(&world.a1).expect("a link");
    for connection in [&at_a1, &at_a2, &at_a1, &at_a2] {
        let ask = ClientRequest::GroupInfo(HubCall {
            hub: world.b.did.clone(),
            request: GroupInfoRequest {
                room: RoomId([7; 32]),
                access: RoomAccess::Member,
            },
        });
        // There is no such room; that is the other server's answer.
        let code = refusal(connection.call(&ask).await);
        assert_eq!(code, FaultCode::NoSuchRoom);
    }
    at_a1.call(&invite(&bob, &world.b, 2)).await.expect("taken");
    assert_eq!(inbox.next().await, 2);
    let after = world.link(&world.a1).expect("a link");
    assert_eq!((before.holder, before.fence), (after.holder, after.fence));
}

/// Runs traffic from both nodes while something happens to the node that holds the link. Gives how long
/// nothing came at the longest.
async fn traffic(
    world: &mut World,
    happens: impl FnOnce(&mut Server),
) -> (BTreeSet<u64>, Vec<u64>, Duration) {
    let (_alice, at_a1) = world.a1.join("alice").await;
    let (_carol, at_a2) = world.a2.join("carol").await;
    let (bob, at_b) = world.b.join("bob").await;
    at_a1.call(&invite(&bob, &world.b, 1)).await.expect("taken");
    let mut inbox = Inbox::open(&at_b).await;
    assert_eq!(inbox.next().await, 1);
    let first_holds = world.holder(&world.a2).as_deref() == Some("a1");
    // The node that lives hands in for longer than the links need to change hands.
    let requests = |base: u64, count: u64| {
        let ids = base..base + count;
        ids.map(|id| (id, invite(&bob, &world.b, id))).collect()
    };
    let counts = if first_holds {
        [300, 1_000]
    } else {
        [1_000, 300]
    };
    let sending = [
        (at_a1.clone(), requests(10_000, counts[0])),
        (at_a2.clone(), requests(20_000, counts[1])),
    ]
    .map(|(from, requests)| tokio::spawn(send_many(from, requests)));
    let reading = tokio::spawn(async move {
        let (mut came, mut longest, mut last) = (Vec::new(), Duration::ZERO, Instant::now());
        while came.last() != Some(&9_999) {
            came.push(inbox.next().await);
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
        (came, longest)
    });
    sleep(Duration::from_millis(700)).await;
    happens(if first_holds {
        &mut world.a1
    } else {
        &mut world.a2
    });
    let other = if first_holds { at_a2 } else { at_a1 };
    let mut taken = BTreeSet::new();
    for sent in sending {
        taken.extend(sent.await.expect("runs"));
    }
    other
        .call(&invite(&bob, &world.b, 9_999))
        .await
        .expect("taken");
    let (came, longest) = reading.await.expect("runs");
    (taken, came, longest)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_node_goes_on_when_the_one_that_holds_the_link_is_killed() {
    let mut world = World::start().await;
    let (taken, came, longest) = traffic(&mut world, Server::kill).await;
    eprintln!("longest silence at org-b: {longest:?}");
    check(&taken, &came);
    assert!(longest < Duration::from_secs(15), "{longest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_leaves_hands_its_links_over_at_once() {
    let mut world = World::start().await;
    let (taken, came, longest) = traffic(&mut world, Server::stop).await;
    eprintln!("longest silence at org-b: {longest:?}");
    check(&taken, &came);
    assert!(longest < Duration::from_secs(10), "{longest:?}");
}

/// The rows of a backup name the node that drove the link and its stream's epoch, in which org-b owns more
/// than the backup knows. What is numbered anew after it is new, and goes out.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_on_a_restored_backup_takes_no_new_item_for_one_that_the_peer_owns() {
    let mut world = World::start().await;
    let (_alice, at_a1) = world.a1.join("alice").await;
    let (carol, _) = world.a1.join("carol").await;
    let (bob, at_b) = world.b.join("bob").await;
    let mut inbox = Inbox::open(&at_b).await;
    world.a2.stop();
    for id in 1..=5 {
        at_a1
            .call(&invite(&bob, &world.b, id))
            .await
            .expect("taken");
    }
    inbox.until(5).await;
    let restored = world.postgres.restored_from(&world.database);
    let restored = world.postgres.url(&restored.expect("a backup"));
    for id in 6..=25 {
        at_a1
            .call(&invite(&bob, &world.b, id))
            .await
            .expect("taken");
    }
    inbox.until(25).await;
    world.a1.kill();
    world.a2.set("ENTENTE_STORE_URL", &restored);
    world.a2.start();
    let at_a2 = world.a2.login(&carol).await;
    // More new ones than org-b has of those after the backup, before the node of the backup is buried.
    let new = (101..=125).map(|id| (id, invite(&bob, &world.b, id)));
    let taken = send_many(at_a2.clone(), new.collect()).await;
    assert_eq!(taken.len(), 25);
    at_a2
        .call(&invite(&bob, &world.b, 126))
        .await
        .expect("taken");
    let came = BTreeSet::from_iter(inbox.until(126).await);
    assert_eq!(taken.difference(&came).count(), 0, "came: {came:?}");
}

/// The other node stands still, so that nobody but the one that leaves can have taken its row away.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_leaves_takes_its_row_with_it_and_is_not_waited_for() {
    let mut world = World::start().await;
    let (_alice, at_a1) = world.a1.join("alice").await;
    let (_carol, at_a2) = world.a2.join("carol").await;
    let (bob, at_b) = world.b.join("bob").await;
    let mut inbox = Inbox::open(&at_b).await;
    at_a1.call(&invite(&bob, &world.b, 1)).await.expect("taken");
    assert_eq!(inbox.next().await, 1);
    let first_holds = world.holder(&world.a2).as_deref() == Some("a1");
    let (held, other, through) = match first_holds {
        true => (&mut world.a1, &world.a2, at_a2),
        false => (&mut world.a2, &world.a1, at_a1),
    };
    other.signal("-STOP");
    held.stop();
    let left = world.link(&world.a1).expect("a link");
    other.signal("-CONT");
    assert_eq!(left.holder, None, "the row of the node that left is there");
    through
        .call(&invite(&bob, &world.b, 2))
        .await
        .expect("taken");
    assert_eq!(inbox.next().await, 2);
}

/// It stands still for longer than the others wait, comes back, and finds itself buried: what it still
/// believes to hold does no harm.
#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_stood_still_does_no_harm_when_it_comes_back() {
    let mut world = World::start().await;
    let (_alice, at_a1) = world.a1.join("alice").await;
    let (_carol, at_a2) = world.a2.join("carol").await;
    let (bob, at_b) = world.b.join("bob").await;
    let mut inbox = Inbox::open(&at_b).await;
    at_a1.call(&invite(&bob, &world.b, 1)).await.expect("taken");
    assert_eq!(inbox.next().await, 1);
    let before = world.link(&world.a1).expect("a link");
    let first_holds = before.holder.as_deref() == Some("a1");
    let (held, other, from, through) = match first_holds {
        true => (&world.a1, "a2", at_a1, at_a2),
        false => (&world.a2, "a1", at_a2, at_a1),
    };
    let mut taken = BTreeSet::from([1]);
    // What is on its way, or about to be, when the holder stops.
    let last = (301..=340).map(|id| (id, invite(&bob, &world.b, id)));
    taken.extend(send_many(from, last.collect()).await);
    let still = Instant::now();
    held.signal("-STOP");
    for id in 2..=50 {
        through
            .call(&invite(&bob, &world.b, id))
            .await
            .expect("taken");
        taken.insert(id);
    }
    let mut came = vec![1];
    came.extend(inbox.until(50).await);
    eprintln!(
        "the other node had taken over {:?} after the stop",
        still.elapsed()
    );
    let during = world.link(if first_holds { &world.a2 } else { &world.a1 });
    let during = during.expect("a link");
    assert_eq!(during.holder.as_deref(), Some(other));
    assert!(during.fence > before.fence);
    held.signal("-CONT");
    for id in 51..=250 {
        through
            .call(&invite(&bob, &world.b, id))
            .await
            .expect("taken");
        taken.insert(id);
        sleep(Duration::from_millis(10)).await;
    }
    came.extend(inbox.until(250).await);
    check(&taken, &came);
    let after = world.link(&world.a1).expect("a link");
    assert_eq!((after.holder, after.fence), (during.holder, during.fence));
    // The one that came back serves its devices as before.
    let back = held.join("dora").await.1;
    back.call(&invite(&bob, &world.b, 251))
        .await
        .expect("taken");
    assert_eq!(inbox.until(251).await, [251]);
    world.a1.stop();
    world.a2.stop();
}
