//! Epochs and generations: what is too early, too late or came before is refused, and cheaply.

use super::hostile::{join, ticket};
use super::world::{HOUR_MS, NOW, Person, World};
use crate::crypto::count::calls;
use crate::{
    APPLICATION_EPOCHS, CommitBundle, CommitFault, Epoch, GroupMessage, Member, ProcessFault,
    RoomId, Suite,
};

/// Where group id and epoch stand in a handshake and in an encrypted message: after version, wire
/// format and the id's length (RFC 9420 §6).
const GROUP_ID: std::ops::Range<usize> = 5..37;
const EPOCH: std::ops::Range<usize> = 37..45;

fn in_epoch(message: &[u8], epoch: u64) -> Vec<u8> {
    let mut message = message.to_vec();
    message[EPOCH].copy_from_slice(&epoch.to_be_bytes());
    message
}

fn in_room(message: &[u8], room: RoomId) -> Vec<u8> {
    let mut message = message.to_vec();
    message[GROUP_ID].copy_from_slice(&room.0);
    message
}

/// Every kind of message of the room's current epoch: encrypted, a proposal, a commit, a join.
fn messages(world: &mut World) -> [Vec<u8>; 4] {
    let guest = Person::new(8);
    let signed = ticket(world, 0, &guest).sign(&world.seats[0].person.key, NOW, HOUR_MS);
    let joining = join(world, Some(signed), &guest).commit;
    let mut sender = Member::load(world.hub.room(), world.seats[1].table.0.clone()).expect("rows");
    let key = world.seats[1].person.key.clone();
    let aad = crate::Aad::new(crate::MessageId([1; 16]), 1, [1; 32]);
    let said = sender.encrypt(b"hello", &aad, &key).expect("encrypts");
    let commit = sender.refresh(None, &key).expect("commits").commit;
    sender.discard_pending().expect("discarded");
    let leaving = sender.leave(&key).expect("leaves");
    [said, leaving, commit, joining]
}

/// What the hub says of it, with the number of primitives that this took.
fn at_hub(world: &World, message: &[u8]) -> (usize, Result<(), CommitFault>) {
    calls(|| match GroupMessage::parse(message)? {
        GroupMessage::Application(parsed) => world.hub.check_application(&parsed),
        GroupMessage::Proposal(_) => world.hub.check_proposal(message).map(|_| ()),
        GroupMessage::Commit(_) => {
            let bundle = CommitBundle {
                commit: message.to_vec(),
                welcome: None,
                group_info: world.group_info.clone(),
            };
            world.check(&bundle).map(|_| ())
        }
    })
}

#[test]
fn c10_other_epochs_and_rooms_are_refused_before_any_cryptography() {
    let mut world = World::of(Suite::Classical, 6);
    let current = world.hub.epoch();
    assert_eq!(current, Epoch(5));
    let messages = messages(&mut world);
    for (kind, message) in messages.iter().enumerate() {
        let here = &world.hub;
        for epoch in [0, 1, 4, 6, 7, 1 << 40, u64::MAX] {
            let other = in_epoch(message, epoch);
            let got = Epoch(epoch);
            let late = kind == 0 && got < current && epoch + APPLICATION_EPOCHS >= current.0;
            let wanted = match late {
                true => Ok(()),
                false => Err(CommitFault::WrongEpoch { current, got }),
            };
            assert_eq!(at_hub(&world, &other), (0, wanted), "{kind} of {epoch}");
            let fault = match got < current {
                true => ProcessFault::PastEpoch { current, got },
                false => ProcessFault::FutureEpoch { current, got },
            };
            let reader = &mut world.seats[2].member;
            let read = calls(|| reader.process(&other, NOW).map(|_| ()));
            assert_eq!(read, (0, Err(fault)));
            assert!(reader.take_delta().is_empty());
        }
        let elsewhere = in_room(message, RoomId([9; 32]));
        assert_eq!(at_hub(&world, &elsewhere), (0, Err(CommitFault::OtherRoom)));
        let reader = &mut world.seats[2].member;
        let read = calls(|| reader.process(&elsewhere, NOW).map(|_| ()));
        assert_eq!(read, (0, Err(ProcessFault::OtherRoom)));
        let (used, read) = calls(|| reader.process(message, NOW).map(|_| ()));
        assert_eq!(read, Ok(()), "{kind}");
        assert!(used > 0, "what is read takes some");
        world.seats[2].member =
            Member::load(here.room(), world.seats[2].table.0.clone()).expect("rows");
    }
}

/// One more than the longest run of messages that may be missing.
const BEYOND: usize = 2001;

#[test]
fn c10_a_generation_beyond_the_limit_is_refused_without_going_there() {
    let mut world = World::of(Suite::Classical, 2);
    let sender = &mut world.seats[0];
    let said: Vec<Vec<u8>> = (0..=BEYOND)
        .map(|_| sender.try_say("again and again").expect("encrypts"))
        .collect();
    let reader = &mut world.seats[1];
    let (next, read) = calls(|| reader.member.process(&said[0], NOW).map(|_| ()));
    assert_eq!(read, Ok(()));
    let mut fresh = Member::load(world.hub.room(), reader.table.0.clone()).expect("rows");
    let (used, read) = calls(|| fresh.process(&said[BEYOND], NOW).map(|_| ()));
    assert!(
        matches!(read, Err(ProcessFault::Undecryptable(_))),
        "{read:?}"
    );
    assert!(
        used <= next,
        "{used} primitives; the next message takes {next}"
    );
    assert!(fresh.take_delta().is_empty());
    // One less is read, at the price of all between.
    let (used, read) = calls(|| fresh.process(&said[BEYOND - 1], NOW).map(|_| ()));
    assert_eq!(read, Ok(()));
    assert!(used > BEYOND);
    // And what lies too far behind it is not, however new.
    let delta = fresh.take_delta();
    assert!(!delta.is_empty());
    let (used, read) = calls(|| fresh.process(&said[1], NOW).map(|_| ()));
    assert!(
        matches!(
            read,
            Err(ProcessFault::Undecryptable(_) | ProcessFault::Repeated)
        ),
        "{read:?}"
    );
    assert!(used <= next);
    assert!(fresh.take_delta().is_empty());
}

#[test]
fn c12_a_ciphertext_that_another_hands_in_again_is_dropped_and_shows_whose_it_is() {
    for suite in Suite::ALL {
        let mut world = World::of(suite, 3);
        let bytes = world.seats[1].say("mine");
        let author = world.seats[1].person.account;
        let reader = &mut world.seats[2];
        let read = reader.read(&bytes);
        // What an entry would have to agree with, whoever hands it in under whatever id.
        assert_eq!(read.sender.account, author);
        assert_eq!(read.aad.message_id.0, [4; 16]);
        for _ in 0..3 {
            let again = reader.member.process(&bytes, NOW).map(|_| ());
            assert_eq!(again, Err(ProcessFault::Repeated));
            assert!(reader.member.take_delta().is_empty(), "nothing to store");
        }
        // Its own sender takes it for its own, and nothing is used up.
        let sender = &mut world.seats[1];
        let own = sender.member.process(&bytes, NOW);
        assert!(
            matches!(own, Ok(crate::Processed::OwnApplication(_))),
            "{own:?}"
        );
        assert!(sender.member.take_delta().is_empty());
        world.talk(2, "yours");
    }
}

#[test]
fn c12_a_late_repetition_bears_the_same_id() {
    let mut world = World::of(Suite::Classical, 3);
    let bytes = world.seats[1].say("late");
    let seat = &mut world.seats[0];
    let bundle = seat.member.refresh(None, &seat.person.key);
    world.commit(&bundle.expect("commits")).expect("good");
    let reader = &world.seats[2];
    let read = || reader.member.read_late(&reader.past[0], &bytes);
    let (first, again) = (read().expect("reads"), read().expect("reads"));
    assert_eq!(first, again);
    assert_eq!(first.aad.message_id.0, [4; 16]);
}
