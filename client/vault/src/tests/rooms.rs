//! Founding, inviting, joining, adding, leaving, removing.

use entente_client_core::event::{Event, MembershipChange};
use entente_client_core::goal::Goal;
use entente_client_core::message::HandleTrust;
use entente_client_core::room::RoomState;
use entente_groups::{InviteRight, Role, Suite};
use entente_protocol::entry::Seq;
use entente_protocol::fault::FaultCode;

use super::hub::Hub;
use super::phone::{Phone, settle};
use crate::{GoalFate, NewRoom, VaultError};

#[test]
fn a_founded_room_is_there_once_its_hub_says_so() {
    let mut hub = Hub::default();
    let mut alice = Phone::new("alice@org-a.example", &mut hub);
    for suite in Suite::ALL {
        let new = NewRoom {
            suite,
            invite: InviteRight::Admins,
            ..NewRoom::named("Tea")
        };
        let (room, goal) = alice
            .at(hub.time(), |vault, moment| vault.found_room(&new, moment))
            .expect("founded");
        assert_eq!(alice.state(&room), RoomState::Creating);
        alice.turn(&mut hub);
        assert_eq!(alice.vault.goal_fate(goal), Ok(GoalFate::Done));
        let summary = alice.vault.room(&room).expect("a room");
        assert_eq!(summary.state, RoomState::Active);
        assert_eq!(
            (summary.suite, summary.invite),
            (suite, InviteRight::Admins)
        );
        assert_eq!((summary.role, summary.members), (Role::Admin, 1));
        assert_eq!(summary.name, "Tea");
    }
    assert_eq!(alice.problems(), []);
}

#[test]
fn an_invited_person_joins_and_both_talk() {
    let mut hub = Hub::default();
    let mut alice = Phone::new("alice@org-a.example", &mut hub);
    let mut bob = Phone::new("bob@org-b.example", &mut hub);
    let room = alice.found("Tea", &mut hub);
    alice.invite(&room, &mut bob, &mut hub);
    assert_eq!(bob.join(&mut hub), room);
    assert_eq!(bob.state(&room), RoomState::Active);
    assert_eq!(bob.vault.room(&room).expect("a room").name, "Tea");
    alice.turn(&mut hub);
    let both = ["alice@org-a.example", "bob@org-b.example"];
    assert_eq!(alice.members(&room), both);
    assert_eq!(bob.members(&room), both);
    // Alice resolved Bob's handle when she invited him; Bob only knows what Alice says.
    let trust = |phone: &mut Phone| {
        let members = phone.vault.members(&room).expect("members");
        members.iter().map(|m| m.trust).collect::<Vec<_>>()
    };
    assert_eq!(trust(&mut alice), [HandleTrust::Confirmed; 2]);
    assert_eq!(
        trust(&mut bob),
        [HandleTrust::Claimed, HandleTrust::Confirmed]
    );
    alice.write(&room, "hello", &hub);
    alice.turn(&mut hub);
    bob.turn(&mut hub);
    bob.write(&room, "hi", &hub);
    settle(&mut hub, &mut [&mut bob, &mut alice]);
    assert_eq!(alice.texts(&room), ["hello", "hi"]);
    assert_eq!(bob.texts(&room), ["hello", "hi"]);
    assert_eq!(alice.vault.room(&room).expect("a room").unread, 1);
    let last = alice.vault.room(&room).expect("a room").cursor;
    for (seq, unread) in [(Seq(last.0 - 1), 1), (Seq(u64::MAX), 0), (Seq(1), 0)] {
        let marked = alice.at(hub.time(), |vault, moment| {
            vault.mark_read_to(&room, seq, moment)
        });
        marked.expect("a room");
        assert_eq!(alice.vault.room(&room).expect("a room").unread, unread);
    }
    assert_eq!((alice.problems(), bob.problems()), (vec![], vec![]));
    let again = alice.at(hub.time(), |vault, moment| {
        vault.invite(&room, &bob.person(), moment)
    });
    assert!(matches!(again, Err(VaultError::AlreadyMember(_))));
}

#[test]
fn an_added_person_is_in_while_it_was_away_and_learns_the_name() {
    let mut hub = Hub::default();
    let mut alice = Phone::new("alice@org-a.example", &mut hub);
    let mut bob = Phone::new("bob@org-b.example", &mut hub);
    let room = alice.found("Tea", &mut hub);
    alice.add(&room, &mut bob, &mut hub);
    alice.write(&room, "welcome", &hub);
    alice.turn(&mut hub);
    settle(&mut hub, &mut [&mut bob, &mut alice]);
    assert_eq!(bob.state(&room), RoomState::Active);
    assert_eq!(bob.vault.room(&room).expect("a room").name, "Tea");
    assert_eq!(bob.texts(&room), ["welcome"]);
    let added = alice.events().into_iter().any(|event| {
        matches!(
            event,
            Event::Membership {
                change: MembershipChange::Added,
                by: Some(_),
                ..
            }
        )
    });
    assert!(added);
    assert_eq!((alice.problems(), bob.problems()), (vec![], vec![]));
}

#[test]
fn who_leaves_is_gone_at_once_and_somebody_lets_it_go() {
    let mut hub = Hub::default();
    let mut alice = Phone::new("alice@org-a.example", &mut hub);
    let mut bob = Phone::new("bob@org-b.example", &mut hub);
    let mut carol = Phone::new("carol@org-b.example", &mut hub);
    let room = alice.found("Tea", &mut hub);
    alice.add(&room, &mut bob, &mut hub);
    alice.add(&room, &mut carol, &mut hub);
    settle(&mut hub, &mut [&mut bob, &mut carol, &mut alice]);
    bob.at(hub.time(), |vault, moment| {
        vault.want(&room, &Goal::Leave, moment)
    })
    .expect("wanted");
    bob.turn(&mut hub);
    assert_eq!(bob.state(&room), RoomState::Left);
    alice.sync(&mut hub);
    assert_eq!(alice.members(&room).len(), 2);
    // A message has to wait for the commit, and brings it forward.
    alice.write(&room, "after bob", &hub);
    settle(&mut hub, &mut [&mut alice, &mut carol, &mut bob]);
    assert_eq!(carol.texts(&room), ["after bob"]);
    assert_eq!(bob.texts(&room), [""; 0]);
    assert_eq!(hub.rooms[&room].public.members().len(), 2);
    for phone in [&mut alice, &mut bob, &mut carol] {
        assert_eq!(phone.problems(), []);
    }
    let refused = bob.at(hub.time(), |vault, moment| {
        let content = entente_protocol::content::Content::text("x", &mut rand::rngs::OsRng);
        vault.write_message(&room, &content, moment)
    });
    assert_eq!(refused, Err(VaultError::RoomState(RoomState::Left)));
    // With a new invitation Bob comes back.
    alice.invite(&room, &mut bob, &mut hub);
    bob.join(&mut hub);
    alice.turn(&mut hub);
    alice.write(&room, "again", &hub);
    settle(&mut hub, &mut [&mut alice, &mut bob]);
    assert_eq!(bob.texts(&room), ["again"]);
    assert_eq!(bob.problems(), []);
}

#[test]
fn a_removed_person_knows_and_keeps_nothing_but_the_history() {
    let mut hub = Hub::default();
    let mut alice = Phone::new("alice@org-a.example", &mut hub);
    let mut bob = Phone::new("bob@org-b.example", &mut hub);
    let room = alice.found("Tea", &mut hub);
    alice.add(&room, &mut bob, &mut hub);
    alice.write(&room, "hello", &hub);
    settle(&mut hub, &mut [&mut alice, &mut bob]);
    let account = bob.who.account;
    let not_allowed = bob
        .at(hub.time(), |vault, moment| {
            vault.want(&room, &Goal::Remove(alice.who.account), moment)
        })
        .expect("wanted");
    bob.turn(&mut hub);
    let fate = bob.vault.goal_fate(not_allowed).expect("a goal");
    assert!(
        matches!(fate, GoalFate::Failed { code: None, .. }),
        "{fate:?}"
    );
    alice
        .at(hub.time(), |vault, moment| {
            vault.want(&room, &Goal::Remove(account), moment)
        })
        .expect("wanted");
    alice.turn(&mut hub);
    let stuck = bob.write(&room, "too late", &hub);
    settle(&mut hub, &mut [&mut bob]);
    assert_eq!(bob.state(&room), RoomState::Removed);
    assert_eq!(
        bob.message_state(&room, &stuck),
        entente_client_core::message::MessageState::Failed(FaultCode::NotMember)
    );
    assert_eq!(bob.texts(&room), ["hello", "too late"]);
    let rows: u32 = bob
        .vault
        .connection
        .query_row("SELECT count(*) FROM mls_state", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(rows, 0);
    assert_eq!(alice.members(&room), ["alice@org-a.example"]);
}

#[test]
fn roles_and_rights_change_for_everybody() {
    let mut hub = Hub::default();
    let mut alice = Phone::new("alice@org-a.example", &mut hub);
    let mut bob = Phone::new("bob@org-b.example", &mut hub);
    let room = alice.found("Tea", &mut hub);
    alice.add(&room, &mut bob, &mut hub);
    settle(&mut hub, &mut [&mut bob]);
    for goal in [
        Goal::MakeAdmin(bob.who.account),
        Goal::SetInvite(InviteRight::Admins),
    ] {
        alice
            .at(hub.time(), |vault, moment| vault.want(&room, &goal, moment))
            .expect("wanted");
        alice.turn(&mut hub);
    }
    settle(&mut hub, &mut [&mut bob, &mut alice]);
    let seen = bob.vault.room(&room).expect("a room");
    assert_eq!((seen.role, seen.invite), (Role::Admin, InviteRight::Admins));
    let roles: Vec<Role> = alice
        .vault
        .members(&room)
        .expect("members")
        .iter()
        .map(|m| m.role)
        .collect();
    assert_eq!(roles, [Role::Admin; 2]);
}

#[test]
fn a_new_name_reaches_everybody_and_who_joins_with_an_old_invitation() {
    let mut hub = Hub::default();
    let mut alice = Phone::new("alice@org-a.example", &mut hub);
    let mut bob = Phone::new("bob@org-b.example", &mut hub);
    let mut carol = Phone::new("carol@org-b.example", &mut hub);
    let room = alice.found("Tea", &mut hub);
    alice.add(&room, &mut bob, &mut hub);
    alice.invite(&room, &mut carol, &mut hub);
    settle(&mut hub, &mut [&mut bob, &mut alice]);
    bob.at(hub.time(), |vault, moment| {
        vault.rename(&room, "Coffee", "black", moment)
    })
    .expect("renamed");
    settle(&mut hub, &mut [&mut bob, &mut alice]);
    carol.join(&mut hub);
    settle(&mut hub, &mut [&mut alice, &mut bob, &mut carol]);
    for phone in [&mut alice, &mut bob, &mut carol] {
        let summary = phone.vault.room(&room).expect("a room");
        assert_eq!(
            (summary.name.as_str(), summary.topic.as_str()),
            ("Coffee", "black")
        );
        assert_eq!(phone.problems(), []);
    }
}

#[test]
fn a_declined_invitation_is_not_shown_again() {
    let mut hub = Hub::default();
    let mut alice = Phone::new("alice@org-a.example", &mut hub);
    let mut bob = Phone::new("bob@org-b.example", &mut hub);
    let room = alice.found("Tea", &mut hub);
    alice.invite(&room, &mut bob, &mut hub);
    bob.turn(&mut hub);
    let invites = bob.vault.open_invites(hub.time()).expect("invitations");
    assert_eq!(invites.len(), 1);
    assert_eq!((invites[0].room, invites[0].name.as_str()), (room, "Tea"));
    let id = invites[0].id;
    bob.at(hub.time(), |vault, moment| vault.decline_invite(id, moment))
        .expect("declined");
    assert_eq!(bob.vault.open_invites(hub.time()), Ok(vec![]));
    let gone = bob.at(hub.time(), |vault, moment| vault.accept_invite(id, moment));
    assert_eq!(gone.err(), Some(VaultError::NoSuchInvite(id)));
}
