//! How long a ticket lets somebody in, and how often.

use entente_identity::UnixMillis;

use super::hostile::{join, refused};
use super::world::{HOUR_MS, NOW, Person, World};
use crate::rules::RuleFault;
use crate::ticket::TicketFault;
use crate::{Member, MemberFault, Suite};

#[test]
fn c9_a_ticket_from_before_its_invitee_left_lets_nobody_in() {
    for by_itself in [false, true] {
        let mut world = World::of(Suite::Classical, 3);
        let guest = Person::new(8);
        let founder = &world.seats[0];
        let ticket = founder
            .member
            .issue_ticket(guest.account, 1, 9 * HOUR_MS, NOW, &founder.person.key)
            .expect("may invite");
        let bundle = join(&world, Some(ticket.clone()), &guest);
        world.commit(&bundle).expect("comes in by it");
        let leaf = world.hub.members().find(|m| m.account == guest.account);
        let leaf = leaf.expect("inside").leaf;
        let gone_at = UnixMillis(NOW.0 + HOUR_MS);
        if by_itself {
            let (_, back) =
                Member::resync(&world.offer(), &guest.identity, &guest.key).expect("in");
            world
                .commit(&back)
                .expect("comes back, which is no departure");
            let bundle = join(&world, Some(ticket.clone()), &guest);
            assert!(
                world.check(&bundle).is_ok(),
                "it comes back as often as it likes"
            );
        }
        let founder = &mut world.seats[0];
        let bundle = founder.member.remove_device(leaf, &founder.person.key);
        world
            .commit_at(&bundle.expect("an admin"), gone_at)
            .expect("a good commit");
        let fault = RuleFault::Ticket(TicketFault::InviteeLeft);
        let again = join(&world, Some(ticket.clone()), &guest);
        refused(&mut world, &again, &fault);
        // By another device of the account, too.
        let second = join(&world, Some(ticket.clone()), &guest.second_device(8));
        refused(&mut world, &second, &fault);
        // An inviter whose clock is behind invites anew.
        let founder = &world.seats[0];
        let anew = founder
            .member
            .issue_ticket(guest.account, 1, 9 * HOUR_MS, NOW, &founder.person.key)
            .expect("may invite");
        let bundle = join(&world, Some(anew), &guest);
        let later = gone_at.after(1);
        world.commit_at(&bundle, later).expect("is invited again");
    }
}

#[test]
fn c9_a_ticket_serves_each_device_of_its_account_once() {
    let mut world = World::of(Suite::Classical, 2);
    let guest = Person::new(8);
    let founder = &world.seats[0];
    let ticket = founder
        .member
        .issue_ticket(guest.account, 1, HOUR_MS, NOW, &founder.person.key)
        .expect("may invite");
    for device in [guest.clone(), guest.second_device(8)] {
        let bundle = join(&world, Some(ticket.clone()), &device);
        world.commit(&bundle).expect("a good commit");
        let offer = world.offer();
        let again = Member::join_by_ticket(&offer, &ticket, &device.identity, &device.key, NOW);
        let fault = MemberFault::Rule(RuleFault::AlreadyMember);
        assert_eq!(again.map(|_| ()), Err(fault));
    }
    assert_eq!(world.hub.members().len(), 4);
}
