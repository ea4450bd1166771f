//! Writes the stored state that a test reads for ever: `groups/testdata/state-1.bin`.
//!
//! To be run once per version of the stored format; the files of older versions stay.

#[expect(dead_code, reason = "the tests' world, of which this uses a part")]
#[path = "../src/tests/world.rs"]
mod world;

use entente_groups::Suite;
use world::World;

#[derive(serde::Serialize)]
struct Stored {
    room: [u8; 32],
    hub: Vec<u8>,
    rows: Vec<(Vec<u8>, Vec<u8>)>,
    past: Vec<u8>,
    message: Vec<u8>,
    late: Vec<u8>,
    commit: Vec<u8>,
}

fn main() -> std::io::Result<()> {
    let mut world = World::of(Suite::PostQuantum, 2);
    world.talk(0, "before");
    let late = world.seats[0].say("late");
    let seat = &mut world.seats[1];
    let refresh = seat.member.refresh(None, &seat.person.key);
    let refresh = refresh.expect("commits");
    world.commit(&refresh).expect("a good commit");
    world.talk(0, "now");
    let message = world.seats[0].say("in time");
    let seat = &mut world.seats[0];
    let commit = seat.member.refresh(None, &seat.person.key);
    let commit = commit.expect("commits").commit;
    let seat = &world.seats[1];
    let stored = Stored {
        room: world.hub.room().0,
        hub: world.hub.snapshot(),
        rows: seat.table.0.clone().into_iter().collect(),
        past: seat.past[0].to_bytes().to_vec(),
        message,
        late,
        commit,
    };
    let bytes = postcard::to_allocvec(&stored).expect("byte strings have an encoding");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata");
    std::fs::create_dir_all(folder)?;
    std::fs::write(format!("{folder}/state-1.bin"), bytes)
}
