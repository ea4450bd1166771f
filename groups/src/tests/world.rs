//! A room with its hub and its members, all in memory: every step goes over bytes and stored rows.

use std::collections::BTreeMap;

use entente_groups::{
    Aad, CheckedCommit, CommitBundle, CommitFault, CreateRecord, EpochSnapshot, Founding,
    HpkeSecretKey, JoinOffer, KeyPackageOrder, KeyPackageUse, KeyPackages, LeafIdentity, Member,
    MemberFault, MergedCommit, MessageId, Processed, PublicRoom, ReadMessage, StateDelta, Suite,
    WelcomeOffer, room_id,
};
use entente_identity::{
    AccountDid, Device, DeviceId, DeviceRole, HomeRecord, SigningKey, UnixMillis, certify_device,
    first_device_list,
};

use rand::SeedableRng;
use rand::rngs::StdRng;

pub const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
pub const HOUR_MS: u64 = 60 * 60 * 1000;

/// One device of one person.
#[derive(Clone)]
pub struct Person {
    pub account: AccountDid,
    pub root: SigningKey,
    pub key: SigningKey,
    pub device: Device,
    pub identity: LeafIdentity,
}

pub fn seed(tag: u8, number: u16) -> [u8; 32] {
    let mut seed = [tag; 32];
    seed[..2].copy_from_slice(&number.to_be_bytes());
    seed
}

impl Person {
    /// Person `number`, with its first device, at home on one of two servers.
    pub fn new(number: u16) -> Self {
        let root = SigningKey::from_seed(&seed(1, number));
        let key = SigningKey::from_seed(&seed(2, number));
        let (_, hpke_key) = HpkeSecretKey::generate(&mut StdRng::seed_from_u64(number.into()));
        let device = Device {
            id: DeviceId(seed(3, number)[..16].try_into().expect("16 bytes")),
            signature_key: key.public(),
            hpke_key,
            role: DeviceRole::Manager,
        };
        let list = first_device_list(&root, vec![device.clone()], NOW);
        let org = if number.is_multiple_of(2) { "a" } else { "b" };
        let handle = format!("p{number}@org-{org}.example")
            .parse()
            .expect("a handle");
        let home = HomeRecord::first(&root, handle, NOW);
        let body = list.claimed_body().expect("own list");
        let certificate = certify_device(&list, &body, &device, &root, NOW);
        let account = AccountDid::new(root.public());
        Self {
            account,
            identity: LeafIdentity::new(account, vec![certificate], home),
            root,
            key,
            device,
        }
    }

    /// A second device of the same account.
    pub fn second_device(&self, number: u16) -> Self {
        let key = SigningKey::from_seed(&seed(4, number));
        let device = Device {
            id: DeviceId(seed(5, number)[..16].try_into().expect("16 bytes")),
            signature_key: key.public(),
            ..self.device.clone()
        };
        let devices = vec![self.device.clone(), device.clone()];
        let list = first_device_list(&self.root, devices, NOW);
        let body = list.claimed_body().expect("own list");
        let certificate = certify_device(&list, &body, &device, &self.root, NOW);
        let home = self.identity.home_record.clone();
        Self {
            identity: LeafIdentity::new(self.account, vec![certificate], home),
            key,
            device,
            ..self.clone()
        }
    }

    pub fn key_package(&self, suite: Suite) -> (KeyPackages, Vec<u8>) {
        let mut store = KeyPackages::new();
        let made = store.generate(order(suite), &self.identity, &self.key);
        let bytes = made.expect("a KeyPackage").remove(0).bytes;
        (store, bytes)
    }
}

pub fn order(suite: Suite) -> KeyPackageOrder {
    KeyPackageOrder {
        count: 1,
        suite,
        usage: KeyPackageUse::Once,
        now: NOW,
        lifetime_ms: 24 * HOUR_MS,
    }
}

/// Rows as a vault keeps them.
#[derive(Default, Clone)]
pub struct Table(pub BTreeMap<Vec<u8>, Vec<u8>>);

impl Table {
    pub fn apply(&mut self, delta: StateDelta) {
        for key in delta.deletes {
            self.0.remove(&key).expect("deletes a row that is there");
        }
        self.0.extend(delta.puts);
    }
}

/// A member with its stored rows.
pub struct Seat {
    pub person: Person,
    pub member: Member,
    pub table: Table,
    pub past: Vec<EpochSnapshot>,
}

impl Seat {
    pub fn new(person: &Person, member: Member) -> Self {
        let mut seat = Self {
            person: person.clone(),
            member,
            table: Table::default(),
            past: Vec::new(),
        };
        seat.store();
        seat
    }

    /// Stores what changed and goes on from what was stored.
    pub fn store(&mut self) {
        self.table.apply(self.member.take_delta());
        self.member = Member::load(self.member.room(), self.table.0.clone()).expect("own rows");
    }

    pub fn process(&mut self, bytes: &[u8]) -> Processed {
        self.process_at(bytes, NOW)
    }

    /// Processes an entry that was ordered at some other time than `NOW`.
    pub fn process_at(&mut self, bytes: &[u8], time: UnixMillis) -> Processed {
        let processed = self.member.process(bytes, time).expect("an ordered entry");
        self.store();
        if let Processed::Commit(merged) = &processed {
            let bytes = merged.past.to_bytes();
            self.past
                .insert(0, EpochSnapshot::from_bytes(&bytes).expect("own bytes"));
            self.past.truncate(3);
        }
        processed
    }

    pub fn merge(&mut self, bytes: &[u8]) -> MergedCommit {
        self.merge_at(bytes, NOW)
    }

    pub fn merge_at(&mut self, bytes: &[u8], time: UnixMillis) -> MergedCommit {
        match self.process_at(bytes, time) {
            Processed::Commit(merged) => merged,
            other => panic!("expected a commit, got {other:?}"),
        }
    }

    pub fn read(&mut self, bytes: &[u8]) -> ReadMessage {
        match self.process(bytes) {
            Processed::Application(read) => read,
            other => panic!("expected a message, got {other:?}"),
        }
    }

    pub fn say(&mut self, text: &str) -> Vec<u8> {
        let bytes = self.try_say(text).expect("encrypts");
        self.store();
        bytes
    }

    pub fn try_say(&mut self, text: &str) -> Result<Vec<u8>, MemberFault> {
        let aad = Aad::new(MessageId([text.len() as u8; 16]), 7, [7; 32]);
        self.member.encrypt(text.as_bytes(), &aad, &self.person.key)
    }
}

/// A room, its hub, its members in the order in which they came.
pub struct World {
    pub hub: PublicRoom,
    pub group_info: Vec<u8>,
    pub pending: Vec<Vec<u8>>,
    pub seats: Vec<Seat>,
}

impl World {
    pub fn found(suite: Suite) -> Self {
        Self::found_as(suite, 0)
    }

    /// Founds one of several rooms of the same founder.
    pub fn found_as(suite: Suite, number: u64) -> Self {
        let founder = Person::new(0);
        let hub_did = "did:web:org-a.example".parse().expect("a server");
        let mut rng = StdRng::seed_from_u64(number);
        let record = CreateRecord::new(founder.account, hub_did, suite, NOW, &mut rng);
        let record = record.sign(&founder.key);
        let Founding {
            member,
            group_info,
            tree,
        } = Member::create(&record, &founder.identity, &founder.key).expect("founded");
        assert_eq!(member.room(), room_id(&record));
        Self {
            hub: PublicRoom::from_create(&record, &group_info, &tree).expect("a good founding"),
            group_info,
            pending: Vec::new(),
            seats: vec![Seat::new(&founder, member)],
        }
    }

    /// A room of `members`, all of whom joined by ticket.
    pub fn of(suite: Suite, members: u16) -> Self {
        Self::found(suite).filled(members)
    }

    pub fn filled(self, members: u16) -> Self {
        let mut world = self;
        for number in 1..members {
            world.join(&Person::new(number)).expect("joins");
        }
        world
    }

    pub fn offer(&self) -> JoinOffer {
        JoinOffer {
            room: self.hub.room(),
            group_info: self.group_info.clone(),
            tree: self.hub.ratchet_tree(),
            pending: self.pending.clone(),
        }
    }

    pub fn check(&self, bundle: &CommitBundle) -> Result<CheckedCommit, CommitFault> {
        self.hub.check_commit(bundle, &self.pending, NOW)
    }

    /// Orders a commit at the hub, which goes on from its snapshot.
    pub fn order_at(
        &mut self,
        bundle: &CommitBundle,
        time: UnixMillis,
    ) -> Result<CheckedCommit, CommitFault> {
        let checked = self.hub.check_commit(bundle, &self.pending, time)?;
        self.hub = PublicRoom::restore(&checked.next.snapshot()).expect("own snapshot");
        self.group_info = bundle.group_info.clone();
        self.pending.clear();
        Ok(checked)
    }

    /// Orders a commit and lets every member process it.
    pub fn commit(&mut self, bundle: &CommitBundle) -> Result<CheckedCommit, CommitFault> {
        self.commit_at(bundle, NOW)
    }

    /// The same at another time.
    pub fn commit_at(
        &mut self,
        bundle: &CommitBundle,
        time: UnixMillis,
    ) -> Result<CheckedCommit, CommitFault> {
        let checked = self.order_at(bundle, time)?;
        for seat in &mut self.seats {
            let merged = seat.merge_at(&bundle.commit, time);
            assert_eq!(merged.roster, checked.roster);
            assert_eq!(merged.committer, checked.committer);
            assert_eq!(merged.new_policy, checked.new_policy);
        }
        self.seats.retain(|seat| seat.member.is_active());
        self.agree();
        Ok(checked)
    }

    /// Joins by a ticket of the founder.
    pub fn join(&mut self, person: &Person) -> Result<CheckedCommit, CommitFault> {
        let (inviter, key) = (&self.seats[0].member, &self.seats[0].person.key);
        let ticket = inviter
            .issue_ticket(person.account, 1, HOUR_MS, NOW, key)
            .expect("may invite");
        let offer = self.offer();
        let (member, bundle) =
            Member::join_by_ticket(&offer, &ticket, &person.identity, &person.key, NOW)
                .expect("a good offer");
        self.enter(person, member, &bundle)
    }

    pub fn enter(
        &mut self,
        person: &Person,
        member: Member,
        bundle: &CommitBundle,
    ) -> Result<CheckedCommit, CommitFault> {
        let checked = self.commit(bundle)?;
        self.seats.push(Seat::new(person, member));
        self.agree();
        Ok(checked)
    }

    /// Adds people by their KeyPackages, by the member of that seat.
    pub fn add(&mut self, seat: usize, people: &[Person]) -> CheckedCommit {
        let suite = self.hub.suite();
        let mut stores: Vec<_> = people.iter().map(|p| p.key_package(suite)).collect();
        let bytes: Vec<_> = stores.iter().map(|(_, bytes)| bytes.clone()).collect();
        let adder = &mut self.seats[seat];
        let bundle = adder
            .member
            .add(&bytes, NOW, &adder.person.key)
            .expect("adds");
        let checked = self.commit(&bundle).expect("a good commit");
        let offer = WelcomeOffer {
            room: self.hub.room(),
            welcome: bundle.welcome.expect("a Welcome"),
            tree: self.hub.ratchet_tree(),
        };
        for (person, (store, _)) in people.iter().zip(&mut stores) {
            let member = Member::join_by_welcome(&offer, store).expect("is welcome");
            assert!(store.is_empty(), "a KeyPackage is used once");
            self.seats.push(Seat::new(person, member));
        }
        self.agree();
        checked
    }

    /// Orders a proposal to leave and lets every member see it.
    pub fn leave(&mut self, seat: usize) {
        let leaver = &mut self.seats[seat];
        let proposal = leaver.member.leave(&leaver.person.key).expect("leaves");
        leaver.store();
        let departure = self.hub.check_proposal(&proposal).expect("a good proposal");
        for seat in &mut self.seats {
            match seat.process(&proposal) {
                Processed::Proposal(seen) => assert_eq!(seen, departure),
                other => panic!("expected a proposal, got {other:?}"),
            }
        }
        self.pending.push(proposal);
    }

    /// Hub and members are of one mind.
    pub fn agree(&self) {
        let members: Vec<_> = self.hub.members().cloned().collect();
        let secret = self.seats[0].member.epoch_authenticator();
        for seat in &self.seats {
            assert_eq!(seat.member.epoch(), self.hub.epoch());
            assert_eq!(seat.member.members().expect("own tree"), members);
            assert_eq!(seat.member.epoch_authenticator(), secret);
            assert_eq!(
                &seat.member.policy().expect("own policy"),
                self.hub.policy()
            );
        }
    }

    /// Everyone but the sender reads what the sender says.
    pub fn talk(&mut self, sender: usize, text: &str) -> Vec<u8> {
        let bytes = self.seats[sender].say(text);
        for (index, seat) in self.seats.iter_mut().enumerate() {
            if index == sender {
                assert!(matches!(seat.process(&bytes), Processed::OwnApplication(_)));
                continue;
            }
            let read = seat.read(&bytes);
            assert_eq!(read.plaintext, text.as_bytes());
        }
        bytes
    }
}
