//! A conversation of three people at three organizations, with the real programs.
//!
//! The story: registration, a room, one person invited and one added, messages in all directions, one
//! person removed, one server killed while messages are under way and started again. In the end everyone
//! has everything that was meant for them, once and in one order, and no server knows any of it.

mod script;

use std::time::Instant;

use anyhow::{Context, Result};

use crate::args::{Demo, Options};
use crate::cast::Line;
use crate::holdings::{self, Holding};
use crate::scan::{Secret, secrets_of};
use crate::stage::Stage;
use crate::verdict::{Tally, Verdict};
use script::{ALICE, BOB, CAROL, Script};

/// Servers of the play.
const SERVERS: usize = 3;
/// The server of the person who is cut off.
const BOBS_SERVER: usize = 1;
/// How many messages each sends while a server is killed under them.
const UNDER_FIRE: usize = 8;

/// Plays it.
///
/// # Errors
/// When something in it could not be done at all; what went wrong but could be done is in the verdict.
pub async fn run(options: &Options, demo: &Demo) -> Result<Verdict> {
    let began = Instant::now();
    let stage = Stage::set(options, SERVERS, demo.keep.into()).await?;
    let mut play = Play {
        script: Script::new(&stage.network)?,
        stage,
    };
    play.introduce();
    play.register().await?;
    play.gather().await?;
    play.talk().await?;
    play.show_servers()?;
    play.remove_carol().await?;
    play.talk_under_fire().await?;
    play.end(began).await
}

struct Play {
    stage: Stage,
    script: Script,
}

impl Play {
    fn introduce(&self) {
        let narrator = self.stage.narrator;
        narrator.act("Three organizations, three homeservers, all of them running");
        for server in &self.stage.network.plan().servers {
            narrator.line(&format!("✓ {}", server.domain));
        }
    }

    async fn register(&mut self) -> Result<()> {
        let narrator = self.stage.narrator;
        narrator.act("Everybody opens an account at the own organization");
        for index in [ALICE, BOB, CAROL] {
            let person = self.script.person(index).clone();
            let registration = {
                let _busy = narrator.busy(&format!("{} registers", person.name()));
                person.register().await?
            };
            narrator.line(&format!("✓ {}  {}", person.handle(), registration.account));
            self.script.words.push(registration.recovery_words);
        }
        Ok(())
    }

    async fn gather(&mut self) -> Result<()> {
        let narrator = self.stage.narrator;
        let [alice, bob, carol] = self.script.people();
        let room = self.script.room.clone();
        narrator.act("Alice founds a room; Bob is invited and joins, Carol is added");
        alice.run(&["room", "create", &room]).await?;
        narrator.line(&format!("alice$ entente room create '{room}'"));
        let bobs_handle = bob.handle().to_string();
        alice.run(&["room", "invite", &room, &bobs_handle]).await?;
        bob.invitation().await?;
        bob.run(&["room", "join"]).await?;
        narrator.line("bob$   entente room join");
        let carols_handle = carol.handle().to_string();
        alice.run(&["room", "add", &room, &carols_handle]).await?;
        narrator.line(&format!("alice$ entente room add '{room}' {carols_handle}"));
        for person in [&alice, &bob, &carol] {
            person
                .room_when("a room of three", |known| {
                    known.name == room && known.state == "active" && known.members == 3
                })
                .await?;
        }
        Ok(())
    }

    async fn talk(&mut self) -> Result<()> {
        let narrator = self.stage.narrator;
        narrator.act("Everybody talks");
        let everybody = [ALICE, BOB, CAROL];
        for round in 0..2 {
            for speaker in everybody {
                let text = self.script.line(speaker, round, &everybody);
                let person = self.script.person(speaker);
                person.say(&self.script.room, &text).await?;
                narrator.line(&format!("{}: {text}", person.name()));
            }
        }
        for reader in everybody {
            self.wait_for_all(reader).await?;
        }
        narrator.line("✓ everybody has all of it");
        Ok(())
    }

    fn show_servers(&self) -> Result<()> {
        let narrator = self.stage.narrator;
        narrator.act("What each homeserver holds of it");
        let network = &self.stage.network;
        for server in &network.plan().servers {
            let held = holdings::of(network.folder(), &server.domain())?;
            let Holding {
                entries,
                bytes,
                preview,
            } = held;
            narrator.line(&format!(
                "{}  {entries} entries, {bytes} bytes of MLS, the last one begins {preview}…",
                server.domain
            ));
        }
        Ok(())
    }

    async fn remove_carol(&mut self) -> Result<()> {
        let narrator = self.stage.narrator;
        let [alice, bob, carol] = self.script.people();
        let room = self.script.room.clone();
        narrator.act("Alice removes Carol");
        let handle = carol.handle().to_string();
        alice.run(&["room", "remove", &room, &handle]).await?;
        carol
            .room_when("its removal", |known| {
                known.name == room && known.state == "removed"
            })
            .await?;
        bob.room_when("a room of two", |known| {
            known.name == room && known.members == 2
        })
        .await?;
        narrator.line("✓ carol's client knows; from here on nothing is for her");
        for speaker in [BOB, ALICE] {
            let text = self.script.line(speaker, 2, &[ALICE, BOB]);
            let person = self.script.person(speaker);
            person.say(&room, &text).await?;
            narrator.line(&format!("{}: {text}", person.name()));
        }
        Ok(())
    }

    /// Both talk while Bob's server is killed; Alice goes on while it is down, and Bob writes although
    /// his server is not there.
    async fn talk_under_fire(&mut self) -> Result<()> {
        let narrator = self.stage.narrator;
        let [alice, bob, _] = self.script.people();
        let room = self.script.room.clone();
        narrator.act("Bob's homeserver is killed in mid-conversation (SIGKILL)");
        let alices = self.script.barrage(ALICE, UNDER_FIRE, &[ALICE, BOB]);
        let bobs = self.script.barrage(BOB, UNDER_FIRE, &[ALICE, BOB]);
        let meanwhile = self.script.barrage(ALICE, 2, &[ALICE, BOB]);
        let into_the_void = self.script.barrage(BOB, 1, &[ALICE, BOB]).remove(0);
        let (from_alice, from_bob, fire) = tokio::join!(
            alice.say_all(&room, &alices),
            bob.say_all(&room, &bobs),
            async {
                self.kill_in_mid_conversation().await?;
                narrator.line("✗ org-b.test is gone; alice goes on");
                alice.say_all(&room, &meanwhile).await?;
                bob.run(&["send", &room, &into_the_void, "--wait", "queued"])
                    .await?;
                narrator.line("bob writes although his server is not there");
                self.stage.network.start(BOBS_SERVER).await?;
                narrator.line("✓ org-b.test is back");
                anyhow::Ok(())
            }
        );
        fire?;
        let sent = from_alice?.len() + from_bob?.len();
        narrator.line(&format!("✓ all {sent} messages under way went through"));
        bob.run(&["sync"]).await?;
        for reader in [ALICE, BOB] {
            self.wait_for_all(reader).await?;
        }
        Ok(())
    }

    /// Kills Bob's server once it took part in the conversation.
    async fn kill_in_mid_conversation(&mut self) -> Result<()> {
        let network = &mut self.stage.network;
        let domain = network.plan().servers[BOBS_SERVER].domain();
        let before = holdings::of(network.folder(), &domain)?.entries;
        holdings::wait_for_entries(network.folder(), &domain, before + 2).await?;
        network.kill(BOBS_SERVER).await
    }

    async fn wait_for_all(&self, reader: usize) -> Result<Vec<Line>> {
        let wanted = self.script.texts_for(reader);
        let what = format!("{} messages", wanted.len());
        let person = self.script.person(reader);
        let fits = |lines: &[Line]| {
            let has = |text: &String| lines.iter().any(|line| line.text.as_ref() == Some(text));
            wanted.iter().all(has)
        };
        person.history_when(&self.script.room, &what, fits).await
    }

    async fn end(mut self, began: Instant) -> Result<Verdict> {
        let narrator = self.stage.narrator;
        narrator.act("What everybody has in the end");
        let mut heard = Vec::new();
        for index in [ALICE, BOB, CAROL] {
            let person = self.script.person(index);
            let lines = person.history(&self.script.room).await?;
            let texts = lines
                .into_iter()
                .filter(Line::is_text)
                .filter_map(|line| line.text);
            heard.push(texts.collect::<Vec<_>>());
            narrator.line(&format!(
                "{}  {} messages",
                person.handle(),
                heard[index].len()
            ));
        }
        let (suite, tls_group) = self.cryptography().await?;
        self.stage.network.stop_all().await?;
        let leaks = self.scan()?;
        Ok(Verdict {
            tally: Tally::of(&self.script.said, &heard),
            leaks,
            suite,
            tls_group,
            servers: SERVERS,
            store: "sqlite".to_owned(),
            kills: 1,
            seed: None,
            seconds: began.elapsed().as_secs_f64(),
        })
    }

    async fn cryptography(&self) -> Result<(String, String)> {
        let alice = self.script.person(ALICE);
        let room = alice.rooms().await?.pop().context("alice has no room")?;
        let status = alice.run(&["status"]).await?;
        let group = status
            .first()
            .and_then(|status| status["key_exchange"].as_str());
        let group = group.context("the status names no key exchange")?;
        Ok((room.mls_suite, group.to_owned()))
    }

    fn scan(&self) -> Result<usize> {
        let narrator = self.stage.narrator;
        narrator.act("Does any homeserver know any of it?");
        let mut secrets = vec![Secret::text("the room's name", &self.script.room)?];
        for said in &self.script.said {
            secrets.push(Secret::text(
                format!("the message `{}`", said.text),
                &said.text,
            )?);
        }
        for (person, words) in self.script.people().iter().zip(&self.script.words) {
            secrets.extend(secrets_of(person.handle(), &person.profile(), words)?);
        }
        let report = self.stage.scan(&secrets)?;
        let (files, bytes) = (report.files, report.bytes);
        for leak in &report.leaks {
            narrator.line(&format!(
                "✗ {} stands in {}",
                leak.what,
                leak.file.display()
            ));
        }
        if report.leaks.is_empty() {
            let count = secrets.len();
            narrator.line(&format!(
                "✓ none of {count} secrets in {files} files, {bytes} bytes"
            ));
        }
        Ok(report.leaks.len())
    }
}
