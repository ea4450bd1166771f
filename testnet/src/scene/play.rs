//! Plays a scene.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use entente_identity::Handle;
use entente_sdk::{NewRoom, RoomId};
use futures::future::try_join_all;
use rand::RngCore;
use rand::rngs::OsRng;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::ground::{Choice, Ground};
use super::report::{Playbill, Report};
use super::script::{Act, Coming, Script};
use crate::cast::Member;
use crate::compose::StoreChoice;
use crate::narrator::Narrator;
use crate::network::Folder;
use crate::verdict::{Said, Tally};

/// How many messages of one person may be under way.
const WINDOW: usize = 16;
/// How often it is looked whether everybody has everything.
const POLL: Duration = Duration::from_millis(200);
/// How long a copy too many gets to show itself, once everybody has everything.
const AFTERMATH: Duration = Duration::from_secs(1);
/// How long a message that is everywhere else gets to reach those who are said to be apart.
const FLIGHT: Duration = Duration::from_secs(2);
/// How much longer than expected a scene may take before nothing more is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Plays a scene on a fresh network and removes it afterwards.
pub async fn play(
    script: &Script,
    choice: &Choice,
    store: StoreChoice,
    (folder, keep): (Folder, bool),
    narrator: Narrator,
) -> Result<Report> {
    let bill = Playbill {
        name: script.name.clone(),
        on: choice.name(),
        store: store.name(),
    };
    if let Some(reason) = choice.lacks(script, store).await? {
        return Ok(Report::skipped(bill, reason));
    }
    narrator.act(&format!("{}: {}", script.name, script.about));
    let ground = {
        let _busy = narrator.busy("raising a network");
        choice.raise(folder, store, script).await?
    };
    let mut play = Play {
        ground,
        away: Vec::new(),
        narrator,
        people: Vec::new(),
        room: None,
        said: Vec::new(),
        sent: Arc::default(),
        speakers: JoinSet::new(),
        slowest: Duration::ZERO,
        meanwhile: false,
        deadline: Instant::now() + Duration::from_secs_f64(script.expect.within_seconds) + PATIENCE,
    };
    let began = Instant::now();
    let end = play.acts(script).await;
    let seconds = began.elapsed().as_secs_f64();
    // What was lost is told also where the scene broke down.
    let tally = Tally {
        sent: play.sent.load(Ordering::Relaxed),
        ..Tally::of(&play.said, &play.heard().await)
    };
    let broke_down = end.err().map(|error| format!("{error:#}"));
    let report = Report {
        slowest_seconds: play.slowest.as_secs_f64(),
        ..Report::judged(bill, script.expect, (&tally, broke_down), seconds)
    };
    play.end(keep && report.has_failed()).await?;
    Ok(report)
}

/// A scene that is being played.
struct Play {
    ground: Ground,
    /// Which servers are down or cut off; twice if both.
    away: Vec<String>,
    narrator: Narrator,
    people: Vec<Member>,
    room: Option<RoomId>,
    said: Vec<Said>,
    /// Messages of these that are in the room's log.
    sent: Arc<AtomicUsize>,
    speakers: JoinSet<Result<Duration>>,
    /// The longest that a message took until it was in the log.
    slowest: Duration,
    /// Whether people were to talk while other things happen, and were not heard out yet.
    meanwhile: bool,
    deadline: Instant,
}

impl Play {
    async fn acts(&mut self, script: &Script) -> Result<()> {
        self.register(script).await?;
        for act in &script.acts {
            self.narrator.line(&act.to_string());
            let done = self.act(act).await;
            done.with_context(|| format!("`{act}` could not be done"))?;
            match act {
                Act::Stop { server } | Act::Kill { server } | Act::Cut { server } => {
                    self.away.push(server.clone());
                }
                Act::Start { server } | Act::Heal { server } => {
                    let back = self.away.iter().position(|away| away == server);
                    back.map(|index| self.away.remove(index));
                }
                _ => {}
            }
        }
        self.settle().await?;
        self.log_is_whole().await
    }

    /// Whether the room's log holds as much as everybody shows of it. A client shows a message once, however
    /// often it stands in the log: only the count tells.
    async fn log_is_whole(&self) -> Result<()> {
        let room = self.room.context("there is no room yet")?;
        let logs = loop {
            let mut logs = Vec::new();
            for person in &self.people {
                logs.push(person.log(room).await?);
            }
            let ends: BTreeSet<u64> = logs.iter().map(|log| log.end).collect();
            if ends.len() == 1 {
                break logs;
            }
            ensure!(
                Instant::now() < self.deadline,
                "the members' logs end at {ends:?}"
            );
            sleep(POLL).await;
        };
        let [founder, others @ ..] = &logs[..] else {
            bail!("nobody is there");
        };
        founder.is_whole()?;
        ensure!(
            others
                .iter()
                .all(|log| log.places.is_subset(&founder.places)),
            "not all members have the messages at the same places"
        );
        Ok(())
    }

    async fn act(&mut self, act: &Act) -> Result<()> {
        match act {
            Act::Gather { how } => self.gather(*how).await,
            Act::Talk {
                messages,
                of,
                over_seconds,
                meanwhile,
            } => {
                let over = over_seconds.map(Duration::from_secs_f64);
                let talk = self.talk(*messages, of.as_deref(), over)?;
                if *meanwhile {
                    self.speakers.spawn(talk);
                    self.meanwhile = true;
                    return Ok(());
                }
                self.slowest = self.slowest.max(talk.await?);
                Ok(())
            }
            Act::Settle {} => self.settle().await,
            Act::Pause { seconds } => {
                sleep(Duration::from_secs_f64(*seconds)).await;
                self.none_broke_down()
            }
            Act::Apart { server } => self.apart(server).await,
            Act::Stop { .. }
            | Act::Kill { .. }
            | Act::Restart { .. }
            | Act::Cut { .. }
            | Act::RestartDatabase { .. }
            | Act::KillNode { .. } => {
                self.under_load()?;
                self.ground.strike(act).await?;
                self.none_broke_down()
            }
            Act::Start { .. } | Act::Heal { .. } | Act::Clock { .. } => {
                self.ground.strike(act).await?;
                self.none_broke_down()
            }
        }
    }

    /// Everybody opens an account, those of different organizations at the same time.
    async fn register(&mut self, script: &Script) -> Result<()> {
        let _busy = self.narrator.busy("people register");
        let folder = self.ground.folder().clone();
        let organizations = script.people.iter().map(|(domain, count)| {
            let folder = folder.clone();
            async move {
                let mut people = Vec::new();
                for number in 1..=*count {
                    let handle: Handle = format!("p{number}@{domain}").parse()?;
                    people.push(Member::register(&folder, &handle).await?);
                }
                anyhow::Ok(people)
            }
        });
        let people = try_join_all(organizations).await?;
        self.people = people.into_iter().flatten().collect();
        Ok(())
    }

    async fn gather(&mut self, how: Coming) -> Result<()> {
        let [founder, others @ ..] = &self.people[..] else {
            bail!("nobody is there");
        };
        let busy = self.narrator.progress("people come in", others.len());
        let room = NewRoom::named("A scene");
        let room = founder.client().create_room(room).await?;
        for person in others {
            match how {
                Coming::Invite => {
                    founder.client().invite(room, person.handle()).await?;
                    person.join_next().await?;
                }
                Coming::Add => {
                    founder.client().add(room, person.handle()).await?;
                }
            }
            busy.step();
        }
        for person in &self.people {
            person.room_of(room, self.people.len()).await?;
        }
        self.room = Some(room);
        Ok(())
    }

    /// Notes what people are to say; the returned future says it, to its end, and gives how long the slowest
    /// message took.
    fn talk(
        &mut self,
        messages: usize,
        of: Option<&str>,
        over: Option<Duration>,
    ) -> Result<impl Future<Output = Result<Duration>> + Send + use<>> {
        let room = self.room.context("there is no room yet")?;
        let readers: Vec<usize> = (0..self.people.len()).collect();
        let mut speeches = Vec::new();
        for person in &self.people {
            let domain = person.handle().domain().as_str();
            if of.is_some_and(|of| of != domain) {
                continue;
            }
            let texts: Vec<String> = (0..messages).map(|number| unique(person, number)).collect();
            self.said.extend(texts.iter().map(|text| Said {
                text: text.clone(),
                readers: readers.clone(),
            }));
            let sent = Arc::clone(&self.sent);
            speeches.push(speak((person.clone(), sent), room, texts, over));
        }
        Ok(async move {
            let slowest = try_join_all(speeches).await?;
            Ok(slowest.into_iter().max().unwrap_or_default())
        })
    }

    /// Waits until all who talk have come to their end.
    async fn hear_out(&mut self) -> Result<()> {
        while let Some(end) = self.speakers.join_next().await {
            self.slowest = self.slowest.max(end.context("a speaker broke down")??);
        }
        self.meanwhile = false;
        Ok(())
    }

    /// Whether those who were to talk meanwhile still do.
    fn under_load(&mut self) -> Result<()> {
        self.none_broke_down()?;
        ensure!(
            !self.meanwhile || !self.speakers.is_empty(),
            "those who were to talk meanwhile have come to their end before"
        );
        Ok(())
    }

    /// Whether people of an organization lack something of the room's log that others have had for long enough
    /// to share it: it has come to everybody else who is not away, and more time passed.
    async fn apart(&self, domain: &str) -> Result<()> {
        let room = self.room.context("there is no room yet")?;
        let (within, beyond): (Vec<&Member>, Vec<&Member>) = self
            .people
            .iter()
            .partition(|person| person.handle().domain().as_str() == domain);
        let mut elsewhere = HashSet::new();
        for person in &beyond {
            elsewhere.extend(person.texts_in_log(room).await?);
        }
        let there = |person: &&Member| {
            let domain = person.handle().domain().as_str();
            !self.away.iter().any(|away| away == domain)
        };
        for person in beyond.into_iter().filter(there) {
            while lacks_some_of(person, room, &elsewhere).await? {
                ensure!(
                    Instant::now() < self.deadline,
                    "{} does not get what others have",
                    person.handle()
                );
                sleep(POLL).await;
            }
        }
        sleep(FLIGHT).await;
        for person in within {
            let handle = person.handle();
            ensure!(
                lacks_some_of(person, room, &elsewhere).await?,
                "{handle} has everything that others had before, so nothing separates {domain}"
            );
        }
        Ok(())
    }

    fn none_broke_down(&mut self) -> Result<()> {
        while let Some(end) = self.speakers.try_join_next() {
            self.slowest = self.slowest.max(end.context("a speaker broke down")??);
        }
        Ok(())
    }

    /// Waits until everybody has everything, as far as that comes in time.
    async fn settle(&mut self) -> Result<()> {
        self.hear_out().await?;
        let room = self.room.context("there is no room yet")?;
        for person in &self.people {
            while person.texts(room).await?.len() < self.said.len()
                && Instant::now() < self.deadline
            {
                sleep(POLL).await;
            }
        }
        sleep(AFTERMATH).await;
        Ok(())
    }

    /// What everybody has; who cannot be asked has nothing.
    async fn heard(&self) -> Vec<Vec<String>> {
        let mut heard = Vec::new();
        for person in &self.people {
            let texts = match self.room {
                Some(room) => person.texts(room).await,
                None => Ok(Vec::new()),
            };
            heard.push(texts.unwrap_or_default());
        }
        heard
    }

    async fn end(mut self, keep: bool) -> Result<()> {
        self.speakers.shutdown().await;
        for person in &self.people {
            person.client().shutdown().await;
        }
        if keep {
            let path = self.ground.folder().root().display().to_string();
            self.narrator.line(&format!("the network stays, in {path}"));
        }
        let _busy = self.narrator.busy("removing the network");
        self.ground.strike_down(keep).await
    }
}

async fn lacks_some_of(person: &Member, room: RoomId, texts: &HashSet<String>) -> Result<bool> {
    let here: HashSet<String> = person.texts_in_log(room).await?.into_iter().collect();
    Ok(texts.iter().any(|text| !here.contains(text)))
}

/// Says one thing after the other, and waits until all of it is in the room's log. Gives how long that took
/// for the slowest.
async fn speak(
    (person, sent): (Member, Arc<AtomicUsize>),
    room: RoomId,
    texts: Vec<String>,
    over: Option<Duration>,
) -> Result<Duration> {
    let began = Instant::now();
    let count = u32::try_from(texts.len()).unwrap_or(u32::MAX);
    let interval = over.map(|over| over / count);
    let mut under_way: JoinSet<Result<Duration>> = JoinSet::new();
    let mut slowest = Duration::ZERO;
    let mut next = began;
    for text in &texts {
        if let Some(interval) = interval {
            sleep_until(next).await;
            next += interval;
        } else if under_way.len() >= WINDOW
            && let Some(done) = under_way.join_next().await
        {
            slowest = slowest.max(done??);
        }
        let handed_in = Instant::now();
        let id = person.begin(room, text).await?;
        let (person, sent) = (person.clone(), Arc::clone(&sent));
        under_way.spawn(async move {
            person.ordered(room, id).await?;
            sent.fetch_add(1, Ordering::Relaxed);
            Ok(handed_in.elapsed())
        });
    }
    while let Some(done) = under_way.join_next().await {
        slowest = slowest.max(done??);
    }
    Ok(slowest)
}

fn unique(person: &Member, number: usize) -> String {
    let token = OsRng.next_u64();
    format!("{} says {number} [{token:016x}]", person.handle().local())
}
