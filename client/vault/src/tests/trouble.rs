//! What goes wrong: races, lost answers, lost state, a hub that lies.

use entente_client_core::event::ProblemKind;
use entente_client_core::goal::{Goal, GoalState};
use entente_client_core::room::RoomState;
use entente_groups::{InviteRight, LeafIndex, MessageId, RoomId};
use entente_identity::{decode_exact, encode};
use entente_protocol::entry::{CommitBody, Entry, EntryKind};
use entente_protocol::fault::FaultCode;

use super::hub::{Hub, hub_did};
use super::phone::{Phone, refused, settle};
use crate::{GoalFate, PageOutcome, ProfileFolder, Unlock, Vault, VaultError, VaultKey, Work};

fn pair(hub: &mut Hub) -> (Phone, Phone, RoomId) {
    let mut alice = Phone::new("alice@org-a.example", hub);
    let mut bob = Phone::new("bob@org-b.example", hub);
    let room = alice.found("Tea", hub);
    alice.add(&room, &mut bob, hub);
    settle(hub, &mut [&mut bob, &mut alice]);
    (alice, bob, room)
}

fn kinds(phone: &mut Phone) -> Vec<ProblemKind> {
    phone
        .problems()
        .iter()
        .map(|problem| problem.kind)
        .collect()
}

#[test]
fn of_two_commits_at_once_one_wins_and_the_other_is_made_again() {
    let mut hub = Hub::default();
    let (mut alice, mut bob, room) = pair(&mut hub);
    alice
        .at(hub.time(), |vault, moment| {
            vault.want(&room, &Goal::MakeAdmin(bob.who.account), moment)
        })
        .expect("wanted");
    settle(&mut hub, &mut [&mut alice, &mut bob]);
    let want = |phone: &mut Phone, hub: &Hub, goal: Goal| {
        phone
            .at(hub.time(), |vault, moment| vault.want(&room, &goal, moment))
            .expect("wanted")
    };
    let mut carol = Phone::new("carol@org-b.example", &mut hub);
    let first = want(&mut alice, &hub, Goal::SetInvite(InviteRight::Admins));
    let second = want(&mut bob, &hub, Goal::MakeMember(alice.who.account));
    // Both make their commits in the same epoch before either is ordered.
    let calls = |phone: &mut Phone, hub: &Hub| {
        phone
            .at(hub.time(), |vault, moment| vault.due_work(moment))
            .expect("work")
    };
    let (from_alice, from_bob) = (calls(&mut alice, &hub), calls(&mut bob, &hub));
    assert_eq!((from_alice.len(), from_bob.len()), (1, 1));
    settle(&mut hub, &mut [&mut alice, &mut bob]);
    assert_eq!(alice.vault.goal_fate(first), Ok(GoalFate::Done));
    assert_eq!(bob.vault.goal_fate(second), Ok(GoalFate::Done));
    alice.sync(&mut hub);
    let seen = alice.vault.room(&room).expect("a room");
    assert_eq!(seen.invite, InviteRight::Admins);
    assert_eq!(seen.role, entente_groups::Role::Member);
    bob.add(&room, &mut carol, &mut hub);
    settle(&mut hub, &mut [&mut alice, &mut bob, &mut carol]);
    assert_eq!(alice.members(&room).len(), 3);
    assert_eq!((alice.problems(), bob.problems()), (vec![], vec![]));
}

#[test]
fn a_commit_whose_answer_was_lost_is_merged_when_its_entry_comes() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut hub = Hub::default();
    let mut bob = Phone::new("bob@org-b.example", &mut hub);
    let path = folder.path().join("alice");
    let mut alice = Phone::in_folder(&path, "alice@org-a.example", &mut hub);
    let room = alice.found("Tea", &mut hub);
    alice.add(&room, &mut bob, &mut hub);
    settle(&mut hub, &mut [&mut alice, &mut bob]);
    let goal = alice
        .at(hub.time(), |vault, moment| {
            vault.want(&room, &Goal::SetInvite(InviteRight::Admins), moment)
        })
        .expect("wanted");
    let work = alice
        .at(hub.time(), |vault, moment| vault.due_work(moment))
        .expect("work");
    let [Work::Call { request, .. }] = work.as_slice() else {
        panic!("one call");
    };
    let who = alice.who.clone();
    hub.call(&who, request).expect("ordered");
    let entries = hub.rooms[&room].log.len();
    alice.restart();
    assert_eq!(
        alice.vault.goal_fate(goal),
        Ok(GoalFate::Open(GoalState::InFlight))
    );
    // The same call again gives the same answer and no second entry.
    alice.work(&mut hub);
    assert_eq!(hub.rooms[&room].log.len(), entries);
    assert_eq!(
        alice.vault.goal_fate(goal),
        Ok(GoalFate::Open(GoalState::Ordered))
    );
    alice.restart();
    alice.sync(&mut hub);
    assert_eq!(alice.vault.goal_fate(goal), Ok(GoalFate::Done));
    alice.write(&room, "after", &hub);
    settle(&mut hub, &mut [&mut alice, &mut bob]);
    assert_eq!(bob.texts(&room), ["after"]);
    assert_eq!(alice.problems(), []);
}

#[test]
fn an_answer_to_a_call_that_another_process_replaced_is_not_taken_for_the_new_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut hub = Hub::default();
    let mut bob = Phone::new("bob@org-b.example", &mut hub);
    let path = folder.path().join("alice");
    let mut alice = Phone::in_folder(&path, "alice@org-a.example", &mut hub);
    let room = alice.found("Tea", &mut hub);
    alice.add(&room, &mut bob, &mut hub);
    settle(&mut hub, &mut [&mut alice, &mut bob]);
    let goal = alice
        .at(hub.time(), |vault, moment| {
            vault.want(&room, &Goal::SetInvite(InviteRight::Admins), moment)
        })
        .expect("wanted");
    let mut other = alice.second_process();
    let ask = |phone: &mut Phone, hub: &Hub| {
        phone
            .at(hub.time(), |vault, moment| vault.due_work(moment))
            .expect("work")
    };
    // Both processes send the same call; both are told that another commit was first.
    assert_eq!(
        (ask(&mut alice, &hub).len(), ask(&mut other, &hub).len()),
        (1, 1)
    );
    let answer = refused(FaultCode::WrongEpoch);
    let tell = |phone: &mut Phone, hub: &Hub| {
        phone
            .at(hub.time(), |vault, moment| {
                vault.goal_answered(goal, &answer, moment)
            })
            .expect("noted");
    };
    tell(&mut alice, &hub);
    hub.now += 60_000;
    let anew = ask(&mut alice, &hub);
    let [Work::Call { request, .. }] = anew.as_slice() else {
        panic!("one call");
    };
    hub.call(&alice.who.clone(), request).expect("ordered");
    tell(&mut other, &hub);
    settle(&mut hub, &mut [&mut alice, &mut other, &mut bob]);
    assert_eq!(alice.vault.goal_fate(goal), Ok(GoalFate::Done));
    assert_eq!((alice.problems(), bob.problems()), (vec![], vec![]));
}

#[test]
fn a_join_whose_answer_was_lost_is_completed_by_its_entry_or_by_asking_again() {
    for by_entry in [true, false] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut hub = Hub::default();
        let mut alice = Phone::new("alice@org-a.example", &mut hub);
        let path = folder.path().join("bob");
        let mut bob = Phone::in_folder(&path, "bob@org-b.example", &mut hub);
        let room = alice.found("Tea", &mut hub);
        alice.invite(&room, &mut bob, &mut hub);
        bob.sync(&mut hub);
        let invite = bob.vault.open_invites(hub.time()).expect("invitations")[0].id;
        bob.at(hub.time(), |vault, moment| {
            vault.accept_invite(invite, moment)
        })
        .expect("accepted");
        bob.work(&mut hub);
        let work = bob
            .at(hub.time(), |vault, moment| vault.due_work(moment))
            .expect("work");
        let [Work::Call { request, .. }] = work.as_slice() else {
            panic!("one call");
        };
        hub.call(&bob.who.clone(), request).expect("ordered");
        bob.restart();
        assert_eq!(bob.state(&room), RoomState::Joining);
        if by_entry {
            bob.sync(&mut hub);
        } else {
            bob.work(&mut hub);
        }
        assert_eq!(bob.state(&room), RoomState::Active);
        bob.write(&room, "here", &hub);
        settle(&mut hub, &mut [&mut bob, &mut alice]);
        assert_eq!(alice.texts(&room), ["here"]);
        assert_eq!(bob.problems(), []);
    }
}

#[test]
fn a_refused_change_leaves_the_room_as_it_was() {
    let mut hub = Hub::default();
    let (mut alice, _bob, room) = pair(&mut hub);
    let goal = alice
        .at(hub.time(), |vault, moment| {
            vault.want(&room, &Goal::SetInvite(InviteRight::Admins), moment)
        })
        .expect("wanted");
    alice
        .at(hub.time(), |vault, moment| vault.due_work(moment))
        .expect("work");
    let answer = refused(FaultCode::TooLarge);
    alice
        .at(hub.time(), |vault, moment| {
            vault.goal_answered(goal, &answer, moment)
        })
        .expect("noted");
    let fate = alice.vault.goal_fate(goal).expect("a goal");
    assert!(matches!(
        fate,
        GoalFate::Failed {
            code: Some(FaultCode::TooLarge),
            ..
        }
    ));
    alice.write(&room, "still here", &hub);
    alice.turn(&mut hub);
    assert_eq!(alice.state(&room), RoomState::Active);
    assert_eq!(kinds(&mut alice), [ProblemKind::ChangeFailed]);
}

#[test]
fn a_leave_that_lost_its_race_is_made_again_and_others_go_on() {
    let mut hub = Hub::default();
    let (mut alice, mut bob, room) = pair(&mut hub);
    bob.at(hub.time(), |vault, moment| {
        vault.want(&room, &Goal::Leave, moment)
    })
    .expect("wanted");
    bob.at(hub.time(), |vault, moment| vault.due_work(moment))
        .expect("work");
    alice
        .at(hub.time(), |vault, moment| {
            vault.want(&room, &Goal::SetInvite(InviteRight::Admins), moment)
        })
        .expect("wanted");
    alice.turn(&mut hub);
    settle(&mut hub, &mut [&mut bob, &mut alice]);
    assert_eq!(bob.state(&room), RoomState::Left);
    settle(&mut hub, &mut [&mut alice]);
    assert_eq!(alice.members(&room), ["alice@org-a.example"]);
    assert_eq!((alice.problems(), bob.problems()), (vec![], vec![]));
}

#[test]
fn a_device_that_lost_its_state_comes_back_by_itself() {
    let mut hub = Hub::default();
    let (mut alice, mut bob, room) = pair(&mut hub);
    // Bob's vault is an old copy in this room: a commit cannot be followed with these keys.
    let rows: Vec<(Vec<u8>, Vec<u8>)> = {
        let mut statement = bob
            .vault
            .connection
            .prepare("SELECT key, value FROM mls_state")
            .expect("a statement");
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.expect("rows").collect::<Result<_, _>>().expect("rows")
    };
    let want = |phone: &mut Phone, hub: &mut Hub, right| {
        phone
            .at(hub.time(), |vault, moment| {
                vault.want(&room, &Goal::SetInvite(right), moment)
            })
            .expect("wanted");
        phone.turn(hub);
    };
    want(&mut alice, &mut hub, InviteRight::Admins);
    bob.sync(&mut hub);
    for (key, value) in rows {
        bob.vault
            .connection
            .execute(
                "INSERT OR REPLACE INTO mls_state (room, key, value) VALUES (1, ?1, ?2)",
                (key, value),
            )
            .expect("written");
    }
    bob.vault
        .connection
        .execute("UPDATE room SET version = version + 1", [])
        .expect("written");
    want(&mut alice, &mut hub, InviteRight::Members);
    alice.write(&room, "missed", &hub);
    alice.turn(&mut hub);
    bob.sync(&mut hub);
    assert_eq!(bob.state(&room), RoomState::Broken);
    let waiting = bob.write(&room, "from bob", &hub);
    settle(&mut hub, &mut [&mut bob, &mut alice]);
    assert_eq!(bob.state(&room), RoomState::Active);
    assert!(bob.message_state(&room, &waiting).position().is_some());
    alice.write(&room, "hello again", &hub);
    settle(&mut hub, &mut [&mut alice, &mut bob]);
    assert_eq!(bob.texts(&room), ["from bob", "hello again"]);
    assert_eq!(alice.texts(&room), ["missed", "from bob", "hello again"]);
    assert_eq!(
        kinds(&mut bob),
        [ProblemKind::LostTrack, ProblemKind::Missed]
    );
    assert_eq!(alice.problems(), []);
}

#[test]
fn entries_that_come_twice_or_in_pieces_are_read_once() {
    let mut hub = Hub::default();
    let (mut alice, mut bob, room) = pair(&mut hub);
    for text in ["one", "two", "three"] {
        alice.write(&room, text, &hub);
    }
    alice.turn(&mut hub);
    let entries = hub.entries(&room, bob.who.device, 0);
    let feed = |bob: &mut Phone, entries: &[Entry]| {
        bob.at(hub.time(), |vault, moment| {
            vault.read_entries(&room, &hub_did(), entries, moment)
        })
    };
    let last = entries.len();
    for told in [0, 1, 1] {
        assert_eq!(feed(&mut bob, &entries[last - 1..]), Ok(PageOutcome::Gap));
        assert_eq!(kinds(&mut bob), vec![ProblemKind::Gap; told]);
    }
    for end in 1..=last {
        assert_eq!(feed(&mut bob, &entries[..end]), Ok(PageOutcome::Read));
    }
    assert_eq!(bob.texts(&room), ["one", "two", "three"]);
    assert_eq!(feed(&mut bob, &entries), Ok(PageOutcome::Read));
    assert_eq!(bob.texts(&room).len(), 3);
    let unknown = alice.at(hub.time(), |vault, moment| {
        vault.read_entries(&RoomId([7; 32]), &hub_did(), &entries, moment)
    });
    assert_eq!(unknown, Ok(PageOutcome::UnknownRoom));
}

#[test]
fn a_second_history_freezes_the_room_until_the_person_decides() {
    let mut hub = Hub::default();
    let (mut alice, mut bob, room) = pair(&mut hub);
    alice.write(&room, "true", &hub);
    alice.turn(&mut hub);
    bob.sync(&mut hub);
    let mut other = hub.rooms[&room].log.last().expect("an entry").clone();
    other.header.message_id = MessageId([9; 16]);
    let outcome = bob.at(hub.time(), |vault, moment| {
        vault.read_entries(&room, &hub_did(), &[other], moment)
    });
    assert_eq!(outcome, Ok(PageOutcome::NotFollowed));
    assert_eq!(bob.state(&room), RoomState::Frozen);
    assert_eq!(kinds(&mut bob), [ProblemKind::Forked]);
    let evidence: u32 = bob
        .vault
        .connection
        .query_row("SELECT count(*) FROM evidence", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(evidence, 1);
    settle(&mut hub, &mut [&mut bob]);
    assert_eq!(
        bob.state(&room),
        RoomState::Frozen,
        "nothing goes on by itself"
    );
    bob.at(hub.time(), |vault, moment| {
        vault.want(&room, &Goal::Resync, moment)
    })
    .expect("wanted");
    settle(&mut hub, &mut [&mut bob, &mut alice]);
    assert_eq!(bob.state(&room), RoomState::Active);
    bob.write(&room, "back", &hub);
    settle(&mut hub, &mut [&mut bob, &mut alice]);
    assert_eq!(alice.texts(&room), ["true", "back"]);
}

#[test]
fn a_hub_that_vouches_for_the_wrong_sender_is_noticed() {
    let mut hub = Hub::default();
    let (mut alice, mut bob, room) = pair(&mut hub);
    alice.write(&room, "hello", &hub);
    alice.hand_over(&mut hub);
    let log = &mut hub.rooms.get_mut(&room).expect("a room").log;
    let last = log.last_mut().expect("an entry");
    last.header.sender = LeafIndex(7);
    bob.sync(&mut hub);
    assert_eq!(kinds(&mut bob), [ProblemKind::SenderMismatch]);
    assert_eq!(bob.texts(&room), [""; 0]);
}

#[test]
fn a_hub_that_hides_a_member_from_the_others_is_noticed() {
    let mut hub = Hub::default();
    let (mut alice, mut bob, room) = pair(&mut hub);
    let mut carol = Phone::new("carol@org-b.example", &mut hub);
    alice.add(&room, &mut carol, &mut hub);
    let log = &mut hub.rooms.get_mut(&room).expect("a room").log;
    let commit = log.iter_mut().rfind(|e| e.header.kind == EntryKind::Commit);
    let commit = commit.expect("a commit");
    let mut body: CommitBody = decode_exact("body", commit.body.as_slice()).expect("a body");
    body.roster.joined.clear();
    commit.body = encode(&body).into();
    commit.header.body_hash = Entry::body_hash(commit.body.as_slice());
    bob.sync(&mut hub);
    assert!(kinds(&mut bob).contains(&ProblemKind::RosterMismatch));
    assert_eq!(bob.members(&room).len(), 3, "MLS decides who is in");
}

#[test]
fn a_replayed_ciphertext_is_dropped() {
    let mut hub = Hub::default();
    let (mut alice, mut bob, room) = pair(&mut hub);
    alice.write(&room, "once", &hub);
    alice.turn(&mut hub);
    let (who, time) = (alice.who.clone(), hub.time());
    let hub_room = hub.rooms.get_mut(&room).expect("a room");
    let first = hub_room.log.last().expect("an entry").clone();
    for id in [first.header.message_id, MessageId([8; 16])] {
        let part = (
            EntryKind::Application,
            first.header.epoch,
            first.header.sender,
        );
        hub_room.order(&who, part, id, first.body.as_slice().to_vec(), time);
    }
    bob.sync(&mut hub);
    assert_eq!(bob.texts(&room), ["once"]);
    // To the sender it is a message in its name that it did not send.
    alice.sync(&mut hub);
    assert_eq!(alice.texts(&room), ["once"]);
    assert_eq!(kinds(&mut alice), [ProblemKind::SenderMismatch; 2]);
}

#[test]
fn nothing_opens_a_vault_but_its_key() {
    let parent = tempfile::tempdir().expect("a folder");
    let path = parent.path().join("alice");
    let mut hub = Hub::default();
    let mut alice = Phone::in_folder(&path, "alice@org-a.example", &mut hub);
    let room = alice.found("Tea", &mut hub);
    alice.write(&room, "a secret in plain words", &hub);
    alice.restart();
    let (folder, _) = ProfileFolder::open(&path, &Unlock::KeyFile).expect("a profile");
    let wrong = Vault::open(&folder, &VaultKey::from_bytes([1; 32]));
    assert_eq!(wrong.err(), Some(VaultError::WrongKey));
    for file in std::fs::read_dir(&path).expect("a folder") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("readable");
        for plain in ["secret in plain", "SQLite format", "alice@org-a"] {
            let found = bytes.windows(plain.len()).any(|w| w == plain.as_bytes());
            assert!(!found, "`{plain}` is readable on disk");
        }
    }
    assert_eq!(alice.texts(&room), ["a secret in plain words"]);
}
