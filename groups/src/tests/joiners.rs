//! External commits that are wrong in one way or in several: hub and members give one verdict.

use entente_identity::{
    Audience, CLOCK_TOLERANCE_MS, Signed, SigningContext, SigningKey, UnixMillis,
};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::hostile::{join, ticket};
use super::world::{HOUR_MS, NOW, Person, World};
use crate::policy::{InviteRight, Role};
use crate::rules::RuleFault;
use crate::suite::Suite;
use crate::ticket::{MAX_TICKET_LIFETIME_MS, Ticket, TicketFault};
use crate::{CommitBundle, CommitFault, LeafFault, LeafIndex, Member, ProcessFault};

/// One thing that is wrong with a joiner's commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    NoTicket,
    OtherRoom,
    OtherAudience,
    ForEverybody,
    OtherInvitee,
    HigherRole,
    OldDeviceList,
    OtherInviter,
    OtherLeafOfInviter,
    NoSuchLeafOfInviter,
    SignedByInvitee,
    SignedByAnotherMember,
    Expired,
    FromTheFuture,
    WithoutEnd,
    ForTooLong,
    InviterRemoved,
    InviterNeverInside,
    InviterMayNot,
    InviteeRemovedSince,
    KeepsOldLeaf,
    StolenCertificate,
    OtherAccountsHome,
    NoCertificate,
    OtherAccountsCertificate,
}

const FLAWS: [Flaw; 25] = [
    Flaw::NoTicket,
    Flaw::OtherRoom,
    Flaw::OtherAudience,
    Flaw::ForEverybody,
    Flaw::OtherInvitee,
    Flaw::HigherRole,
    Flaw::OldDeviceList,
    Flaw::OtherInviter,
    Flaw::OtherLeafOfInviter,
    Flaw::NoSuchLeafOfInviter,
    Flaw::SignedByInvitee,
    Flaw::SignedByAnotherMember,
    Flaw::Expired,
    Flaw::FromTheFuture,
    Flaw::WithoutEnd,
    Flaw::ForTooLong,
    Flaw::InviterRemoved,
    Flaw::InviterNeverInside,
    Flaw::InviterMayNot,
    Flaw::InviteeRemovedSince,
    Flaw::KeepsOldLeaf,
    Flaw::StolenCertificate,
    Flaw::OtherAccountsHome,
    Flaw::NoCertificate,
    Flaw::OtherAccountsCertificate,
];

/// Whether the fault is the one that belongs to the flaw.
fn fits(flaw: Flaw, fault: &RuleFault) -> bool {
    use TicketFault as T;
    let wanted_ticket = match fault {
        RuleFault::Ticket(fault) => Some(fault),
        _ => None,
    };
    match flaw {
        Flaw::NoTicket => wanted_ticket == Some(&T::Missing),
        Flaw::OtherInvitee => wanted_ticket == Some(&T::OtherInvitee),
        Flaw::HigherRole => wanted_ticket == Some(&T::Role),
        Flaw::OldDeviceList => wanted_ticket == Some(&T::OldDeviceList { wanted: 2, got: 1 }),
        Flaw::OtherRoom => wanted_ticket == Some(&T::OtherRoom),
        Flaw::OtherInviter
        | Flaw::OtherLeafOfInviter
        | Flaw::NoSuchLeafOfInviter
        | Flaw::SignedByInvitee
        | Flaw::SignedByAnotherMember
        | Flaw::InviterRemoved
        | Flaw::InviterNeverInside => wanted_ticket == Some(&T::InviterGone),
        Flaw::ForTooLong => wanted_ticket == Some(&T::Lifetime),
        Flaw::InviterMayNot => wanted_ticket == Some(&T::MayNotInvite),
        Flaw::InviteeRemovedSince => wanted_ticket == Some(&T::InviteeLeft),
        Flaw::OtherAudience
        | Flaw::ForEverybody
        | Flaw::Expired
        | Flaw::FromTheFuture
        | Flaw::WithoutEnd => matches!(wanted_ticket, Some(T::Signed(_))),
        Flaw::KeepsOldLeaf => *fault == RuleFault::AlreadyMember,
        Flaw::StolenCertificate => *fault == RuleFault::Leaf(LeafFault::SignatureKey),
        Flaw::OtherAccountsHome => matches!(fault, RuleFault::Leaf(LeafFault::HomeRecord(_))),
        Flaw::NoCertificate | Flaw::OtherAccountsCertificate => {
            matches!(fault, RuleFault::Leaf(LeafFault::Certificate(_)))
        }
    }
}

/// A room of the founder, two members, and somebody who was removed; in a twin of it, only admins
/// invite.
struct Scene {
    world: World,
    /// Somebody who was removed an hour after `NOW`.
    removed: Person,
    removed_leaf: LeafIndex,
}

const LATER: UnixMillis = UnixMillis(NOW.0 + 2 * HOUR_MS);

impl Scene {
    fn new(invite: InviteRight) -> Self {
        let mut world = World::of(Suite::Classical, 4);
        let removed = world.seats[3].person.clone();
        let removed_leaf = world.seats[3].member.own_leaf();
        let founder = &mut world.seats[0];
        let bundle = founder.member.remove(&removed.account, &founder.person.key);
        world
            .commit_at(&bundle.expect("an admin"), UnixMillis(NOW.0 + HOUR_MS))
            .expect("a good commit");
        let founder = &mut world.seats[0];
        let policy = world.hub.policy().with_invite(invite);
        let bundle = founder.member.set_policy(&policy, &founder.person.key);
        world
            .commit(&bundle.expect("an admin"))
            .expect("a good commit");
        Self {
            world,
            removed,
            removed_leaf,
        }
    }

    /// A join that has these flaws, and is in order but for them.
    fn bundle(&self, flaws: &[Flaw]) -> CommitBundle {
        let has = |flaw| flaws.contains(&flaw);
        let joiner = self.joiner(flaws);
        let seat = &self.world.seats[1].person;
        let mut body = ticket(&self.world, 1, &joiner);
        let mut key = seat.key.clone();
        for flaw in flaws {
            self.spoil(*flaw, &mut body, &mut key);
        }
        if has(Flaw::SignedByInvitee) {
            key = joiner.key.clone();
        }
        let created = match () {
            () if has(Flaw::InviteeRemovedSince) => NOW,
            () if has(Flaw::FromTheFuture) => LATER.after(CLOCK_TOLERANCE_MS + 1),
            () if has(Flaw::Expired) => LATER.before(HOUR_MS + CLOCK_TOLERANCE_MS),
            () => LATER.before(1),
        };
        let context = SigningContext {
            key_id: key.public().to_string(),
            origin: body.inviter.to_string(),
            audience: match () {
                () if has(Flaw::ForEverybody) => Audience::Public,
                () if has(Flaw::OtherAudience) => Audience::Room([7; 32]),
                () => Audience::Room(self.world.hub.room().0),
            },
            created,
            expires: match () {
                () if has(Flaw::WithoutEnd) => None,
                () if has(Flaw::Expired) => Some(created.after(HOUR_MS)),
                () if has(Flaw::ForTooLong) => Some(created.after(MAX_TICKET_LIFETIME_MS + 1)),
                () => Some(created.after(3 * HOUR_MS)),
            },
        };
        let signed = Signed::sign(&body, &context, &key);
        let signed = Some(signed).filter(|_| !has(Flaw::NoTicket));
        join(&self.world, signed, &joiner)
    }

    fn joiner(&self, flaws: &[Flaw]) -> Person {
        let has = |flaw| flaws.contains(&flaw);
        let (guest, other) = (Person::new(8), Person::new(9));
        let mut joiner = match () {
            () if has(Flaw::InviteeRemovedSince) => self.removed.clone(),
            () if has(Flaw::KeepsOldLeaf) => {
                same_device_with_another_key(&self.world.seats[2].person)
            }
            () => guest,
        };
        if has(Flaw::StolenCertificate) {
            joiner.key = other.key.clone();
        }
        if has(Flaw::OtherAccountsHome) {
            joiner.identity.home_record = other.identity.home_record.clone();
        }
        if has(Flaw::OtherAccountsCertificate) {
            joiner.identity.chain = other.identity.chain.clone();
        }
        if has(Flaw::NoCertificate) {
            joiner.identity.chain.clear();
        }
        joiner
    }

    fn spoil(&self, flaw: Flaw, body: &mut Ticket, key: &mut SigningKey) {
        let other = Person::new(9);
        let second = &self.world.seats[2];
        match flaw {
            Flaw::OtherRoom => body.room = crate::RoomId([9; 32]),
            Flaw::OtherInvitee => body.invitee = other.account,
            Flaw::HigherRole => body.role = Role::Admin,
            Flaw::OldDeviceList => body.min_list_version = 2,
            Flaw::OtherInviter => body.inviter = second.person.account,
            Flaw::OtherLeafOfInviter => body.inviter_leaf = second.member.own_leaf(),
            Flaw::NoSuchLeafOfInviter => body.inviter_leaf = LeafIndex(u32::MAX),
            Flaw::SignedByAnotherMember => *key = second.person.key.clone(),
            Flaw::InviterRemoved => {
                body.inviter = self.removed.account;
                body.inviter_leaf = self.removed_leaf;
                *key = self.removed.key.clone();
            }
            Flaw::InviterNeverInside => {
                body.inviter = other.account;
                *key = other.key;
            }
            Flaw::NoTicket
            | Flaw::OtherAudience
            | Flaw::ForEverybody
            | Flaw::SignedByInvitee
            | Flaw::Expired
            | Flaw::FromTheFuture
            | Flaw::WithoutEnd
            | Flaw::ForTooLong
            | Flaw::InviterMayNot
            | Flaw::InviteeRemovedSince
            | Flaw::KeepsOldLeaf
            | Flaw::StolenCertificate
            | Flaw::OtherAccountsHome
            | Flaw::NoCertificate
            | Flaw::OtherAccountsCertificate => {}
        }
    }

    /// The verdict of the hub, after it was compared with that of every member.
    fn verdict(&self, bundle: &CommitBundle) -> Result<(), RuleFault> {
        let before = self.world.hub.snapshot();
        let checked = self.world.hub.check_commit(bundle, &[], LATER).map(|_| ());
        assert_eq!(self.world.hub.snapshot(), before);
        for seat in &self.world.seats {
            let mut member = Member::load(seat.member.room(), seat.table.0.clone()).expect("rows");
            let read = member.process(&bundle.commit, LATER).map(|_| ());
            match (&checked, &read) {
                (Ok(()), Ok(())) => continue,
                (Err(CommitFault::Rule(hub)), Err(ProcessFault::Rule(read))) if hub == read => {}
                (hub, read) => panic!("the hub says {hub:?}, a member {read:?}"),
            }
            assert!(member.take_delta().is_empty(), "a fault changes nothing");
        }
        checked.map_err(|fault| match fault {
            CommitFault::Rule(fault) => fault,
            other => panic!("{other}"),
        })
    }
}

/// The person's device under a new key, which the account itself has certified.
fn same_device_with_another_key(person: &Person) -> Person {
    let mut twin = person.second_device(700);
    let body = twin.identity.chain[0].claimed_body().expect("own");
    let context = twin.identity.chain[0].claimed_context().expect("own");
    let mut certificate = body;
    certificate.device.id = person.device.id;
    twin.identity.chain[0] = Signed::sign(&certificate, &context, &person.root);
    twin.device.id = person.device.id;
    twin
}

fn scenes() -> [Scene; 2] {
    [InviteRight::Members, InviteRight::Admins].map(Scene::new)
}

fn scene<'a>([open, closed]: &'a [Scene; 2], flaws: &[Flaw]) -> &'a Scene {
    if flaws.contains(&Flaw::InviterMayNot) {
        closed
    } else {
        open
    }
}

#[test]
fn c9_an_external_commit_is_judged_alike_by_hub_and_members() {
    let scenes = scenes();
    let verdict = |flaws: &[Flaw]| {
        let scene = scene(&scenes, flaws);
        scene.verdict(&scene.bundle(flaws))
    };
    assert_eq!(verdict(&[]), Ok(()));
    for flaw in FLAWS {
        let fault = verdict(&[flaw]).expect_err("refused");
        assert!(fits(flaw, &fault), "{flaw:?}: {fault:?}");
    }
    let mut rng = StdRng::seed_from_u64(9);
    for _ in 0..100 {
        let count = rng.gen_range(2..=4);
        let flaws: Vec<Flaw> = FLAWS.choose_multiple(&mut rng, count).copied().collect();
        let fault = verdict(&flaws).expect_err("refused");
        let known = flaws.iter().any(|flaw| fits(*flaw, &fault));
        assert!(known, "{flaws:?}: {fault:?}");
    }
}

#[test]
fn c9_an_external_commit_without_a_ticket_is_refused_by_hub_and_members() {
    let scene = Scene::new(InviteRight::Members);
    let bundle = scene.bundle(&[Flaw::NoTicket]);
    let fault = TicketFault::Missing.into();
    assert_eq!(scene.verdict(&bundle), Err(fault));
}

#[test]
fn c9_a_device_under_a_second_key_keeps_no_old_leaf_and_is_not_added_twice() {
    let scene = Scene::new(InviteRight::Members);
    let bundle = scene.bundle(&[Flaw::KeepsOldLeaf]);
    assert_eq!(scene.verdict(&bundle), Err(RuleFault::AlreadyMember));
    let mut world = scene.world;
    let twin = same_device_with_another_key(&world.seats[2].person);
    let (_, package) = twin.key_package(Suite::Classical);
    let founder = &mut world.seats[0];
    let add = founder.member.add(&[package], NOW, &founder.person.key);
    let add = add.expect("commits without looking");
    super::hostile::refused(&mut world, &add, &RuleFault::AlreadyMember);
    // Two keys of one device that is not in the room yet.
    let guest = Person::new(8);
    let packages = [guest.clone(), same_device_with_another_key(&guest)];
    let packages = packages.map(|person| person.key_package(Suite::Classical).1);
    let founder = &mut world.seats[0];
    let add = founder.member.add(&packages, NOW, &founder.person.key);
    let add = add.expect("commits without looking");
    super::hostile::refused(&mut world, &add, &RuleFault::AlreadyMember);
    // A device that is removed by the same commit may be added with its new key.
    let old = world.seats[2].member.own_leaf();
    let (mut store, package) = twin.key_package(Suite::Classical);
    let founder = &mut world.seats[0];
    let package = super::forge::verified(&package);
    let swap = founder.member.commit(&founder.person.key, |builder| {
        let builder = builder.propose_removals([old.into()]);
        Ok(builder.propose_adds([package]))
    });
    let swap = swap.expect("commits");
    world.commit(&swap).expect("a good commit");
    let offer = crate::WelcomeOffer {
        room: world.hub.room(),
        welcome: swap.welcome.expect("a Welcome"),
        tree: world.hub.ratchet_tree(),
    };
    let member = Member::join_by_welcome(&offer, &mut store).expect("is welcome");
    assert_eq!(member.epoch(), world.hub.epoch());
}
