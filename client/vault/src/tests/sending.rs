//! Messages on their way: refusals, repetitions, crashes, late ones, two processes.

use entente_client_core::goal::Goal;
use entente_client_core::message::{MessageState, Milestone};
use entente_groups::RoomId;
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::flow::{DeviceItem, RefusedItem, SubmitOutcome, SubmitReply};

use super::hub::Hub;
use super::phone::{Phone, seq_of, settle};

fn pair(hub: &mut Hub) -> (Phone, Phone, RoomId) {
    let mut alice = Phone::new("alice@org-a.example", hub);
    let mut bob = Phone::new("bob@org-b.example", hub);
    let room = alice.found("Tea", hub);
    alice.add(&room, &mut bob, hub);
    settle(hub, &mut [&mut bob, &mut alice]);
    (alice, bob, room)
}

/// Makes a commit that changes nothing that matters: the right to invite, back and forth.
fn stir(phone: &mut Phone, room: &RoomId, hub: &mut Hub) {
    use entente_groups::InviteRight;
    let now = phone.vault.room(room).expect("a room").invite;
    let other = match now {
        InviteRight::Admins => InviteRight::Members,
        InviteRight::Members => InviteRight::Admins,
    };
    phone
        .at(hub.time(), |vault, moment| {
            vault.want(room, &Goal::SetInvite(other), moment)
        })
        .expect("wanted");
    phone.work(hub);
    phone.read(room, hub);
}

#[test]
fn states_follow_what_the_server_says_and_the_log_shows() {
    let mut hub = Hub::default();
    let (mut alice, _bob, room) = pair(&mut hub);
    let id = alice.write(&room, "hello", &hub);
    assert_eq!(alice.message_state(&room, &id), MessageState::Waiting);
    let stored = SubmitReply {
        room,
        message_id: id,
        outcome: SubmitOutcome::Stored,
    };
    alice
        .at(hub.time(), |vault, moment| {
            vault.submit_replies(std::slice::from_ref(&stored), moment)
        })
        .expect("noted");
    assert_eq!(alice.message_state(&room, &id), MessageState::Stored);
    assert_eq!(alice.vault.outbox().expect("outbox").len(), 1);
    alice.hand_over(&mut hub);
    let ordered = alice.message_state(&room, &id);
    assert!(ordered.has_reached(Milestone::Ordered));
    assert_eq!(seq_of(ordered), Some(hub.rooms[&room].head().seq));
    alice.sync(&mut hub);
    let delivered = alice.message_state(&room, &id);
    assert!(matches!(delivered, MessageState::Delivered(_)));
    assert_eq!(alice.vault.outbox().expect("outbox").len(), 0);
    let left: u32 = alice
        .vault
        .connection
        .query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(left, 0);
    assert_eq!(alice.problems(), []);
}

#[test]
fn a_message_of_a_past_epoch_is_read_by_all_who_were_there() {
    let mut hub = Hub::default();
    let (mut alice, mut bob, room) = pair(&mut hub);
    let mut carol = Phone::new("carol@org-b.example", &mut hub);
    bob.write(&room, "late", &hub);
    stir(&mut alice, &room, &mut hub);
    stir(&mut alice, &room, &mut hub);
    // Carol comes in after the message was encrypted and before it is ordered.
    alice.add(&room, &mut carol, &mut hub);
    bob.hand_over(&mut hub);
    settle(&mut hub, &mut [&mut alice, &mut bob, &mut carol]);
    assert_eq!(alice.texts(&room), ["late"]);
    assert_eq!(bob.texts(&room), ["late"]);
    assert_eq!(carol.texts(&room), [""; 0]);
    for phone in [&mut alice, &mut bob, &mut carol] {
        assert_eq!(phone.problems(), []);
    }
}

#[test]
fn a_message_that_is_too_late_is_encrypted_again_under_its_id() {
    let mut hub = Hub::default();
    let (mut alice, mut bob, room) = pair(&mut hub);
    let id = bob.write(&room, "again", &hub);
    for _ in 0..4 {
        stir(&mut alice, &room, &mut hub);
    }
    bob.hand_over(&mut hub);
    assert_eq!(bob.message_state(&room, &id), MessageState::Waiting);
    settle(&mut hub, &mut [&mut bob, &mut alice]);
    assert_eq!(alice.texts(&room), ["again"]);
    assert!(
        bob.message_state(&room, &id)
            .has_reached(Milestone::Ordered)
    );
    assert_eq!((alice.problems(), bob.problems()), (vec![], vec![]));
}

#[test]
fn a_refusal_by_way_of_the_queue_counts_like_a_direct_one() {
    let mut hub = Hub::default();
    let (mut alice, mut bob, room) = pair(&mut hub);
    let id = bob.write(&room, "again", &hub);
    let queue = |hub: &mut Hub, code: FaultCode| {
        let item = DeviceItem::Refused(RefusedItem {
            room,
            message_id: id,
            code: code as u16,
        });
        hub.queues.entry(bob.who.device).or_default().push(item);
    };
    queue(&mut hub, FaultCode::WrongEpoch);
    stir(&mut alice, &room, &mut hub);
    settle(&mut hub, &mut [&mut bob, &mut alice]);
    assert_eq!(alice.texts(&room), ["again"]);
    // What is in the log stays there, whatever is said of an earlier copy.
    let item = DeviceItem::Refused(RefusedItem {
        room,
        message_id: id,
        code: FaultCode::NotMember as u16,
    });
    hub.queues.entry(bob.who.device).or_default().push(item);
    bob.turn(&mut hub);
    assert!(
        bob.message_state(&room, &id)
            .has_reached(Milestone::Ordered)
    );
}

#[test]
fn a_refused_message_is_tried_again_or_given_up_as_its_code_says() {
    let mut hub = Hub::default();
    let (mut alice, _bob, room) = pair(&mut hub);
    let id = alice.write(&room, "hello", &hub);
    let refuse = |alice: &mut Phone, hub: &Hub, code| {
        let reply = SubmitReply {
            room,
            message_id: id,
            outcome: SubmitOutcome::Refused(Fault::new(code, "")),
        };
        alice
            .at(hub.time(), |vault, moment| {
                vault.submit_replies(&[reply], moment)
            })
            .expect("noted");
    };
    refuse(&mut alice, &hub, FaultCode::Busy);
    assert_eq!(alice.message_state(&room, &id), MessageState::Waiting);
    let due = alice.vault.next_due(hub.time()).expect("due");
    assert!(due.is_none_or(|due| due > hub.time()));
    refuse(&mut alice, &hub, FaultCode::NotMember);
    let failed = MessageState::Failed(FaultCode::NotMember);
    assert_eq!(alice.message_state(&room, &id), failed);
    hub.now += 120_000;
    assert_eq!(alice.hand_over(&mut hub), 0);
}

#[test]
fn a_crash_between_encrypting_and_sending_loses_nothing_and_doubles_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut hub = Hub::default();
    let mut bob = Phone::new("bob@org-b.example", &mut hub);
    let path = folder.path().join("alice");
    let mut alice = Phone::in_folder(&path, "alice@org-a.example", &mut hub);
    let room = alice.found("Tea", &mut hub);
    alice.add(&room, &mut bob, &mut hub);
    alice.turn(&mut hub);
    alice.write(&room, "one", &hub);
    alice.restart();
    alice.hand_over(&mut hub);
    // The answer is noted, the entry is not read: the process ends, and hands over again.
    alice.write(&room, "two", &hub);
    alice.restart();
    alice.hand_over(&mut hub);
    alice.restart();
    alice.hand_over(&mut hub);
    settle(&mut hub, &mut [&mut alice, &mut bob]);
    assert_eq!(alice.texts(&room), ["one", "two"]);
    assert_eq!(bob.texts(&room), ["one", "two"]);
    assert_eq!((alice.problems(), bob.problems()), (vec![], vec![]));
}

#[test]
fn two_processes_share_a_profile() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut hub = Hub::default();
    let mut bob = Phone::new("bob@org-b.example", &mut hub);
    let path = folder.path().join("alice");
    let mut listen = Phone::in_folder(&path, "alice@org-a.example", &mut hub);
    let room = listen.found("Tea", &mut hub);
    listen.add(&room, &mut bob, &mut hub);
    settle(&mut hub, &mut [&mut listen, &mut bob]);
    let mut send = listen.second_process();
    for round in 0..4 {
        let counter = listen.vault.change_counter().expect("a counter");
        let seen = listen.vault.last_event().expect("a position");
        send.write(&room, &format!("from send {round}"), &hub);
        send.turn(&mut hub);
        assert_ne!(listen.vault.change_counter(), Ok(counter));
        let news = listen.vault.events_after(seen, 100).expect("events");
        assert!(!news.is_empty(), "the other process reads on in the rows");
        listen.write(&room, &format!("from listen {round}"), &hub);
        bob.write(&room, &format!("from bob {round}"), &hub);
        // Both read the same entries; whoever comes second finds them read.
        bob.turn(&mut hub);
        listen.turn(&mut hub);
        send.turn(&mut hub);
        stir(&mut listen, &room, &mut hub);
        settle(&mut hub, &mut [&mut send, &mut listen, &mut bob]);
    }
    let texts = bob.texts(&room);
    assert_eq!(texts.len(), 12);
    assert_eq!(listen.texts(&room), texts);
    assert_eq!(send.texts(&room), texts);
    assert_eq!((listen.problems(), bob.problems()), (vec![], vec![]));
}
