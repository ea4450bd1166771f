//! A real room of each suite: its state at the hub and at a member, and all that its people made.

use entente_fuzz::inputs::join_parts;
use entente_groups::{
    CommitBundle, InviteRight, KeyPackageOrder, KeyPackageUse, KeyPackages, Member, Processed,
    Suite,
};
use entente_identity::encode;

use crate::hostile::{damaged, damaged_before};
use crate::store::Store;
use crate::world::{HOUR_MS, NOW, Person, World, order, seed as seed_of};

/// Adds what concerns rooms.
pub fn seed(store: &mut Store) {
    let guest = guest();
    store.shelve("guest", encode(&guest.identity));
    store.shelve("guest key", seed_of(2, GUEST).to_vec());
    for suite in [Suite::Classical, Suite::PostQuantum] {
        Room::new(suite).seed(store);
    }
}

/// Flags of the inputs of commit bundles, as the target reads them.
const PENDING: u8 = 2;
const WELCOME: u8 = 4;

/// The number of who is about to join.
const GUEST: u16 = 9;

pub fn guest() -> Person {
    Person::new(GUEST)
}

pub struct Room {
    pub suite: Suite,
    /// The lowest bit of the flags before every input.
    pub flag: u8,
    pub world: World,
    late: Vec<u8>,
    /// The proposal of the third member to leave.
    leaves: Vec<u8>,
}

impl Room {
    /// Three people, a message of the epoch before, and an epoch in which nothing waits.
    fn new(suite: Suite) -> Self {
        let mut world = World::of(suite, 3);
        world.talk(0, "before");
        let late = world.seats[0].say("late");
        let seat = &mut world.seats[1];
        let refresh = seat
            .member
            .refresh(None, &seat.person.key)
            .expect("commits");
        world.commit(&refresh).expect("a good commit");
        let leaver = &world.seats[2];
        let table = leaver.table.0.clone();
        let mut member = Member::load(world.hub.room(), table).expect("own rows");
        let leaves = member.leave(&leaver.person.key).expect("leaves");
        Self {
            suite,
            flag: u8::from(suite == Suite::PostQuantum),
            world,
            late,
            leaves,
        }
    }

    /// Seeds of the larger suite are few: their bytes are spent on the smaller one.
    pub fn is_small(&self) -> bool {
        self.suite == Suite::Classical
    }

    pub fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.suite)
    }

    pub fn shelf(&self, what: &str) -> String {
        format!("{}/{what}", self.suite)
    }

    fn seed(&mut self, store: &mut Store) {
        let hub = self.world.hub.snapshot();
        store.shelve(&self.shelf("hub"), hub);
        store.shelve(&self.shelf("room"), self.world.hub.room().0.to_vec());
        let reader = &self.world.seats[1];
        shelve_rows(store, &self.shelf("member"), reader.table.0.clone());
        store.shelve(&self.shelf("past"), reader.past[0].to_bytes().to_vec());
        self.messages(store);
        self.key_packages(store);
        self.commits(store);
        self.welcome(store);
        self.offers(store);
        self.founding(store);
    }

    /// A seat's membership, loaded anew: what is tried with it is not kept.
    pub fn member(&self, seat: usize) -> Member {
        let table = self.world.seats[seat].table.0.clone();
        Member::load(self.world.hub.room(), table).expect("own rows")
    }

    fn flagged(&self, bytes: &[u8]) -> Vec<u8> {
        [&[self.flag], bytes].concat()
    }

    fn messages(&mut self, store: &mut Store) {
        let message = self.world.seats[0].say("in time");
        let proposal = self.leaves.clone();
        store.accepted("group_messages", &self.name("message"), message.clone());
        store.accepted("group_messages", &self.name("proposal"), proposal.clone());
        store.genuine(
            "member_messages",
            &self.name("message"),
            self.flagged(&message),
        );
        store.genuine(
            "member_messages",
            &self.name("proposal"),
            self.flagged(&proposal),
        );
        store.genuine(
            "late_messages",
            &self.name("late"),
            self.flagged(&self.late),
        );
        store.genuine("proposals", &self.name("leaves"), self.flagged(&proposal));
        store.shelve(&self.shelf("pending"), proposal.clone());
        if !self.is_small() {
            return;
        }
        let past = self.flagged(&self.late);
        store.hostile("member_messages", "c10", "of-a-past-epoch", past);
        damaged(
            store,
            "group_messages",
            "e5",
            "message",
            &cut_behind_tag(&message),
        );
        damaged(
            store,
            "member_messages",
            "e5",
            "message",
            &self.flagged(&message),
        );
        damaged(
            store,
            "late_messages",
            "e5",
            "late",
            &self.flagged(&self.late),
        );
        damaged(
            store,
            "member_messages",
            "e5",
            "proposal",
            &self.flagged(&proposal),
        );
        let (whole, signed) = (self.flagged(&proposal), proposal.len() - 32);
        damaged_before(store, ("proposals", "e5", "leaves"), &whole, signed);
        let tagged = |tag: &[u8]| [&whole[..signed], tag].concat();
        store.odd(
            "proposals",
            "tag-of-zeros",
            tagged(&[&[32][..], &[0; 32]].concat()),
        );
        for (target, bytes) in [("member_messages", &message), ("proposals", &proposal)] {
            let huge = oversized(bytes, &self.world.hub.room().0);
            store.hostile(target, "e5", "group-id-of-2e30", self.flagged(&huge));
        }
    }

    fn key_packages(&mut self, store: &mut Store) {
        let person = Person::new(8);
        let once = person.key_package(self.suite).1;
        let last = KeyPackageOrder {
            usage: KeyPackageUse::LastResort,
            ..order(self.suite)
        };
        let mut keys = KeyPackages::new();
        let made = keys
            .generate(last, &person.identity, &person.key)
            .expect("made");
        store.genuine("key_packages", &self.name("once"), once.clone());
        store.genuine(
            "key_packages",
            &self.name("last-resort"),
            made[0].bytes.clone(),
        );
        if !self.is_small() {
            return;
        }
        damaged(store, "key_packages", "e5", "once", &once);
        for extension in [[0xf0, 0xe1], [0xf0, 0xe3]] {
            let at = position(&once, &extension);
            let mut huge = once.clone();
            huge.splice(at + 2..at + 4, [0xbf, 0xff, 0xff, 0xff]);
            let name = format!("extension-{:x}-of-2e30", extension[1]);
            store.hostile("key_packages", "e5", &name, huge);
            let mut unknown = once.clone();
            unknown[at + 1] ^= 0x10;
            let name = format!("extension-{:x}-renamed", extension[1]);
            store.hostile("key_packages", "e5", &name, unknown);
        }
        let ended = KeyPackageOrder {
            now: NOW.before(48 * HOUR_MS),
            ..order(self.suite)
        };
        let made = keys
            .generate(ended, &person.identity, &person.key)
            .expect("made");
        store.hostile("key_packages", "f2", "ended", made[0].bytes.clone());
    }

    fn commits(&mut self, store: &mut Store) {
        let founder = self.world.seats[0].person.clone();
        let key = &founder.key;
        let refresh = self.member(0).refresh(None, key).expect("commits");
        let removed = self.world.seats[2].person.account;
        let remove = self.member(0).remove(&removed, key).expect("commits");
        let policy = self.world.hub.policy().with_invite(InviteRight::Admins);
        let closed = self.member(0).set_policy(&policy, key).expect("commits");
        let returning = &self.world.seats[2].person;
        let (_, back) = Member::resync(&self.world.offer(), &returning.identity, &returning.key)
            .expect("is inside");
        self.bundle(store, "refresh", &refresh);
        self.bundle(store, "remove", &remove);
        if self.is_small() {
            self.bundle(store, "policy", &closed);
            self.bundle(store, "back", &back);
            self.hostile_bundles(store, &refresh, &remove);
        }
        let mut member = self.member(0);
        let seen = member.process(&self.leaves, NOW).expect("a good proposal");
        assert!(matches!(seen, Processed::Proposal(_)));
        let covering = member.commit_pending_proposals(key).expect("commits");
        let input = self.bundle_input(&covering, PENDING);
        store.genuine("commit_bundles", &self.name("covers"), input);
    }

    fn bundle_input(&self, bundle: &CommitBundle, flags: u8) -> Vec<u8> {
        let welcome = bundle.welcome.clone().unwrap_or_default();
        let flags = self.flag | flags | if bundle.welcome.is_some() { WELCOME } else { 0 };
        join_parts(flags, &[&bundle.commit, &welcome, &bundle.group_info])
    }

    pub fn bundle(&self, store: &mut Store, name: &str, bundle: &CommitBundle) {
        let input = self.bundle_input(bundle, 0);
        store.genuine("commit_bundles", &self.name(name), input);
        store.accepted("group_messages", &self.name(name), bundle.commit.clone());
        let message = self.flagged(&bundle.commit);
        store.genuine("member_messages", &self.name(name), message);
    }

    fn hostile_bundles(&self, store: &mut Store, one: &CommitBundle, other: &CommitBundle) {
        let mut add = |line: &str, name: &str, flags: u8, parts: [&[u8]; 3]| {
            let input = join_parts(self.flag | flags, &parts);
            store.hostile("commit_bundles", line, name, input);
        };
        let (commit, info) = (&one.commit[..], &one.group_info[..]);
        add(
            "c6",
            "other-group-info",
            0,
            [commit, &[], &other.group_info],
        );
        add(
            "c6",
            "old-group-info",
            0,
            [commit, &[], &self.world.group_info],
        );
        add(
            "c6",
            "group-info-longer",
            0,
            [commit, &[], &[info, &[0]].concat()],
        );
        add(
            "c6",
            "group-info-cut-off",
            0,
            [commit, &[], &info[..info.len() - 1]],
        );
        add("c6", "no-group-info", 0, [commit, &[], &[]]);
        add("c11", "welcome-for-nobody", WELCOME, [commit, &[], info]);
        add("c1", "proposals-not-covered", PENDING, [commit, &[], info]);
        add("e5", "longer", 0, [&[commit, &[0]].concat(), &[], info]);
        add("e5", "cut-off", 0, [&commit[..commit.len() - 1], &[], info]);
        let huge = oversized(commit, &self.world.hub.room().0);
        add("e5", "group-id-of-2e30", 0, [&huge, &[], info]);
        let leaf = position(commit, &[0xf0, 0xe1]);
        let mut huge = commit.to_vec();
        huge.splice(leaf + 2..leaf + 4, [0xbf, 0xff, 0xff, 0xff]);
        add("e5", "extension-of-2e30", 0, [&huge, &[], info]);
        let signed = commit.len() - 33;
        for at in [10, 40, signed / 3, signed / 2, signed - 40, signed - 1] {
            let mut changed = commit.to_vec();
            changed[at] ^= 1;
            add("e5", &format!("changed-at-{at}"), 0, [&changed, &[], info]);
        }
    }
}

/// Without its last bytes an encrypted message still has a shape: what is damaged here is the shape.
fn cut_behind_tag(message: &[u8]) -> Vec<u8> {
    message[..80].to_vec()
}

/// The same with a group id whose length says 2^30 - 1.
fn oversized(message: &[u8], room: &[u8; 32]) -> Vec<u8> {
    let at = position(message, room);
    let mut huge = message.to_vec();
    huge.splice(at - 1..at, [0xbf, 0xff, 0xff, 0xff]);
    huge
}

fn position(bytes: &[u8], wanted: &[u8]) -> usize {
    let found = bytes
        .windows(wanted.len())
        .position(|window| window == wanted);
    found.expect("it is in there")
}

pub fn shelve_rows(
    store: &mut Store,
    shelf: &str,
    rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
) {
    for (key, value) in rows {
        store.shelve(shelf, key);
        store.shelve(shelf, value);
    }
}
