//! What a room costs by its size: bytes written and time taken, per message and per commit.
//!
//! People run inside this process with real vaults, servers are real processes. Bytes are what the
//! kernel counts as handed to the disk for each process, so write-ahead logs and checkpoints are in.

mod disk;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use entente_identity::Handle;
use entente_sdk::{InviteRight, MessageId, NewRoom, RoomId, Suite};
use rand::RngCore;
use rand::rngs::OsRng;
use serde::Serialize;
use tokio::time::sleep;

use crate::args::{MeasureRoom, Options, SuiteChoice};
use crate::cast::Member;
use crate::stage::Stage;
use disk::Written;

/// How often it is looked whether everybody has something.
const POLL: Duration = Duration::from_millis(5);
/// How long everybody may take to have something.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(120);
/// How many commits are measured in the full room.
const COMMITS: usize = 3;

/// What a room costs.
#[derive(Debug, Serialize)]
struct RoomCosts {
    members: usize,
    servers: usize,
    suite: &'static str,
    messages: usize,
    commits: usize,
    per_message: Costs,
    per_commit: Costs,
    registering_s: f64,
    gathering_s: f64,
}

/// What one step costs.
#[derive(Debug, Serialize)]
struct Costs {
    /// Until it is in the log; median.
    ordered_ms: f64,
    /// Until everybody has it; median.
    everybody_ms: f64,
    /// On the hub.
    hub_bytes: u64,
    /// On each other server.
    follower_bytes: u64,
    /// In each person's vault.
    vault_bytes: u64,
}

/// Measures and reports.
///
/// # Errors
/// When something could not be done.
pub async fn run(options: &Options, what: &MeasureRoom) -> Result<()> {
    ensure!(
        what.members > what.servers,
        "a room has more members than servers"
    );
    let stage = Stage::set(options, what.servers, what.keep.into()).await?;
    let narrator = stage.narrator;
    let mut room = FullRoom::gather(stage, what).await?;
    let per_message = room.measure_messages(what.messages).await?;
    let per_commit = room.measure_commits().await?;
    let costs = RoomCosts {
        members: what.members,
        servers: what.servers,
        suite: suite(what.suite).name(),
        messages: what.messages,
        commits: COMMITS,
        per_message,
        per_commit,
        registering_s: room.registering.as_secs_f64(),
        gathering_s: room.gathering.as_secs_f64(),
    };
    room.stage.network.stop_all().await?;
    narrator.result(&costs, &text(&costs));
    Ok(())
}

/// A room with everybody in it, and one person more who waits outside.
struct FullRoom {
    stage: Stage,
    people: Vec<Member>,
    outsider: Member,
    room: RoomId,
    registering: Duration,
    gathering: Duration,
}

impl FullRoom {
    async fn gather(stage: Stage, what: &MeasureRoom) -> Result<Self> {
        let began = Instant::now();
        let mut people = register(&stage, what.members + 1).await?;
        let registering = began.elapsed();
        let outsider = people.pop().context("somebody waits outside")?;
        let began = Instant::now();
        let founder = people.first().context("somebody founds the room")?;
        let room = NewRoom {
            suite: suite(what.suite),
            invite: InviteRight::Admins,
            ..NewRoom::named("A full room")
        };
        let room = founder.client().create_room(room).await?;
        {
            let busy = stage.narrator.progress("people come in", people.len() - 1);
            for person in &people[1..] {
                founder.client().add(room, person.handle()).await?;
                busy.step();
            }
            busy.say("everybody sees everybody");
            for person in &people {
                person.room_of(room, people.len()).await?;
            }
        }
        Ok(Self {
            registering,
            gathering: began.elapsed(),
            stage,
            people,
            outsider,
            room,
        })
    }

    async fn measure_messages(&mut self, messages: usize) -> Result<Costs> {
        let before = self.written()?;
        let mut times = Times::default();
        let busy = self.stage.narrator.progress("messages", messages);
        for number in 0..messages {
            let speaker = &self.people[number % self.people.len()];
            let text = format!("message {number}, {:032x}", OsRng.next_u64());
            let began = Instant::now();
            let id = speaker.begin(self.room, &text).await?;
            speaker.ordered(self.room, id).await?;
            times.ordered.push(began.elapsed());
            self.wait_for_message(id).await?;
            times.everybody.push(began.elapsed());
            busy.step();
        }
        drop(busy);
        self.costs(&before, &mut times, messages)
    }

    /// Somebody comes in and goes again, several times.
    async fn measure_commits(&mut self) -> Result<Costs> {
        let before = self.written()?;
        let mut times = Times::default();
        let founder = &self.people[0];
        let members = self.people.len();
        for _ in 0..COMMITS {
            for coming in [true, false] {
                let began = Instant::now();
                let handle = self.outsider.handle();
                if coming {
                    founder.client().add(self.room, handle).await?;
                } else {
                    founder.client().remove(self.room, handle).await?;
                }
                times.ordered.push(began.elapsed());
                for person in &self.people {
                    person
                        .room_of(self.room, members + usize::from(coming))
                        .await?;
                }
                times.everybody.push(began.elapsed());
            }
        }
        self.costs(&before, &mut times, 2 * COMMITS)
    }

    async fn wait_for_message(&self, id: MessageId) -> Result<()> {
        let deadline = Instant::now() + ARRIVAL_LIMIT;
        for person in &self.people {
            while person.client().message(self.room, id).await.is_err() {
                ensure!(
                    Instant::now() < deadline,
                    "{} waits in vain",
                    person.handle()
                );
                sleep(POLL).await;
            }
        }
        Ok(())
    }

    fn written(&self) -> Result<Written> {
        Written::by(&self.stage.network)
    }

    fn costs(&self, before: &Written, times: &mut Times, steps: usize) -> Result<Costs> {
        let spent = self.written()?.since(before);
        let steps = u64::try_from(steps.max(1))?;
        let followers = u64::try_from(spent.servers.len().saturating_sub(1).max(1))?;
        let hub = spent.servers.first().copied().unwrap_or(0);
        let others: u64 = spent.servers.iter().skip(1).sum();
        Ok(Costs {
            ordered_ms: median_ms(&mut times.ordered),
            everybody_ms: median_ms(&mut times.everybody),
            hub_bytes: hub / steps,
            follower_bytes: others / followers / steps,
            vault_bytes: spent.this_process / u64::try_from(self.people.len())? / steps,
        })
    }
}

#[derive(Default)]
struct Times {
    ordered: Vec<Duration>,
    everybody: Vec<Duration>,
}

async fn register(stage: &Stage, count: usize) -> Result<Vec<Member>> {
    let network = &stage.network;
    let busy = stage.narrator.progress("people register", count);
    let mut people = Vec::new();
    for number in 0..count {
        let server = &network.plan().servers[number % network.plan().servers.len()];
        let handle: Handle = format!("p{number}@{}", server.domain).parse()?;
        people.push(Member::register(network.folder(), &handle).await?);
        busy.step();
    }
    Ok(people)
}

fn suite(choice: SuiteChoice) -> Suite {
    match choice {
        SuiteChoice::Pq => Suite::PostQuantum,
        SuiteChoice::Classical => Suite::Classical,
    }
}

fn median_ms(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    middle.as_secs_f64() * 1000.0
}

fn text(costs: &RoomCosts) -> String {
    let line = |name: &str, costs: &Costs| {
        let Costs {
            ordered_ms,
            everybody_ms,
            hub_bytes,
            follower_bytes,
            vault_bytes,
        } = costs;
        format!(
            "per {name}: in the log after {ordered_ms:.1} ms, with everybody after \
             {everybody_ms:.1} ms;\n  bytes written: hub {hub_bytes}, each follower \
             {follower_bytes}, each vault {vault_bytes}"
        )
    };
    format!(
        "{} people on {} servers, {}\n{}\n{}",
        costs.members,
        costs.servers,
        costs.suite,
        line("message", &costs.per_message),
        line("commit", &costs.per_commit)
    )
}
