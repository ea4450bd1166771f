//! Servers and people in one process: real rules, operations and MLS, stores in memory, no network.
//!
//! What servers owe each other is carried over by [`World::deliver`], through signed batches as on the
//! wire. People read their rooms as their sync flow would show them.

use std::collections::BTreeMap;

use entente_groups::{
    Aad, KeyPackageOrder, KeyPackageUse, KeyPackages, LeafIdentity, Member, MessageId, Processed,
    RoomId, Suite,
};
use entente_homeserver_core::commit::Asker;
use entente_homeserver_core::create_room;
use entente_homeserver_core::links::Tenure;
use entente_homeserver_core::register::RegistrationPolicy;
use entente_homeserver_core::rows::NodeId;
use entente_homeserver_core::submit::Submitted;
use entente_homeserver_ops::memory::MemoryStore;
use entente_homeserver_ops::read::group::{Checked, check_commit, check_proposal, group_info};
use entente_homeserver_ops::read::{outbox, sync};
use entente_homeserver_ops::{Answer, Command, Here, Others, Store, execute};
use entente_identity::{
    AccountClaim, AccountDid, Device, DeviceId, DeviceRole, HomeRecord, HpkePublicKey, ServerDid,
    SigningKey, UnixMillis, certify_device, decode_exact, first_device_list,
};
use entente_protocol::call::{
    CommitRequest, CreateRoom, GroupInfoReply, GroupInfoRequest, Ordered, Proposal,
    PublishKeyPackages, Register, RoomAccess,
};
use entente_protocol::entry::{CommitBody, Entry, EntryKind, ProposalBody, Seq};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::flow::Submission;
use entente_protocol::limits::{KEY_PACKAGE_LIFETIME_MS, MAX_BATCH_ITEMS};
use entente_protocol::relay::{Batch, RelayReply};
use futures::executor::block_on;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

pub struct Server {
    pub store: MemoryStore,
    pub here: Here,
}

pub struct Person {
    pub account: AccountDid,
    pub device: DeviceId,
    pub key: SigningKey,
    pub identity: LeafIdentity,
    pub home: ServerDid,
    pub packages: KeyPackages,
}

/// A person's membership in the room under test, as its device would hold it.
pub struct Seat {
    pub member: Member,
    pub at: Seq,
    pub read: Vec<String>,
}

pub struct World {
    pub servers: BTreeMap<ServerDid, Server>,
    pub now: UnixMillis,
    pub rng: StdRng,
}

pub fn server(name: &str) -> ServerDid {
    format!("did:web:{name}.example").parse().expect("a DID")
}

impl World {
    pub fn new(names: &[&str]) -> Self {
        let mut world = Self {
            servers: BTreeMap::new(),
            now: UnixMillis(1_800_000_000_000),
            rng: StdRng::seed_from_u64(1),
        };
        for name in names {
            world.add_server(name);
        }
        world
    }

    pub fn add_server(&mut self, name: &str) {
        let here = Here {
            me: server(name),
            key_id: "fed-test".to_owned(),
            key: SigningKey::generate(&mut self.rng),
            registration: RegistrationPolicy::Open,
        };
        let store = MemoryStore::default();
        self.servers.insert(server(name), Server { store, here });
    }

    pub fn run(&mut self, at: &ServerDid, command: Command) -> Result<Answer, Fault> {
        let answers = self.run_all(at, vec![command]);
        answers.into_iter().next().expect("one answer")
    }

    /// Runs commands in one transaction.
    pub fn run_all(
        &mut self,
        at: &ServerDid,
        commands: Vec<Command>,
    ) -> Vec<Result<Answer, Fault>> {
        self.now = self.now.after(1);
        let Server { store, here } = &self.servers[at];
        block_on(execute(store, here, commands, self.now)).answers
    }

    pub fn message_id(&mut self) -> MessageId {
        let mut id = [0; 16];
        self.rng.fill_bytes(&mut id);
        MessageId(id)
    }

    pub fn register(&mut self, handle: &str) -> Person {
        let handle: entente_identity::Handle = handle.parse().expect("a handle");
        let root = SigningKey::generate(&mut self.rng);
        let key = SigningKey::generate(&mut self.rng);
        let mut id = [0; 16];
        self.rng.fill_bytes(&mut id);
        let device = Device {
            id: DeviceId(id),
            signature_key: key.public(),
            hpke_key: HpkePublicKey(id.repeat(2).try_into().expect("32 bytes")),
            role: DeviceRole::Manager,
        };
        let list = first_device_list(&root, vec![device.clone()], self.now);
        let body = list.claimed_body().expect("own list");
        let certificate = certify_device(&list, &body, &device, &root, self.now);
        let account = AccountDid::new(root.public());
        let claim = AccountClaim {
            account,
            device_list: list,
            signer_chain: vec![],
            home_record: HomeRecord::first(&root, handle.clone(), self.now),
        };
        let identity = LeafIdentity::new(account, vec![certificate], claim.home_record.clone());
        let home = ServerDid::new(handle.domain().clone());
        let register = Register { claim, token: None };
        let answer = self.run(&home, Command::Register(Box::new(register)));
        assert_eq!(answer, Ok(Answer::Done));
        Person {
            account,
            device: device.id,
            key,
            identity,
            home,
            packages: KeyPackages::new(),
        }
    }

    pub fn publish(&mut self, person: &mut Person, count: usize) {
        let order = KeyPackageOrder {
            count,
            suite: Suite::Classical,
            usage: KeyPackageUse::Once,
            now: self.now,
            lifetime_ms: KEY_PACKAGE_LIFETIME_MS,
        };
        let made = person
            .packages
            .generate(order, &person.identity, &person.key)
            .expect("KeyPackages");
        let request = PublishKeyPackages {
            packages: made.into_iter().map(|package| package.bytes).collect(),
        };
        let owner = (person.account, person.device);
        let answer = self.run(&person.home, Command::Publish { owner, request });
        let count = u32::try_from(count).expect("few");
        assert_eq!(answer, Ok(Answer::KeyPackages(count)));
    }

    pub fn found(&mut self, person: &Person) -> (RoomId, Seat) {
        let record = entente_groups::CreateRecord::new(
            person.account,
            person.home.clone(),
            Suite::Classical,
            self.now,
            &mut self.rng,
        )
        .sign(&person.key);
        let founding = Member::create(&record, &person.identity, &person.key).expect("a founding");
        let request = CreateRoom {
            record: record.clone(),
            message_id: self.message_id(),
            group_info: founding.group_info,
            tree: founding.tree,
        };
        let sender = (person.account, person.device);
        let checked = create_room::check(&person.home, sender, &request).expect("a good room");
        let answer = self.run(&person.home, Command::CreateRoom(Box::new(checked)));
        let Ok(Answer::Ordered(ordered)) = answer else {
            panic!("not founded: {answer:?}");
        };
        let seat = Seat {
            member: founding.member,
            at: ordered.at.seq,
            read: Vec::new(),
        };
        (entente_groups::room_id(&record), seat)
    }

    pub fn say(&mut self, person: &Person, seat: &mut Seat, text: &str) -> Result<Answer, Fault> {
        let (id, submission) = self.encrypted(person, seat, text);
        seat.read.push(format!("me {id}"));
        self.submit(person, submission)
    }

    pub fn encrypted(
        &mut self,
        person: &Person,
        seat: &mut Seat,
        text: &str,
    ) -> (MessageId, Submission) {
        let id = self.message_id();
        let aad = Aad::new(id, seat.at.0, [0; 32]);
        let epoch = seat.member.epoch();
        let ciphertext = seat
            .member
            .encrypt(text.as_bytes(), &aad, &person.key)
            .expect("encrypted");
        let submission = Submission {
            room: seat.member.room(),
            message_id: id,
            epoch,
            ciphertext: ciphertext.into(),
        };
        (id, submission)
    }

    pub fn submit(&mut self, person: &Person, submission: Submission) -> Result<Answer, Fault> {
        let sender = (person.account, person.device);
        self.run(&person.home, Command::Submit { sender, submission })
    }

    pub fn group_info(
        &mut self,
        hub: &ServerDid,
        person: &Person,
        room: RoomId,
        access: RoomAccess,
    ) -> Result<GroupInfoReply, Fault> {
        let asker = asker(person);
        let request = GroupInfoRequest { room, access };
        let mut read = block_on(self.servers[hub].store.read()).expect("a view");
        block_on(group_info(&mut *read, hub, &asker, &request, self.now))
    }

    pub fn commit(
        &mut self,
        hub: &ServerDid,
        person: &Person,
        request: CommitRequest,
    ) -> Result<Ordered, Fault> {
        self.now = self.now.after(1);
        let asker = asker(person);
        let mut read = block_on(self.servers[hub].store.read()).expect("a view");
        let checked = block_on(check_commit(&mut *read, hub, &asker, request, self.now))?;
        drop(read);
        match checked {
            Checked::Before(ordered) => Ok(ordered),
            Checked::Now(bundle) => {
                let origin = person.home.clone();
                match self.run(hub, Command::Commit { origin, bundle })? {
                    Answer::Ordered(ordered) => Ok(ordered),
                    other => panic!("unexpected {other:?}"),
                }
            }
        }
    }

    pub fn leave(
        &mut self,
        hub: &ServerDid,
        person: &Person,
        request: Proposal,
    ) -> Result<Answer, Fault> {
        let origin = person.home.clone();
        let mut read = block_on(self.servers[hub].store.read()).expect("a view");
        let checked = block_on(check_proposal(&mut *read, hub, &asker(person), request))?;
        drop(read);
        match checked {
            Checked::Before(ordered) => Ok(Answer::Ordered(ordered)),
            Checked::Now(proposal) => self.run(hub, Command::Propose { origin, proposal }),
        }
    }

    /// Carries over what servers owe each other until nobody owes anything.
    pub fn deliver(&mut self) {
        while self.deliver_once() {}
    }

    /// One round: every server hands one batch to every peer that it owes something.
    pub fn deliver_once(&mut self) -> bool {
        let names: Vec<ServerDid> = self.servers.keys().cloned().collect();
        let mut moved = false;
        for from in &names {
            for to in names.iter().filter(|to| *to != from) {
                moved |= self.hand_over(from, to);
            }
        }
        moved
    }

    fn hand_over(&mut self, from: &ServerDid, to: &ServerDid) -> bool {
        let origin = &self.servers[from];
        let mut read = block_on(origin.store.read()).expect("a view");
        let Some(row) = block_on(read.peer(to)).expect("a row") else {
            return false;
        };
        let link = block_on(read.link(to)).expect("a row");
        let run = outbox::next_run(&mut *read, to, row.acked, MAX_BATCH_ITEMS);
        let Some(run) = block_on(run).expect("a run") else {
            return false;
        };
        let signer = ("fed-test", &origin.here.key, self.now);
        let numbers = (row.stream_epoch, run.first);
        let batch = Batch::sign(from, to, numbers, run.items, signer);
        let key = origin.here.key.public();
        let batch = batch.verify(from, to, &key).expect("as signed");
        let greeted = Command::Greeted {
            peer: from.clone(),
            stream_epoch: row.stream_epoch,
            begins_after: row.acked,
        };
        self.run(to, greeted).expect("greeted");
        let answer = self.run(to, Command::Receive(batch));
        let Ok(Answer::Received(RelayReply::Ack { up_to, .. })) = answer else {
            panic!("not taken: {answer:?}");
        };
        let tenure = match link {
            Some(link) => Tenure {
                holder: link.holder,
                fence: link.fence,
            },
            None => self.take_link(from, to),
        };
        let acknowledge = Command::Acknowledge {
            peer: to.clone(),
            tenure,
            up_to,
        };
        assert_eq!(self.run(from, acknowledge), Ok(Answer::Done));
        true
    }

    /// The only node of a server begins to drive its link to a peer.
    fn take_link(&mut self, from: &ServerDid, to: &ServerDid) -> Tenure {
        let node = NodeId([1; 16]);
        let enter = Command::Enter {
            node,
            name: "only".to_owned(),
            others: Others::Gone,
        };
        assert_eq!(self.run(from, enter), Ok(Answer::Done));
        let take = Command::TakeLink {
            peer: to.clone(),
            node,
            stream_epoch: 0,
        };
        match self.run(from, take) {
            Ok(Answer::Taken(taken)) => taken.tenure,
            other => panic!("not taken: {other:?}"),
        }
    }

    /// What a person's device is shown of a room after what it has.
    pub fn sync(&mut self, person: &Person, room: RoomId, after: Seq) -> Vec<Entry> {
        let device = (person.account, person.device);
        let mut read = block_on(self.servers[&person.home].store.read()).expect("a view");
        let page = block_on(sync::room_page(&mut *read, device, room, after)).expect("a page");
        page.map_or_else(Vec::new, |page| page.entries)
    }

    /// Reads everything that is new, as a device does.
    pub fn read(&mut self, person: &Person, seat: &mut Seat) {
        for entry in self.sync(person, seat.member.room(), seat.at) {
            assert_eq!(entry.header.seq, seat.at.next(), "no gap");
            seat.at = entry.header.seq;
            let processed = seat
                .member
                .process(&mls_message(&entry), entry.header.time)
                .expect("a good entry");
            match processed {
                Processed::Application(message) => {
                    assert_eq!(message.aad.message_id, entry.header.message_id);
                    assert_eq!(message.sender.leaf, entry.header.sender);
                    let text = String::from_utf8(message.plaintext).expect("text");
                    seat.read.push(text);
                }
                Processed::OwnApplication(_) | Processed::Proposal(_) | Processed::Commit(_) => {}
            }
        }
    }
}

/// A person's device, for which its home vouches.
pub fn asker(person: &Person) -> Asker {
    Asker {
        account: person.account,
        device: person.device,
        origin: person.home.clone(),
    }
}

/// The MLS message inside an entry.
fn mls_message(entry: &Entry) -> Vec<u8> {
    let body = entry.body.as_slice();
    match entry.header.kind {
        EntryKind::Application => body.to_vec(),
        EntryKind::Commit => {
            let body: CommitBody = decode_exact("commit", body).expect("a commit");
            body.commit.into()
        }
        EntryKind::Proposal => {
            let body: ProposalBody = decode_exact("proposal", body).expect("a proposal");
            body.proposal.into()
        }
        EntryKind::Create => panic!("a create entry has no MLS message"),
    }
}

/// Whether an answer says that the message was ordered.
pub fn is_ordered(answer: &Result<Answer, Fault>) -> bool {
    matches!(answer, Ok(Answer::Submitted(Submitted::Ordered(_))))
}

/// The code of a refusal.
pub fn code<T: std::fmt::Debug>(answer: Result<T, Fault>) -> FaultCode {
    answer.expect_err("a refusal").code
}
