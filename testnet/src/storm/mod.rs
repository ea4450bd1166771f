//! Thousands of messages between organizations while their servers are killed and started again at
//! random. Afterwards: none lost, none doubled, one order everywhere, and no server knows any of it.
//!
//! The people run inside this process, with real vaults; the servers are real processes that die by
//! SIGKILL. When a server dies is drawn from the seed in terms of messages that went through, so the
//! same seed strikes at the same places of the conversation, as far as timing allows.

mod accidents;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use entente_sdk::{ConnectionState, MessageId, NewRoom, RoomId};
use rand::RngCore;
use rand::rngs::OsRng;

use crate::args::{Options, Storm};
use crate::cast::{Member, names};
use crate::narrator::Busy;
use crate::scan::{Secret, secrets_of};
use crate::stage::Stage;
use crate::verdict::{Said, Tally, Verdict};
use accidents::Accidents;

/// How many messages of one person may be under way.
const WINDOW: usize = 32;

/// Lets it storm.
///
/// # Errors
/// When something in it could not be done at all; what went wrong but could be done is in the verdict.
pub async fn run(options: &Options, storm: &Storm) -> Result<Verdict> {
    let stage = Stage::set(options, storm.servers, storm.keep.into()).await?;
    on(stage, storm).await
}

/// The same on a stage that is set.
///
/// # Errors
/// When something in it could not be done at all.
pub async fn on(mut stage: Stage, storm: &Storm) -> Result<Verdict> {
    let began = Instant::now();
    let seed = storm.seed.unwrap_or_else(|| OsRng.next_u64());
    let narrator = stage.narrator;
    narrator.act(&format!("A storm, drawn from seed {seed}"));
    let (people, room) = gather(&stage).await?;
    let script = script(&people, storm.messages);
    let total = storm.messages * people.len();
    let progress = Arc::new(Progress {
        done: AtomicUsize::new(0),
        bar: narrator.progress("messages in the log", total),
    });
    let mut speakers = tokio::task::JoinSet::new();
    for (person, texts) in people.iter().zip(&script) {
        let speech = speak(person.clone(), room, texts.clone(), Arc::clone(&progress));
        speakers.spawn(speech);
    }
    let mut accidents = Accidents::drawn(seed, storm, total);
    let kills = accidents
        .strike(&mut stage.network, &progress.done, &mut speakers)
        .await?;
    while let Some(end) = speakers.join_next().await {
        end.context("a speaker broke down")??;
    }
    drop(progress);
    let seconds = began.elapsed().as_secs_f64();
    narrator.line(&format!(
        "✓ all said after {seconds:.1} s and {kills} kills"
    ));
    let end = End {
        stage,
        people,
        room,
        script,
        kills,
        seed,
    };
    end.judge(began).await
}

/// How far everything has come.
struct Progress {
    done: AtomicUsize,
    bar: Busy,
}

/// One person per organization, all in one room.
async fn gather(stage: &Stage) -> Result<(Vec<Member>, RoomId)> {
    let network = &stage.network;
    let _busy = stage.narrator.busy("people register and gather in a room");
    let mut people = Vec::new();
    for handle in names::one_per_server(network.plan())? {
        people.push(Member::register(network.folder(), &handle).await?);
    }
    let founder = people.first().context("a storm needs people")?;
    let room = founder
        .client()
        .create_room(NewRoom::named("Storm watch"))
        .await?;
    for person in &people[1..] {
        founder.client().invite(room, person.handle()).await?;
        person.join_next().await?;
    }
    for person in &people {
        person.room_of(room, people.len()).await?;
    }
    Ok((people, room))
}

/// What each person says.
fn script(people: &[Member], messages: usize) -> Vec<Vec<String>> {
    let token = OsRng.next_u64();
    people
        .iter()
        .map(|person| {
            let name = person.handle().local();
            let text = |number| format!("{name} sights wave {number} of storm {token:016x}");
            (1..=messages).map(text).collect()
        })
        .collect()
}

async fn speak(
    person: Member,
    room: RoomId,
    texts: Vec<String>,
    progress: Arc<Progress>,
) -> Result<()> {
    let mut under_way = VecDeque::new();
    for text in &texts {
        under_way.push_back(person.begin(room, text).await?);
        if under_way.len() >= WINDOW {
            settle(&person, room, &mut under_way, &progress).await?;
        }
    }
    while !under_way.is_empty() {
        settle(&person, room, &mut under_way, &progress).await?;
    }
    Ok(())
}

async fn settle(
    person: &Member,
    room: RoomId,
    under_way: &mut VecDeque<MessageId>,
    progress: &Progress,
) -> Result<()> {
    if let Some(id) = under_way.pop_front() {
        person.ordered(room, id).await?;
        progress.done.fetch_add(1, Ordering::Relaxed);
        progress.bar.step();
    }
    Ok(())
}

struct End {
    stage: Stage,
    people: Vec<Member>,
    room: RoomId,
    script: Vec<Vec<String>>,
    kills: usize,
    seed: u64,
}

impl End {
    async fn judge(mut self, began: Instant) -> Result<Verdict> {
        let total = self.script.iter().map(Vec::len).sum();
        let mut heard = Vec::new();
        {
            let _busy = self
                .stage
                .narrator
                .busy("waiting until everybody has everything");
            for person in &self.people {
                heard.push(person.texts_when(self.room, total).await?);
            }
        }
        let log = self.people[0].log(self.room).await?;
        let readers: Vec<usize> = (0..self.people.len()).collect();
        let texts = self.script.iter().flatten();
        let said: Vec<Said> = texts
            .map(|text| Said {
                text: text.clone(),
                readers: readers.clone(),
            })
            .collect();
        let founder = self.people[0].client();
        let suite = founder.room(self.room).await?.suite.mls_name().to_owned();
        let tls_group = match founder.connection() {
            ConnectionState::Online { key_exchange, .. } => key_exchange.to_string(),
            other => format!("{other:?}"),
        };
        let secrets = self.secrets(&said)?;
        for person in &self.people {
            person.client().shutdown().await;
        }
        self.stage.network.stop_all().await?;
        let report = self.stage.scan(&secrets)?;
        for leak in &report.leaks {
            let text = format!("✗ {} stands in {}", leak.what, leak.file.display());
            self.stage.narrator.line(&text);
        }
        let tally = Tally::of(&said, &heard);
        if tally.is_clean() {
            // A client shows a message once, however often it stands in the log: the count tells.
            log.is_whole()?;
        }
        Ok(Verdict {
            tally,
            leaks: report.leaks.len(),
            suite,
            tls_group,
            servers: self.stage.network.plan().servers.len(),
            store: "sqlite".to_owned(),
            kills: self.kills,
            seed: Some(self.seed),
            seconds: began.elapsed().as_secs_f64(),
        })
    }

    fn secrets(&self, said: &[Said]) -> Result<Vec<Secret>> {
        let mut secrets = Vec::new();
        for said in said {
            secrets.push(Secret::text("a message", &said.text)?);
        }
        for person in &self.people {
            let who = person.handle();
            secrets.extend(secrets_of(who, person.profile(), person.words())?);
        }
        Ok(secrets)
    }
}
