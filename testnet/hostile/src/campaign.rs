//! A campaign: attacks one after the other on servers that honest people use, and a verdict on each.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rand::RngCore;
use rand::rngs::OsRng;
use serde::Serialize;
use testnet::narrator::Narrator;
use testnet::network::{Binaries, BuildChoice};
use tokio::time::{Instant, sleep, sleep_until};

use crate::arena::{Arena, REAL};
use crate::args::{Cli, Command, Run};
use crate::attack::{Attack, Needs, all, named};
use crate::dice::Dice;
use crate::health::{GROWTH_LIMIT_KIB, Memory};
use crate::honest::{Honest, Latency};
use crate::judge::{Notice, notice, step_back};

/// How long honest messages are timed before the first attack.
const QUIET: Duration = Duration::from_mins(1);
/// How long they are timed at least during an attack, and anew before it is repeated.
const WATCH: Duration = Duration::from_secs(10);
/// Time from one beginning of an attack to the next: what it floods with is its own affair, and so many logins
/// as a faster repetition would take are not what it is about.
const PACE: Duration = Duration::from_millis(75);
/// How often it is looked whether an attack makes honest messages slower: each time but the last may have been
/// something else on the machine.
const TRIES: u32 = 3;

/// What a campaign came to.
#[derive(Debug, Serialize)]
pub struct Report {
    /// From what chance was drawn.
    pub seed: u64,
    /// Whether every attack was withstood.
    pub passed: bool,
    /// Attacks that were left out.
    pub left_out: Vec<&'static str>,
    /// What honest people noticed before the first attack.
    pub quiet: Latency,
    /// What they noticed from the first attack to the last.
    pub honest: Latency,
    /// Each attack.
    pub attacks: Vec<Verdict>,
}

/// What one attack came to.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// The attack.
    pub attack: &'static str,
    /// Whether the servers withstood it.
    pub passed: bool,
    /// What they did wrong.
    pub faults: Vec<String>,
    /// How often it was looked whether honest messages got slower.
    pub tries: u32,
    /// How often it was run the last time.
    pub rounds: u64,
    /// How long it was run the last time, in seconds.
    pub seconds: f64,
    /// What honest people noticed in the quiet time before.
    pub before: Latency,
    /// What they noticed the last time.
    pub during: Latency,
    /// The servers' memory.
    pub servers: Vec<ServerMemory>,
}

/// One server's memory, in KiB.
#[derive(Debug, Serialize)]
pub struct ServerMemory {
    /// The organization.
    pub domain: String,
    /// Resident before the attack.
    pub before_kib: u64,
    /// Resident after it.
    pub after_kib: u64,
    /// The most that ever was.
    pub peak_kib: u64,
    /// By how much it grew at most.
    pub grown_kib: u64,
}

/// Does what the command line says.
///
/// # Errors
/// The network does not come about, or an attack is unknown.
pub async fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Some(Command::Run(options)) => campaign(&options).await,
        None => {
            list();
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn list() {
    let narrator = Narrator::new(false);
    for attack in all() {
        narrator.act(attack.name);
        narrator.line(attack.what);
        narrator.line(&format!("→ {}", attack.expects));
    }
}

async fn campaign(options: &Run) -> Result<ExitCode> {
    let narrator = Narrator::new(options.json);
    let seed = options.seed.unwrap_or_else(|| OsRng.next_u64());
    narrator.line(&format!("seed {seed}"));
    let (chosen, left_out) = chosen(options, seed)?;
    let arena = open(options, seed).await?;
    let people = [(&arena.a, "ann"), (&arena.b, "ben")].map(|(door, name)| {
        let handle = format!("{}@{}", arena.fresh(name), door.did.domain());
        handle.parse().map(|handle| (door.clone(), handle))
    });
    let [ann, ben] = people;
    let mut honest = Honest::begin([ann?, ben?], seed)?;
    honest.ready().await?;
    // Servers and honest people run already: only what attacks steps back.
    step_back()?;
    narrator.line(&format!("a quiet time of {} s", QUIET.as_secs()));
    let begun = Instant::now();
    sleep(QUIET).await;
    let quiet = honest.since(begun).await?;
    tell_latency(narrator, "honest", &quiet);
    let mut attacks = Vec::new();
    let begun = Instant::now();
    for (round, attack) in (0..).zip(chosen) {
        let chance = Chance {
            seed,
            round: if options.random.is_some() { round } else { 0 },
            tried: 0,
        };
        let verdict = judge(&arena, attack, chance, (&mut honest, quiet)).await?;
        tell(narrator, &verdict);
        attacks.push(verdict);
    }
    let meanwhile = honest.since(begun).await?;
    tell_latency(narrator, "honest, in all", &meanwhile);
    let ended = honest.end();
    let withstood = attacks.iter().all(|verdict| verdict.passed);
    let report = Report {
        seed,
        passed: ended.is_ok() && withstood && meanwhile.lost == 0,
        left_out,
        quiet,
        honest: meanwhile,
        attacks,
    };
    Narrator::Json.result(&report, "");
    ended?;
    Ok(if report.passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The attacks to run, and those that are left out.
fn chosen(options: &Run, seed: u64) -> Result<(Vec<Attack>, Vec<&'static str>)> {
    let fits = |attack: &Attack| options.network.is_none() || attack.needs == Needs::Devices;
    let wanted = if let Some(count) = options.random {
        let mut dice = Dice::of(seed, "campaign");
        let attacks: Vec<Attack> = all().into_iter().filter(fits).collect();
        (0..count)
            .map(|_| attacks[dice.below(attacks.len())])
            .collect()
    } else if options.all {
        all()
    } else {
        let found = options.attacks.iter().map(|name| {
            named(name).with_context(|| format!("no attack `{name}`; --list shows them"))
        });
        found.collect::<Result<Vec<_>>>()?
    };
    if wanted.is_empty() {
        bail!("name attacks, or use --all or --random");
    }
    let (run, left_out): (Vec<Attack>, Vec<Attack>) = wanted.into_iter().partition(fits);
    if run.is_empty() {
        bail!("all of these attacks need a hostile organization, which this network does not know");
    }
    Ok((run, left_out.iter().map(|attack| attack.name).collect()))
}

async fn open(options: &Run, seed: u64) -> Result<Arena> {
    if let Some(network) = &options.network {
        return Arena::visit(network, seed).await;
    }
    let choice = if options.no_build {
        BuildChoice::TakeAsIs
    } else {
        BuildChoice::Build
    };
    Arena::open(Binaries::find(choice).await?, seed).await
}

/// From what an attack's chance is drawn.
#[derive(Clone, Copy)]
struct Chance {
    seed: u64,
    round: u64,
    /// How often the attack was tried before.
    tried: u64,
}

impl Chance {
    /// One seed for each time an attack is run: the first one is that of tests.
    fn of(self, rounds: u32) -> u64 {
        self.seed
            .wrapping_add(self.round << 32)
            .wrapping_add(self.tried << 24)
            .wrapping_add(rounds.into())
    }
}

/// Runs an attack and judges it. What a server does wrong counts at once; where messages got slower it is
/// run again, each time beside a new quiet time.
async fn judge(
    arena: &Arena,
    attack: Attack,
    chance: Chance,
    (honest, quiet): (&mut Honest, Latency),
) -> Result<Verdict> {
    let mut before = quiet;
    let mut tries = 0;
    loop {
        let chance = Chance {
            tried: tries.into(),
            ..chance
        };
        tries += 1;
        let mut verdict = watch(arena, attack, chance, (honest, before)).await?;
        verdict.tries = tries;
        let noticed = notice(&verdict.before, &verdict.during);
        let again = matches!(noticed, Notice::Slower | Notice::CannotTell(_)) && tries < TRIES;
        if verdict.faults.is_empty() && again {
            let begun = Instant::now();
            sleep(WATCH).await;
            before = honest.since(begun).await?;
            continue;
        }
        verdict.faults.extend(complaint(noticed));
        verdict.passed = verdict.faults.is_empty();
        return Ok(verdict);
    }
}

fn complaint(noticed: Notice) -> Option<String> {
    match noticed {
        Notice::Fine => None,
        Notice::Slower => Some(format!(
            "honest messages got slower, {TRIES} times out of {TRIES}"
        )),
        Notice::CannotTell(why) => Some(format!("cannot tell: {why}")),
        Notice::Lost => Some("honest messages did not arrive".to_owned()),
    }
}

/// Runs an attack for a while.
async fn watch(
    arena: &Arena,
    attack: Attack,
    chance: Chance,
    (honest, before): (&mut Honest, Latency),
) -> Result<Verdict> {
    for index in 0..REAL {
        Memory::reset_peak(arena.pid(index).await?);
    }
    let memory_before = arena.memory().await?;
    let begun = Instant::now();
    let mut faults = Vec::new();
    let mut rounds: u32 = 0;
    while faults.is_empty() && (rounds == 0 || begun.elapsed() < WATCH) {
        let dice = Dice::of(chance.of(rounds), attack.name);
        if let Err(error) = (attack.run)(arena, dice).await {
            faults.push(format!("{error:#}"));
        }
        rounds += 1;
        sleep_until(begun + PACE * rounds).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let during = honest.since(begun).await?;
    if let Err(error) = arena.check_servers().await {
        faults.push(format!("{error:#}"));
    }
    let servers = servers(arena, memory_before).await?;
    for server in servers.iter().filter(|s| s.grown_kib >= GROWTH_LIMIT_KIB) {
        faults.push(format!(
            "{} grew by {} KiB",
            server.domain, server.grown_kib
        ));
    }
    Ok(Verdict {
        attack: attack.name,
        passed: false,
        faults,
        tries: 0,
        rounds: rounds.into(),
        seconds,
        before,
        during,
        servers,
    })
}

async fn servers(arena: &Arena, before: [Memory; REAL]) -> Result<Vec<ServerMemory>> {
    let after = arena.memory().await?;
    let pairs = before.into_iter().zip(after).enumerate();
    let servers = pairs.map(|(index, (before, after))| ServerMemory {
        domain: arena.domain(index).to_string(),
        before_kib: before.resident_kib,
        after_kib: after.resident_kib,
        peak_kib: after.peak_kib,
        grown_kib: after.growth_kib(before),
    });
    Ok(servers.collect())
}

fn tell(narrator: Narrator, verdict: &Verdict) {
    let mark = if verdict.passed {
        "withstood"
    } else {
        "FAILED"
    };
    narrator.act(&format!("{} {mark}", verdict.attack));
    let (before, during) = (&verdict.before, &verdict.during);
    narrator.line(&format!(
        "{} rounds in {:.1} s, try {}; honest p50 {:.1} → {:.1} ms, p99 {:.1} → {:.1} ms ({} messages)",
        verdict.rounds,
        verdict.seconds,
        verdict.tries,
        before.p50_ms,
        during.p50_ms,
        before.p99_ms,
        during.p99_ms,
        during.messages
    ));
    for server in &verdict.servers {
        narrator.line(&format!(
            "{}: {} → {} KiB, peak {} KiB",
            server.domain, server.before_kib, server.after_kib, server.peak_kib
        ));
    }
    for fault in &verdict.faults {
        narrator.line(&format!("fault: {fault}"));
    }
}

fn tell_latency(narrator: Narrator, whose: &str, latency: &Latency) {
    narrator.line(&format!(
        "{whose}: {} messages, {} lost, p50 {:.1} ms, p99 {:.1} ms",
        latency.messages, latency.lost, latency.p50_ms, latency.p99_ms
    ));
}
