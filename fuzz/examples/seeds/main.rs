//! Writes the corpora and the fixture of the targets: `cargo run -p entente-fuzz --example seeds`.
//!
//! To be run when a target is added or an encoding changes. Files named `genuine-…` must be accepted by
//! their targets, files named `hostile-<line>-…` refused, files named `odd-…` survived; all of them are
//! replaced. What was found or merged by a run of the fuzzer has another name and stays.

mod documents;
mod frames;
mod hostile;
mod invitations;
mod joins;
mod journal;
mod rooms;
#[path = "../../../transport/src/wire/tests/samples.rs"]
mod samples;
mod statements;
mod store;
mod texts;
#[expect(dead_code, reason = "the groups' own world, of which this uses a part")]
#[path = "../../../groups/src/tests/world.rs"]
mod world;

use store::Store;

fn main() -> std::io::Result<()> {
    let mut store = Store::default();
    frames::seed(&mut store);
    statements::seed(&mut store);
    journal::seed(&mut store);
    invitations::seed(&mut store);
    documents::seed(&mut store);
    texts::seed(&mut store);
    rooms::seed(&mut store);
    store.write()
}
