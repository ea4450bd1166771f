//! A long walk of random steps, after each of which hub and members are of one mind.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::world::{Person, World};
use crate::{Member, Suite};

const STEPS: usize = 60;
const MOST_MEMBERS: usize = 12;

struct Walk {
    world: World,
    rng: StdRng,
    people: u16,
}

impl Walk {
    fn new(seed: u64) -> Self {
        Self {
            world: World::of(Suite::Classical, 4),
            rng: StdRng::seed_from_u64(seed),
            people: 4,
        }
    }

    fn newcomer(&mut self) -> Person {
        self.people += 1;
        Person::new(self.people)
    }

    /// A seat other than the founder's whose device is not leaving.
    fn some_seat(&mut self) -> Option<usize> {
        let staying = |seat: &usize| !self.world.seats[*seat].member.is_leaving();
        let seats: Vec<_> = (1..self.world.seats.len()).filter(staying).collect();
        (!seats.is_empty()).then(|| seats[self.rng.gen_range(0..seats.len())])
    }

    fn step(&mut self) {
        let crowded = self.world.seats.len() >= MOST_MEMBERS;
        let seat = self.some_seat().unwrap_or(0);
        let person = self.world.seats[seat].person.clone();
        match self.rng.gen_range(0..10) {
            0 | 1 if !crowded => {
                let newcomer = self.newcomer();
                self.world.join(&newcomer).expect("joins");
            }
            2 if !crowded => {
                let newcomers = [self.newcomer(), self.newcomer()];
                self.world.add(seat, &newcomers);
            }
            3 if seat != 0 => {
                let founder = &mut self.world.seats[0];
                let bundle = founder.member.remove(&person.account, &founder.person.key);
                self.world
                    .commit(&bundle.expect("commits"))
                    .expect("a good commit");
            }
            4 | 5 if seat != 0 => self.world.leave(seat),
            6 if seat != 0 => {
                self.world.seats.remove(seat);
                let offer = self.world.offer();
                let (member, bundle) =
                    Member::resync(&offer, &person.identity, &person.key).expect("comes back");
                self.world
                    .enter(&person, member, &bundle)
                    .expect("a good commit");
            }
            7 => {
                let member = &mut self.world.seats[seat].member;
                let bundle = member.refresh(None, &person.key).expect("commits");
                self.world.commit(&bundle).expect("a good commit");
            }
            _ if self.world.pending.is_empty() => {
                self.world.talk(seat, "still here");
            }
            _ => {}
        }
    }
}

#[test]
fn hub_and_members_stay_of_one_mind() {
    for seed in 0..3 {
        let mut walk = Walk::new(seed);
        for _ in 0..STEPS {
            walk.step();
        }
        assert!(walk.world.hub.epoch().0 > 10, "the walk goes somewhere");
    }
}
