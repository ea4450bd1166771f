//! What messages and commits cost in rooms of several sizes: bytes written, bytes sent, time.
//!
//! `cargo run -p entente-groups --release --example measure -- 2 100 300`
#![expect(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a tool that looks at the clock and prints"
)]

#[expect(dead_code, reason = "the tests' world, of which this uses a part")]
#[path = "../src/tests/world.rs"]
mod world;

use std::time::{Duration, Instant};

use entente_groups::{Aad, CommitBundle, Member, MessageId, PublicRoom, Suite};
use world::{HOUR_MS, NOW, Person, Seat, World};

/// How many of the last joiners go on taking part.
const SPEAKERS: usize = 8;

fn main() {
    let sizes: Vec<u16> = std::env::args()
        .skip(1)
        .map(|size| size.parse().expect("a number of devices"))
        .collect();
    let sizes = if sizes.is_empty() {
        vec![2, 100]
    } else {
        sizes
    };
    for suite in Suite::ALL {
        for size in &sizes {
            measure(suite, *size);
        }
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let done = work();
    (done, begin.elapsed())
}

/// A room that filled up by external joins; only the last joiners keep their state.
fn fill(suite: Suite, size: u16) -> World {
    let mut world = World::found(suite);
    let people: Vec<_> = (1..size).map(Person::new).collect();
    let founder = &world.seats[0];
    let invite = |person: &Person| {
        let key = &founder.person.key;
        let ticket = founder
            .member
            .issue_ticket(person.account, 1, HOUR_MS, NOW, key);
        ticket.expect("may invite")
    };
    let tickets: Vec<_> = people.iter().map(invite).collect();
    let mut seats = Vec::new();
    for (index, (person, ticket)) in people.iter().zip(&tickets).enumerate() {
        let offer = world.offer();
        let (member, bundle) =
            Member::join_by_ticket(&offer, ticket, &person.identity, &person.key, NOW)
                .expect("a good offer");
        world.order_at(&bundle, NOW).expect("a good commit");
        for seat in &mut seats {
            let _ = Seat::merge(seat, &bundle.commit);
        }
        if people.len() - index <= SPEAKERS {
            seats.push(Seat::new(person, member));
        }
        if size == 2 {
            world.seats[0].merge(&bundle.commit);
        }
    }
    if size > 2 {
        world.seats.clear();
    }
    world.seats.append(&mut seats);
    world
}

fn measure(suite: Suite, size: u16) {
    let (mut world, filling) = timed(|| fill(suite, size));
    println!(
        "== {suite}, {size} devices (filled in {:.1} s)",
        filling.as_secs_f64()
    );
    let rows: usize = world.seats[0]
        .table
        .0
        .iter()
        .map(|(k, v)| k.len() + v.len())
        .sum();
    println!(
        "member: {rows} bytes in {} rows",
        world.seats[0].table.0.len()
    );
    messages(&mut world);
    commits(&mut world);
    let snapshot = world.hub.snapshot().len();
    let tree = world.hub.ratchet_tree();
    let (_, adopting) = timed(|| PublicRoom::adopt(world.hub.room(), &world.group_info, &tree));
    println!(
        "hub: snapshot {snapshot}, tree {}, GroupInfo {}; adopting (all leaves judged) {adopting:.1?}",
        tree.len(),
        world.group_info.len()
    );
    let (_, forking) = timed(|| world.hub.fork().expect("own state"));
    let room = world.seats[0].member.room();
    let rows = world.seats[0].table.0.clone();
    let (_, loading) = timed(|| Member::load(room, rows).expect("own rows"));
    println!("hub: copying {forking:.1?}; member: loading {loading:.1?}\n");
}

fn messages(world: &mut World) {
    let (mut wrote, mut read, mut encrypting, mut decrypting) = (vec![], vec![], vec![], vec![]);
    let mut length = 0;
    for round in 0..60u64 {
        let count = world.seats.len();
        let sender = &mut world.seats[round as usize % count];
        let mut id = [0; 16];
        id[..8].copy_from_slice(&round.to_be_bytes());
        let aad = Aad::new(MessageId(id), round, [0; 32]);
        let key = sender.person.key.clone();
        let (bytes, time) = timed(|| sender.member.encrypt(&[7; 1024], &aad, &key));
        let bytes = bytes.expect("encrypts");
        length = bytes.len();
        encrypting.push(time);
        let delta = sender.member.take_delta();
        wrote.push(delta.written_bytes());
        sender.table.apply(delta);
        for (index, seat) in world.seats.iter_mut().enumerate() {
            if index == round as usize % count {
                continue;
            }
            let (done, time) = timed(|| seat.member.process(&bytes, NOW));
            done.expect("reads");
            decrypting.push(time);
            let delta = seat.member.take_delta();
            read.push(delta.written_bytes());
            seat.table.apply(delta);
        }
    }
    println!("message of 1024 bytes: {length} sent");
    println!(
        "  encrypting {:.1?}, writes {}",
        median(&mut encrypting),
        spread(&mut wrote)
    );
    println!(
        "  decrypting {:.1?}, writes {}",
        median(&mut decrypting),
        spread(&mut read)
    );
}

fn commits(world: &mut World) {
    for round in 0..3 {
        let committer = &mut world.seats[round % 2];
        let key = committer.person.key.clone();
        let (bundle, making) = timed(|| committer.member.refresh(None, &key));
        let bundle: CommitBundle = bundle.expect("commits");
        let delta = committer.member.take_delta();
        let pending = delta.written_bytes();
        committer.table.apply(delta);
        let (checked, checking) = timed(|| world.check(&bundle));
        let mut checked = checked.expect("a good commit");
        let hub = checked.next.take_delta().written_bytes();
        world.order_at(&bundle, NOW).expect("a good commit");
        let (mut times, mut bytes, mut past) = (vec![], vec![], 0);
        for seat in &mut world.seats {
            let (done, time) = timed(|| seat.member.process(&bundle.commit, NOW));
            let entente_groups::Processed::Commit(merged) = done.expect("merges") else {
                panic!("a commit");
            };
            past = merged.past.to_bytes().len();
            times.push(time);
            let delta = seat.member.take_delta();
            bytes.push(delta.written_bytes());
            seat.table.apply(delta);
        }
        println!(
            "commit: {} sent; making {making:.1?} (waits as {pending}); hub checks {checking:.1?}, writes {hub}; \
             members merge {:.1?}, write {} and {past} of the epoch before",
            bundle.commit.len(),
            median(&mut times),
            spread(&mut bytes)
        );
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn spread(bytes: &mut [usize]) -> String {
    bytes.sort_unstable();
    let at = |part: usize| {
        bytes
            .get(part * (bytes.len() - 1) / 10)
            .copied()
            .unwrap_or(0)
    };
    format!("{} (median), {} (90 %), {} (most)", at(5), at(9), at(10))
}
