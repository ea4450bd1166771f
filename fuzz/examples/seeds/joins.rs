//! How people come into a room: Welcomes, offers with a ticket, foundings.

use entente_fuzz::inputs::join_parts;
use entente_groups::{CreateRecord, JoinOffer, Member, StateDelta};
use entente_identity::encode;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::hostile::{damaged, forged};
use crate::rooms::{Room, guest, shelve_rows};
use crate::store::Store;
use crate::world::{HOUR_MS, NOW, Person};

impl Room {
    pub fn welcome(&mut self, store: &mut Store) {
        let person = Person::new(8);
        let (mut keys, package) = person.key_package(self.suite);
        let founder = &self.world.seats[0].person;
        let added = self
            .member(0)
            .add(&[package], NOW, &founder.key)
            .expect("adds");
        let checked = self.world.check(&added).expect("a good commit");
        self.bundle(store, "add", &added);
        shelve_delta(store, &self.shelf("key_packages"), keys.take_delta());
        let (welcome, tree) = (
            added.welcome.expect("a Welcome"),
            checked.next.ratchet_tree(),
        );
        let genuine = join_parts(self.flag, &[&welcome, &tree]);
        store.genuine("welcomes", &self.name("added"), genuine);
        if !self.is_small() {
            return;
        }
        let mut add = |line: &str, name: &str, welcome: &[u8], tree: &[u8]| {
            let input = join_parts(self.flag, &[welcome, tree]);
            store.hostile("welcomes", line, name, input);
        };
        let cut = |bytes: &[u8]| bytes[..bytes.len() - 1].to_vec();
        let longer = |bytes: &[u8]| [bytes, &[0]].concat();
        add("e5", "cut-off", &cut(&welcome), &tree);
        add("e5", "longer", &longer(&welcome), &tree);
        add("e5", "tree-cut-off", &welcome, &cut(&tree));
        add("e5", "tree-longer", &welcome, &longer(&tree));
        add("e5", "no-tree", &welcome, &[]);
        add("c6", "old-tree", &welcome, &self.world.hub.ratchet_tree());
        add(
            "e5",
            "tree-of-2e30",
            &welcome,
            &[&[0xbf, 0xff, 0xff, 0xff][..], &tree].concat(),
        );
        for at in [8, welcome.len() / 3, welcome.len() / 2, welcome.len() - 1] {
            let mut changed = welcome.clone();
            changed[at] ^= 1;
            add("e5", &format!("changed-at-{at}"), &changed, &tree);
        }
        for at in [tree.len() / 4, tree.len() / 2, tree.len() - 1] {
            let mut changed = tree.clone();
            changed[at] ^= 1;
            add("e5", &format!("tree-changed-at-{at}"), &welcome, &changed);
        }
    }

    pub fn offers(&mut self, store: &mut Store) {
        let inviter = &self.world.seats[0].person.key;
        let ticket = self
            .member(0)
            .issue_ticket(guest().account, 1, HOUR_MS, NOW, inviter);
        let ticket = ticket.expect("may invite");
        store.shelve(&self.shelf("ticket"), encode(&ticket));
        let guest = guest();
        let JoinOffer {
            group_info, tree, ..
        } = self.world.offer();
        let genuine = join_parts(self.flag, &[&group_info, &tree, &[]]);
        store.genuine("join_offers", &self.name("current"), genuine);
        if !self.is_small() {
            return;
        }
        let (_, bundle) = Member::join_by_ticket(
            &self.world.offer(),
            &ticket,
            &guest.identity,
            &guest.key,
            NOW,
        )
        .expect("a good offer");
        self.bundle(store, "joins", &bundle);
        store.genuine("tickets", "guest", encode(&ticket));
        forged(store, "tickets", "guest", &[], &encode(&ticket));
        damaged(store, "tickets", "a4", "guest", &encode(&ticket));
        let body = ticket.claimed_body().expect("own ticket");
        let ended = body.sign(inviter, NOW.before(48 * HOUR_MS), HOUR_MS);
        store.hostile("tickets", "c9", "ended", encode(&ended));
        let mut add = |name: &str, info: &[u8], tree: &[u8], proposal: &[u8]| {
            let input = join_parts(self.flag, &[info, tree, proposal]);
            store.hostile("join_offers", "e5", name, input);
        };
        let cut = |bytes: &[u8]| bytes[..bytes.len() - 1].to_vec();
        add("cut-off", &cut(&group_info), &tree, &[]);
        add("longer", &[&group_info[..], &[0]].concat(), &tree, &[]);
        add("tree-cut-off", &group_info, &cut(&tree), &[]);
        add("tree-longer", &group_info, &[&tree[..], &[0]].concat(), &[]);
        add("no-tree", &group_info, &[], &[]);
        add("no-proposal", &group_info, &tree, b"x");
        for at in [10, group_info.len() / 2, group_info.len() - 1] {
            let mut changed = group_info.clone();
            changed[at] ^= 1;
            add(&format!("changed-at-{at}"), &changed, &tree, &[]);
        }
        for at in [10, tree.len() / 2, tree.len() - 1] {
            let mut changed = tree.clone();
            changed[at] ^= 1;
            add(&format!("tree-changed-at-{at}"), &group_info, &changed, &[]);
        }
    }

    pub fn founding(&mut self, store: &mut Store) {
        let founder = Person::new(0);
        let hub = "did:web:org-a.example".parse().expect("a server");
        let mut rng = StdRng::seed_from_u64(77);
        let record = CreateRecord::new(founder.account, hub, self.suite, NOW, &mut rng);
        let record = record.sign(&founder.key);
        let made = Member::create(&record, &founder.identity, &founder.key).expect("founded");
        let input =
            |record: &[u8], info: &[u8], tree: &[u8]| join_parts(self.flag, &[record, info, tree]);
        let (record, info, tree) = (record.to_bytes(), made.group_info, made.tree);
        store.genuine(
            "foundings",
            &self.name("room"),
            input(&record, &info, &tree),
        );
        if !self.is_small() {
            return;
        }
        let cut = |bytes: &[u8]| bytes[..bytes.len() - 1].to_vec();
        let mut add = |line: &str, name: &str, bytes: Vec<u8>| {
            store.hostile("foundings", line, name, bytes);
        };
        add("e5", "record-cut-off", input(&cut(&record), &info, &tree));
        add("e5", "info-cut-off", input(&record, &cut(&info), &tree));
        add("e5", "tree-cut-off", input(&record, &info, &cut(&tree)));
        add(
            "e5",
            "tree-longer",
            input(&record, &info, &[&tree[..], &[0]].concat()),
        );
        add("e5", "no-tree", input(&record, &info, &[]));
        add(
            "c6",
            "info-of-another-room",
            input(&record, &self.world.group_info, &tree),
        );
        add(
            "c6",
            "tree-of-another-room",
            input(&record, &info, &self.world.hub.ratchet_tree()),
        );
    }
}

fn shelve_delta(store: &mut Store, shelf: &str, delta: StateDelta) {
    assert!(delta.deletes.is_empty(), "nothing was there before");
    shelve_rows(store, shelf, delta.puts);
}
