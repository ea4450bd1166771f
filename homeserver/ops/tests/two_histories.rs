//! A hub that shows two histories, or leaves entries out, to servers that compare what they have.

use entente_groups::{Epoch, LeafIndex, MemberInfo, MessageId, Role, RoomId, RosterDelta};
use entente_homeserver_core::Change;
use entente_homeserver_core::register::RegistrationPolicy;
use entente_homeserver_core::rows::{DeviceRow, MemberRow, PendingRow, RoomRow};
use entente_homeserver_ops::memory::MemoryStore;
use entente_homeserver_ops::read::heads::{
    Compared, HubKeys, UnsignedEnd, compare, signed_part, to_show, unsigned_end,
};
use entente_homeserver_ops::read::pull::pull;
use entente_homeserver_ops::{Answer, Command, Here, Page, Store, execute};
use entente_identity::{AccountDid, DeviceId, ServerDid, SigningKey, UnixMillis, encode};
use entente_protocol::call::Pull;
use entente_protocol::checkpoint::attest;
use entente_protocol::entry::{
    CommitBody, Entry, EntryHash, EntryHeader, EntryKind, Head, Seq, Term,
};
use entente_protocol::fault::FaultCode;
use entente_protocol::flow::{DeviceItem, Submission};
use entente_protocol::relay::{Batch, Item, SubmissionRefusal};
use futures::executor::block_on;

const ROOM: RoomId = RoomId([7; 32]);
const NOW: UnixMillis = UnixMillis(1_000_000);

fn server(name: &str) -> ServerDid {
    format!("did:web:{name}.example").parse().expect("a DID")
}

fn hub() -> ServerDid {
    server("hub")
}

fn hub_key() -> SigningKey {
    SigningKey::from_seed(&[31; 32])
}

fn keys() -> HubKeys {
    HubKeys::from([(hub(), vec![hub_key().public()])])
}

fn account(n: u8) -> AccountDid {
    AccountDid::new(SigningKey::from_seed(&[n; 32]).public())
}

/// One entry after `head`; `body` tells histories apart. The hub signs it as a head if asked to.
fn entry(head: &Head, body: u8, signed: bool) -> Entry {
    let header = EntryHeader {
        room: ROOM,
        term: Term::FIRST,
        seq: head.seq.next(),
        epoch: Epoch(1),
        kind: EntryKind::Application,
        origin: hub(),
        sender: LeafIndex(0),
        message_id: MessageId([body; 16]),
        prev_hash: head.hash,
        body_hash: Entry::body_hash(&[body]),
        time: NOW,
    };
    let heads = [(ROOM, header.head())];
    let attestation = attest(&heads, &hub(), "fed-1", &hub_key(), NOW);
    Entry {
        header,
        body: vec![body].into(),
        attestation: attestation.into_iter().next().filter(|_| signed),
    }
}

/// A log of these bodies; those that are negative are not signed as heads.
fn log(bodies: &[i8]) -> Vec<Entry> {
    let mut head = start();
    let mut entries = Vec::new();
    for body in bodies {
        let next = entry(&head, body.unsigned_abs(), *body > 0);
        head = next.header.head();
        entries.push(next);
    }
    entries
}

fn start() -> Head {
    Head {
        term: Term::FIRST,
        seq: Seq(0),
        hash: EntryHash::default(),
    }
}

/// A follower with one local member; the other two followers have one each too.
struct Follower {
    me: ServerDid,
    here: Here,
    store: MemoryStore,
}

impl Follower {
    fn new(n: u8, entries: &[Entry]) -> Self {
        let me = server(&format!("follower-{n}"));
        let head = entries.last().map_or(start(), |entry| entry.header.head());
        let mut changes = vec![
            Change::PutRoom(RoomRow {
                room: ROOM,
                hub: hub(),
                head,
                epoch: Epoch(1),
                delivered: Seq(0),
                pending: Vec::new(),
                followers: Vec::new(),
            }),
            Change::PutDevice(DeviceRow {
                account: account(n),
                device: DeviceId([n; 16]),
                last_queued: 0,
            }),
        ];
        changes.extend((1..=3).map(|m| {
            Change::PutMember(MemberRow {
                room: ROOM,
                account: account(m),
                device: DeviceId([m; 16]),
                leaf: LeafIndex(u32::from(m)),
                home: server(&format!("follower-{m}")),
                joined: Seq(1),
                left: None,
            })
        }));
        changes.extend(entries.iter().cloned().map(Change::AppendEntry));
        let store = MemoryStore::default();
        let here = Here {
            me: me.clone(),
            key_id: "fed-1".to_owned(),
            key: SigningKey::from_seed(&[40 + n; 32]),
            registration: RegistrationPolicy::Open,
        };
        let follower = Self { me, here, store };
        follower.write(changes);
        follower
    }

    /// Shows its heads to another, which compares them with its own log.
    fn show_to(&self, other: &Self) -> Compared {
        block_on(async {
            let mut read = self.store.read().await.expect("a view");
            let shown = to_show(&mut *read, &self.me, [ROOM]).await.expect("read");
            let heads = shown.get(&other.me).cloned().unwrap_or_default();
            let mut read = other.store.read().await.expect("a view");
            let sides = (&other.me, &self.me);
            compare(&mut *read, sides, &heads, &keys())
                .await
                .expect("compared")
        })
    }

    fn run(&self, command: Command) -> Result<Answer, entente_protocol::fault::Fault> {
        let done = block_on(execute(&self.store, &self.here, vec![command], NOW));
        done.answers.into_iter().next().expect("an answer")
    }

    /// Freezes what a comparison proved.
    fn act(&self, compared: Compared) {
        for proof in compared.proofs {
            let shown = proof.verify().expect("a proof");
            let proof = Box::new(proof);
            let done = self.run(Command::Freeze { proof, shown });
            assert_eq!(done, Ok(Answer::Done));
        }
    }

    fn receive(&self, entry: Entry) {
        self.hand((&hub(), &hub_key()), &Item::Entry(entry));
    }

    /// Another server hands an item over.
    fn hand(&self, (from, key): (&ServerDid, &SigningKey), item: &Item) {
        let peer = block_on(async {
            let mut read = self.store.read().await.expect("a view");
            read.peer(from).await.expect("read")
        });
        let first = peer.map_or(1, |peer| peer.incoming.last + 1);
        let greeted = Command::Greeted {
            peer: from.clone(),
            stream_epoch: 1,
            begins_after: 0,
        };
        self.run(greeted).expect("greeted");
        let signer = ("fed-1", key, NOW);
        let items = vec![item.to_bytes()];
        let batch = Batch::sign(from, &self.me, (1, first), items, signer);
        let batch = batch.verify(from, &self.me, &key.public()).expect("signed");
        self.run(Command::Receive(batch)).expect("received");
    }

    fn write(&self, changes: Vec<Change>) {
        block_on(async {
            let mut tx = self.store.begin().await.expect("begun");
            tx.apply(changes).await.expect("applied");
            tx.commit().await.expect("committed");
        });
    }

    /// What another follower is given that asks for everything.
    fn give_all_to(&self, other: &Self) -> Vec<u64> {
        let request = Pull {
            room: ROOM,
            after: start(),
            until: Seq(u64::MAX),
        };
        let given = block_on(async {
            let mut read = self.store.read().await.expect("a view");
            pull(&mut *read, &other.me, &request).await
        });
        let given = given.expect("it has a member");
        given.iter().map(|entry| entry.header.seq.0).collect()
    }

    fn head(&self) -> Seq {
        block_on(async {
            let mut read = self.store.read().await.expect("a view");
            read.room(&ROOM)
                .await
                .expect("read")
                .expect("a room")
                .head
                .seq
        })
    }

    fn proofs_for(&self, n: u8) -> usize {
        block_on(async {
            let mut read = self.store.read().await.expect("a view");
            let page = Page {
                items: 10,
                bytes: usize::MAX,
            };
            let queue = read.queued(&account(n), &DeviceId([n; 16]), 0, page).await;
            let queue = queue.expect("read");
            let proofs = queue
                .iter()
                .filter(|row| matches!(row.item, DeviceItem::Equivocation(_)));
            proofs.count()
        })
    }
}

#[test]
fn c2_two_histories_are_noticed_in_one_exchange_and_freeze_the_room() {
    let one = Follower::new(1, &log(&[1, 2, 3, 4]));
    // The other history differs from position 3 on, and only its end is signed.
    let other = Follower::new(2, &log(&[1, 2, -8, -9, 10]));
    let noticed = one.show_to(&other);
    assert_eq!(noticed.proofs.len(), 1, "who is shown notices");
    assert_eq!(
        noticed.reply.proofs, noticed.proofs,
        "and hands the proof back"
    );
    let shown = noticed.proofs[0].verify().expect("a proof");
    assert_eq!((shown.room, shown.seq), (ROOM, Seq(4)));
    one.act(noticed.clone());
    other.act(noticed);
    for (n, follower) in [(1, &one), (2, &other)] {
        assert_eq!(follower.proofs_for(n), 1, "its members get the proof");
        let before = follower.head();
        let head = log(&[1, 2, 3, 4])[3].header.head();
        follower.receive(entry(&head, 5, true));
        assert_eq!(follower.head(), before, "the hub is not followed any more");
        let submission = Submission {
            room: ROOM,
            message_id: MessageId([99; 16]),
            epoch: Epoch(1),
            ciphertext: vec![1].into(),
        };
        let sender = (account(n), DeviceId([n; 16]));
        let refused = follower.run(Command::Submit { sender, submission });
        assert_eq!(refused.expect_err("frozen").code, FaultCode::RoomFrozen);
    }
    // A third server learns of it from either, whatever it has itself.
    let third = Follower::new(3, &log(&[1]));
    let told = third.show_to(&one);
    assert_eq!(told.reply.proofs.len(), 1);
}

#[test]
fn c2_a_member_server_cannot_forge_a_second_history() {
    let honest = Follower::new(1, &log(&[1, 2, 3]));
    let mut forged = log(&[1, 2, 8]);
    let signer = SigningKey::from_seed(&[66; 32]);
    let last = forged.last_mut().expect("an entry");
    let heads = [(ROOM, last.header.head())];
    let attestation = attest(&heads, &hub(), "fed-1", &signer, NOW);
    last.attestation = attestation.into_iter().next();
    let liar = Follower::new(2, &forged);
    assert_eq!(liar.show_to(&honest), Compared::default());
    let unsigned = Follower::new(2, &log(&[-1, -2, -8]));
    assert_eq!(unsigned.show_to(&honest), Compared::default());
}

#[test]
fn c2_an_end_that_the_hub_does_not_sign_is_seen() {
    let check = |bodies: &[i8], expect: Option<(u64, u64)>| {
        let follower = Follower::new(1, &log(bodies));
        let end = block_on(async {
            let mut read = follower.store.read().await.expect("a view");
            unsigned_end(&mut *read, &follower.me, &ROOM).await
        });
        let end = end.expect("read");
        let expect = expect.map(|(last, signed)| {
            let (last, signed) = (Seq(last), Seq(signed));
            (hub(), UnsignedEnd { last, signed })
        });
        assert_eq!(end, expect, "{bodies:?}");
    };
    check(&[1, 2, 3], None);
    check(&[-1, -2, 3], None);
    check(&[1, 2, -3, -4], Some((4, 2)));
    check(&[-1, -2], Some((2, 0)));
    // At the hub itself there is nothing to wait for.
    let hub_itself = Follower {
        me: hub(),
        ..Follower::new(1, &log(&[-1]))
    };
    let end = block_on(async {
        let mut read = hub_itself.store.read().await.expect("a view");
        unsigned_end(&mut *read, &hub_itself.me, &ROOM).await
    });
    assert_eq!(end, Ok(None));
}

#[test]
fn c2_nothing_is_said_to_a_server_without_members_in_the_room() {
    let one = Follower::new(1, &log(&[1, 2, 3]));
    let outsider = Follower {
        me: server("outsider"),
        ..Follower::new(2, &log(&[1, 2, 8]))
    };
    let compared = block_on(async {
        let mut read = outsider.store.read().await.expect("a view");
        let head = read
            .last_attested(&ROOM)
            .await
            .expect("read")
            .expect("signed");
        let mut read = one.store.read().await.expect("a view");
        let sides = (&one.me, &outsider.me);
        compare(&mut *read, sides, &[head], &keys()).await
    });
    assert_eq!(compared, Ok(Compared::default()));
}

#[test]
fn c3_an_entry_that_the_hub_leaves_out_stalls_and_is_pulled_from_another_follower() {
    let whole = log(&[1, 2, 3, 4, -5]);
    let one = Follower::new(1, &whole);
    let other = Follower::new(2, &whole[..2]);
    // The hub skips position 3: what follows is parked.
    other.receive(whole[3].clone());
    assert_eq!(other.head(), Seq(2));
    // Even without anything from the hub, an exchange of heads shows that the log goes on.
    assert_eq!(one.show_to(&other).behind, [ROOM]);
    let room = block_on(async {
        let mut read = other.store.read().await.expect("a view");
        read.room(&ROOM).await.expect("read").expect("a room")
    });
    let request = Pull {
        room: ROOM,
        after: room.head,
        until: Seq(u64::MAX),
    };
    let given = block_on(async {
        let mut read = one.store.read().await.expect("a view");
        pull(&mut *read, &other.me, &request).await
    });
    let given = given.expect("a follower gives what it has");
    assert_eq!(given.len(), 3);
    // What the hub did not sign for is not taken from anybody else.
    let entries = signed_part(&room, given.clone(), &keys());
    assert_eq!(entries.len(), 2);
    let nothing = signed_part(&room, given, &HubKeys::new());
    assert!(nothing.is_empty(), "without the hub's key nothing counts");
    let repair = Command::Repair {
        room: ROOM,
        from: hub(),
        entries,
    };
    assert!(matches!(other.run(repair), Ok(Answer::Repaired(_))));
    assert_eq!(other.head(), Seq(4));
}

#[test]
fn c3_a_gap_that_nobody_can_fill_stays_a_gap() {
    let whole = log(&[1, 2, 3, 4]);
    let other = Follower::new(2, &whole[..2]);
    let room = block_on(async {
        let mut read = other.store.read().await.expect("a view");
        read.room(&ROOM).await.expect("read").expect("a room")
    });
    // Entries that do not extend the log here are no repair, whoever signed them.
    let skipped = signed_part(&room, whole[3..].to_vec(), &keys());
    assert!(skipped.is_empty());
}

#[test]
fn c2_a_head_that_the_hub_did_not_sign_is_not_taken_as_signed() {
    let whole = log(&[1, 2, 3]);
    let one = Follower::new(1, &whole[..2]);
    let mut forged = whole[2].clone();
    let signer = SigningKey::from_seed(&[66; 32]);
    let heads = [(ROOM, forged.header.head())];
    let attestation = attest(&heads, &hub(), "fed-1", &signer, NOW);
    forged.attestation = attestation.into_iter().next();
    one.receive(forged);
    assert_eq!(one.head(), Seq(2), "refused alone");
    one.receive(whole[2].clone());
    assert_eq!(one.head(), Seq(3));
}

#[test]
fn a4_two_signed_entries_for_one_position_are_kept_as_proof_and_freeze_the_room() {
    let one = Follower::new(1, &log(&[1, 2, 3]));
    let second = log(&[1, 2, 8]).remove(2);
    one.receive(second.clone());
    assert_eq!(one.head(), Seq(3));
    assert_eq!(one.proofs_for(1), 1);
    one.receive(second);
    assert_eq!(one.proofs_for(1), 1, "once");
    // What was shown before is shown again after a restart of the hub: that is no second history.
    let honest = Follower::new(2, &log(&[1, 2, 3]));
    honest.receive(log(&[1, 2, 3]).remove(1));
    assert_eq!(honest.proofs_for(2), 0);
    // Without its signature nothing is proved, and nothing is replaced.
    honest.receive(log(&[1, 2, -8]).remove(2));
    assert_eq!(honest.proofs_for(2), 0);
    let next = entry(&log(&[1, 2, 3])[2].header.head(), 4, true);
    honest.receive(next);
    assert_eq!(honest.head(), Seq(4), "the room goes on");
}

#[test]
fn f5_only_its_hub_hands_over_a_rooms_entries_also_when_nobody_is_in_it_any_more() {
    let one = Follower::new(1, &log(&[1, 2, 3]));
    one.write(vec![Change::EndMember {
        room: ROOM,
        account: account(1),
        device: DeviceId([1; 16]),
        left: Seq(3),
    }]);
    let back = MemberInfo {
        account: account(1),
        device: DeviceId([1; 16]),
        device_key: hub_key().public(),
        list_version: 1,
        leaf: LeafIndex(9),
        home: one.me.clone(),
        role: Role::Member,
    };
    let body = encode(&CommitBody {
        commit: vec![1].into(),
        roster: RosterDelta {
            joined: vec![back],
            left: Vec::new(),
        },
    });
    let mut forged = entry(&log(&[1, 2, 3, 4])[3].header.head(), 5, false);
    forged.header.kind = EntryKind::Commit;
    forged.header.body_hash = Entry::body_hash(&body);
    forged.body = body.into();
    let (trudy, key) = (server("trudy"), SigningKey::from_seed(&[77; 32]));
    one.hand((&trudy, &key), &Item::Entry(forged.clone()));
    assert_eq!(one.head(), Seq(3), "another server adds nothing");
    one.receive(forged);
    assert_eq!(one.head(), Seq(5), "the hub brings somebody back in");
}

#[test]
fn f5_only_the_hub_says_that_a_message_was_not_ordered() {
    let one = Follower::new(1, &log(&[1, 2, 3]));
    let submission = Submission {
        room: ROOM,
        message_id: MessageId([55; 16]),
        epoch: Epoch(1),
        ciphertext: vec![1].into(),
    };
    one.write(vec![Change::PutPending(PendingRow {
        account: account(1),
        device: DeviceId([1; 16]),
        submission,
        stored: NOW,
    })]);
    let waits = || {
        block_on(async {
            let mut read = one.store.read().await.expect("a view");
            let found = read.pending(&ROOM, &MessageId([55; 16])).await;
            found.expect("read").is_some()
        })
    };
    let refused = Item::Refusal(SubmissionRefusal {
        room: ROOM,
        message_id: MessageId([55; 16]),
        code: FaultCode::NotMember as u16,
    });
    let (trudy, key) = (server("trudy"), SigningKey::from_seed(&[77; 32]));
    one.hand((&trudy, &key), &refused);
    assert!(waits(), "it is not lost by another's word");
    one.hand((&hub(), &hub_key()), &refused);
    assert!(!waits());
}

#[test]
fn f7_who_asks_for_everything_gets_nothing_from_before_it_came_in() {
    let one = Follower::new(1, &log(&[1, 2, 3, 4]));
    let other = Follower::new(2, &[]);
    assert_eq!(one.give_all_to(&other), [1, 2, 3, 4]);
    one.write(vec![Change::PutMember(MemberRow {
        room: ROOM,
        account: account(2),
        device: DeviceId([2; 16]),
        leaf: LeafIndex(2),
        home: other.me.clone(),
        joined: Seq(3),
        left: None,
    })]);
    assert_eq!(one.give_all_to(&other), [3, 4]);
}
