//! Real server processes: devices log in, and what one server owes another arrives exactly once,
//! whoever is killed meanwhile.

mod network;
mod nodes;

use std::collections::BTreeSet;

use entente_groups::MessageId;
use entente_protocol::call::{
    ClientRequest, ClientResponse, PeerReach, SealedInvite, ServerStatus,
};
use entente_protocol::fault::FaultCode;
use entente_protocol::flow::{DeviceItem, SyncEvent, SyncRequest};
use entente_testnet_postgres::Postgres;
use entente_transport::{Connection, FlowReceiver, FlowSender};
use network::{Network, PATIENCE, Person, Server, now, refusal};
use tokio::time::timeout;

/// A device's sync flow, and what has come by it.
struct Inbox {
    requests: FlowSender<SyncRequest>,
    events: FlowReceiver<SyncEvent>,
    last: u64,
}

impl Inbox {
    async fn open(connection: &Connection, queue_after: u64) -> Self {
        let (mut requests, events) = connection.open_sync().await.expect("a flow");
        let open = SyncRequest::Open {
            cursors: Vec::new(),
            queue_after,
        };
        requests.send(&open).await.expect("sent");
        Self {
            requests,
            events,
            last: queue_after,
        }
    }

    /// The ids of the next invitations.
    async fn invites(&mut self, count: usize) -> Vec<u64> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let event = timeout(PATIENCE, self.events.next()).await;
            let event = event.unwrap_or_else(|_| panic!("{} of {count} came", ids.len()));
            match event.expect("the flow holds").expect("the flow goes on") {
                SyncEvent::Queued {
                    number,
                    item: DeviceItem::Invite(invite),
                    ..
                } => {
                    assert!(number > self.last, "numbers ascend");
                    self.last = number;
                    ids.push(u64::from_be_bytes(
                        invite.message_id.0[8..].try_into().expect("8 bytes"),
                    ));
                }
                SyncEvent::CaughtUp => {}
                other => panic!("{other:?}"),
            }
        }
        ids
    }

    async fn is_empty(&mut self) {
        let event = timeout(PATIENCE, self.events.next())
            .await
            .expect("in time");
        assert_eq!(event.expect("holds"), Some(SyncEvent::CaughtUp));
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

async fn status(connection: &Connection) -> ServerStatus {
    match connection.call(&ClientRequest::Status).await {
        Ok(ClientResponse::Status(status)) => status,
        other => panic!("{other:?}"),
    }
}

async fn pair() -> (Server, Server) {
    let mut network = Network::new();
    let (mut a, mut b) = (network.add("org-a.test"), network.add("org-b.test"));
    a.start();
    b.start();
    (a, b)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_logged_in_device_is_served() {
    let (a, b) = pair().await;
    let (alice, connection) = a.join("alice").await;
    assert_eq!(status(&connection).await.server, a.did);
    let stranger = a.connect().await;
    let answer = stranger.call(&ClientRequest::Status).await;
    assert_eq!(refusal(answer), FaultCode::NotAuthenticated);
    let unknown = Person::new("alice", &a.did);
    let answer = unknown.login(&stranger, &a.did, now()).await;
    assert_eq!(refusal(answer), FaultCode::AuthenticationFailed);
    let late = now().before(24 * 3_600_000);
    let answer = alice.login(&stranger, &a.did, late).await;
    assert_eq!(refusal(answer), FaultCode::AuthenticationFailed);
    let answer = alice.login(&stranger, &b.did, now()).await;
    assert_eq!(
        refusal(answer),
        FaultCode::AuthenticationFailed,
        "for another server"
    );
    let refused = match stranger.open_sync().await {
        Err(_) => true,
        Ok((_, mut events)) => !matches!(events.next().await, Ok(Some(_))),
    };
    assert!(refused, "no flow without a login");
    let taken = Person::new("alice", &a.did);
    let request = ClientRequest::Register(entente_protocol::call::Register {
        claim: taken.claim.clone(),
        token: None,
    });
    assert_eq!(
        refusal(stranger.call(&request).await),
        FaultCode::HandleTaken
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_data_is_refused_and_the_first_stops_cleanly() {
    let (mut a, _b) = pair().await;
    let second = a.command("serve").output().expect("runs");
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(
        !second.status.success() && text.contains("another process"),
        "{text}"
    );
    a.stop();
    a.start();
    a.join("alice").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invitations_cross_servers_and_are_forgotten_once_acknowledged() {
    let (a, b) = pair().await;
    let (_alice, from) = a.join("alice").await;
    let (bob, to) = b.join("bob").await;
    let mut inbox = Inbox::open(&to, 0).await;
    for id in 1..=100 {
        from.call(&invite(&bob, &b, id)).await.expect("taken");
    }
    assert_eq!(inbox.invites(100).await, (1..=100).collect::<Vec<_>>());
    let ack = SyncRequest::Ack {
        cursors: Vec::new(),
        queue: inbox.last,
    };
    inbox.requests.send(&ack).await.expect("sent");
    from.call(&invite(&bob, &b, 101)).await.expect("taken");
    assert_eq!(inbox.invites(1).await, [101]);
    let again = b.login(&bob).await;
    assert_eq!(
        Inbox::open(&again, 0).await.invites(1).await,
        [101],
        "the others are forgotten"
    );
    Inbox::open(&again, inbox.last).await.is_empty().await;
    let peers = status(&from).await.peers;
    assert_eq!(peers[0].reach, PeerReach::Connected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_owed_to_a_server_that_is_down_arrives_soon_after_its_return() {
    let (a, mut b) = pair().await;
    let (_alice, from) = a.join("alice").await;
    let (bob, _to) = b.join("bob").await;
    b.kill();
    for id in 1..=20 {
        from.call(&invite(&bob, &b, id)).await.expect("taken");
    }
    let away = async {
        loop {
            let peers = status(&from).await.peers;
            if let PeerReach::Unreachable { .. } = peers[0].reach {
                return peers[0].owed;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    assert_eq!(timeout(PATIENCE, away).await.expect("noticed"), 20);
    b.start();
    let back = std::time::Instant::now();
    let to = b.login(&bob).await;
    let ids = Inbox::open(&to, 0).await.invites(20).await;
    assert_eq!(ids, (1..=20).collect::<Vec<_>>());
    assert!(back.elapsed().as_secs() < 5, "took {:?}", back.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a7_another_chain_of_keys_is_refused_until_its_trust_is_reset() {
    let mut network = Network::new();
    let (mut a, mut b) = (network.add("org-a.test"), network.add("org-b.test"));
    a.start();
    b.start();
    let (alice, from) = a.join("alice").await;
    let (bob, to) = b.join("bob").await;
    from.call(&invite(&bob, &b, 1)).await.expect("taken");
    assert_eq!(Inbox::open(&to, 0).await.invites(1).await, [1]);
    let pinned = a.peer_trust("show", "org-b.test");
    assert!(pinned.status.success(), "pinned at first contact");

    a.stop();
    let mut b = network.set_up_anew(b);
    b.start();
    a.start();
    let (bob, to) = b.join("bob").await;
    let from = a.login(&alice).await;
    from.call(&invite(&bob, &b, 2)).await.expect("stored");
    let refused = async {
        loop {
            let peers = status(&from).await.peers;
            if let PeerReach::Unreachable { .. } = peers[0].reach {
                return peers[0].owed;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    assert_eq!(timeout(PATIENCE, refused).await.expect("refused"), 1);
    assert_eq!(
        a.peer_trust("show", "org-b.test").stdout,
        pinned.stdout,
        "the pin outlives a restart and stands"
    );

    let reset = a.peer_trust("reset", "org-b.test");
    assert!(reset.status.success(), "{reset:?}");
    assert_eq!(Inbox::open(&to, 0).await.invites(1).await, [2]);
    assert_ne!(a.peer_trust("show", "org-b.test").stdout, pinned.stdout);
}

/// Which of two servers is killed while invitations go from the first to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Killed {
    Sender,
    Receiver,
}

/// Sends invitations in rounds, in the middle of each of which a server is killed. Returns the ids whose
/// acceptance was answered, and those that came.
async fn rounds(killed: Killed, (mut a, mut b): (Server, Server)) -> (BTreeSet<u64>, Vec<u64>) {
    const ROUND: usize = 200;
    let (alice, mut from) = a.join("alice").await;
    let (bob, _) = b.join("bob").await;
    let mut taken = BTreeSet::new();
    for round in 0..4 {
        let mut calls = tokio::task::JoinSet::new();
        for id in round * 1_000..round * 1_000 + ROUND as u64 {
            let (connection, request) = (from.clone(), invite(&bob, &b, id));
            calls.spawn(async move { connection.call(&request).await.map(|_| id) });
        }
        while calls.len() > ROUND / 2 {
            let answer = calls.join_next().await.expect("half are left");
            taken.extend(answer.expect("runs"));
        }
        match killed {
            Killed::Sender => {
                a.kill();
                calls.abort_all();
                a.start();
                from = a.login(&alice).await;
            }
            Killed::Receiver => {
                b.kill();
                taken.extend(calls.join_all().await.into_iter().flatten());
                b.start();
            }
        }
    }
    from.call(&invite(&bob, &b, 9_999)).await.expect("taken");
    let to = b.login(&bob).await;
    let mut inbox = Inbox::open(&to, 0).await;
    let mut came = Vec::new();
    while came.last() != Some(&9_999) {
        came.extend(inbox.invites(1).await);
    }
    (taken, came)
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_nothing_is_lost_or_doubled_when_the_receiver_is_killed() {
    let (taken, came) = rounds(Killed::Receiver, pair().await).await;
    let distinct: BTreeSet<u64> = came.iter().copied().collect();
    assert_eq!(distinct.len(), came.len(), "nothing twice");
    assert_eq!(taken.difference(&distinct).count(), 0, "nothing lost");
}

/// A sender that was killed before it could note an acknowledgement sends those items once more, under
/// the same ids, by which their readers know them.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_sender_is_killed() {
    let (taken, came) = rounds(Killed::Sender, pair().await).await;
    let distinct: BTreeSet<u64> = came.iter().copied().collect();
    assert_eq!(taken.difference(&distinct).count(), 0, "nothing lost");
}

/// Both servers keep their rows on one Postgres server, each in a database of its own.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_on_postgres_when_the_receiver_is_killed() {
    let postgres = Postgres::shared().expect("a Postgres");
    let mut network = Network::new();
    let mut on_postgres = |domain| {
        let mut server = network.add(domain);
        let database = postgres.database().expect("a database");
        server.set("ENTENTE_STORE_KIND", "postgres");
        server.set("ENTENTE_STORE_URL", &postgres.url(&database));
        server
    };
    let (mut a, mut b) = (on_postgres("org-a.test"), on_postgres("org-b.test"));
    a.start();
    b.start();
    let (taken, came) = rounds(Killed::Receiver, (a, b)).await;
    let distinct: BTreeSet<u64> = came.iter().copied().collect();
    assert_eq!(distinct.len(), came.len(), "nothing twice");
    assert_eq!(taken.difference(&distinct).count(), 0, "nothing lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_the_policy_denies_gets_no_link() {
    let mut network = Network::new();
    let (mut a, mut b) = (network.add("org-a.test"), network.add("org-b.test"));
    b.set("ENTENTE_FEDERATION_POLICY", "deny");
    b.set("ENTENTE_FEDERATION_SERVERS", "org-a.test");
    a.start();
    b.start();
    let (_alice, from) = a.join("alice").await;
    let (bob, to) = b.join("bob").await;
    from.call(&invite(&bob, &b, 1)).await.expect("stored here");
    let refused = async {
        while !matches!(
            status(&from).await.peers[0].reach,
            PeerReach::Unreachable { .. }
        ) {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, refused).await.expect("noticed");
    Inbox::open(&to, 0).await.is_empty().await;
}
