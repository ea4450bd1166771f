//! Messages that are late, early, repeated or changed.

use crate::{LateFault, ProcessFault, Suite};

use super::world::{NOW, Person, World};

#[test]
fn late_messages_of_the_last_three_epochs_are_read() {
    for suite in Suite::ALL {
        let mut world = World::of(suite, 3);
        world.talk(1, "before");
        let mut late = Vec::new();
        for round in 0..3u8 {
            late.push(world.seats[1].say(&format!("late {round}")));
            let seat = &mut world.seats[usize::from(round)];
            let bundle = seat
                .member
                .refresh(None, &seat.person.key)
                .expect("commits");
            world.commit(&bundle).expect("a good commit");
        }
        let reader = &mut world.seats[2];
        for (round, bytes) in late.iter().enumerate() {
            assert!(matches!(
                reader.member.process(bytes, NOW),
                Err(ProcessFault::PastEpoch { .. })
            ));
            let snapshot = &reader.past[2 - round];
            let read = reader.member.read_late(snapshot, bytes).expect("is read");
            assert_eq!(read.plaintext, format!("late {round}").as_bytes());
            assert_eq!(read.sender.account, Person::new(1).account);
            assert_eq!(
                read.sender.home,
                Person::new(1).identity.verify().expect("own").server()
            );
            let other = &reader.past[(3 - round) % 3];
            assert_eq!(
                reader.member.read_late(other, bytes),
                Err(LateFault::OtherEpoch)
            );
        }
        assert!(
            reader.member.take_delta().is_empty(),
            "reading late changes nothing"
        );
        let own = world.seats[1]
            .member
            .read_late(&world.seats[1].past[0], &late[2]);
        assert_eq!(own, Err(LateFault::Own));
    }
}

#[test]
fn a_sender_that_has_left_is_still_known_for_its_late_messages() {
    let mut world = World::of(Suite::Classical, 3);
    let late = world.seats[1].say("one last thing");
    let sender = world.seats[1].person.account;
    let founder = &mut world.seats[0];
    let bundle = founder.member.remove(&sender, &founder.person.key);
    world
        .commit(&bundle.expect("commits"))
        .expect("a good commit");
    world.join(&Person::new(9)).expect("takes the leaf");
    let reader = &world.seats[1];
    let read = reader
        .member
        .read_late(&reader.past[1], &late)
        .expect("is read");
    assert_eq!(read.sender.account, sender);
}

#[test]
fn a_message_before_its_commit_waits() {
    let mut world = World::of(Suite::Classical, 2);
    let mut slow = world.seats.pop().expect("two");
    let founder = &mut world.seats[0];
    let bundle = founder.member.refresh(None, &founder.person.key);
    let bundle = bundle.expect("commits");
    world.commit(&bundle).expect("a good commit");
    let early = world.seats[0].say("are you there");
    assert!(matches!(
        slow.member.process(&early, NOW),
        Err(ProcessFault::FutureEpoch { .. })
    ));
    slow.merge(&bundle.commit);
    assert_eq!(slow.read(&early).plaintext, b"are you there");
}

#[test]
fn c12_messages_within_an_epoch_may_be_out_of_order_but_not_repeated() {
    let mut world = World::of(Suite::default(), 2);
    let bytes: Vec<_> = (0..8)
        .map(|i| world.seats[0].say(&format!("number {i}")))
        .collect();
    for index in [3, 0, 7, 1, 2, 4, 6, 5] {
        let read = world.seats[1].read(&bytes[index]);
        assert_eq!(read.plaintext, format!("number {index}").as_bytes());
    }
    for bytes in &bytes {
        assert_eq!(
            world.seats[1].member.process(bytes, NOW).map(|_| ()),
            Err(ProcessFault::Repeated)
        );
    }
    assert!(world.seats[1].member.take_delta().is_empty());
}

#[test]
fn c12_a_ciphertext_under_another_message_id_does_not_decrypt() {
    let mut world = World::of(Suite::default(), 2);
    let bytes = world.seats[0].say("once only");
    let id = [9; 16];
    let at = bytes.windows(16).position(|window| window == id);
    let at = at.expect("the message id is in the open");
    let mut changed = bytes.clone();
    changed[at] ^= 1;
    let reader = &mut world.seats[1];
    assert!(matches!(
        reader.member.process(&changed, NOW),
        Err(ProcessFault::Undecryptable(_))
    ));
    assert!(
        reader.member.take_delta().is_empty(),
        "a forgery uses up no keys"
    );
    assert_eq!(reader.read(&bytes).aad.message_id.0, id);
}
