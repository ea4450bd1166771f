//! A scene as it is written: TOML, checked as a whole before anything starts.
//!
//! To add an act: a variant of [`Act`], an arm in [`check_acts`] if it changes who can be reached, an arm
//! in [`super::play`], a line in docs/testnet/scenes.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use crate::compose::network::ORGANIZATIONS;

/// Most people of a scene.
const MAX_PEOPLE: usize = 200;
/// Most messages of a scene.
const MAX_MESSAGES: usize = 100_000;
/// Longest pause, and longest time over which messages are spread, in seconds.
const MAX_SECONDS: f64 = 3600.0;
/// Furthest that a clock is put off, in seconds.
const MAX_CLOCK_SECONDS: u64 = 7 * 24 * 3600;

/// A scene.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its name: that of its file.
    pub name: String,
    /// What it shows, in one sentence.
    pub about: String,
    /// How many people each organization has in it.
    pub people: BTreeMap<String, usize>,
    /// What happens, in order.
    pub acts: Vec<Act>,
    /// What has to come of it.
    pub expect: Expect,
}

/// Something that happens. Servers are named by their organization's domain.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Act {
    /// The first person founds a room and brings everybody else in.
    Gather {
        /// In which way.
        how: Coming,
    },
    /// People say something.
    Talk {
        /// How many messages each of them sends.
        messages: usize,
        /// People of which organization; everybody if left out.
        #[serde(default)]
        of: Option<String>,
        /// Spread evenly over so many seconds; as fast as they can if left out.
        #[serde(default)]
        over_seconds: Option<f64>,
        /// The next acts begin while they still talk.
        #[serde(default)]
        meanwhile: bool,
    },
    /// All who talk come to their end, and everybody has everything.
    Settle {},
    /// Nothing happens.
    Pause {
        /// For how long.
        seconds: f64,
    },
    /// A server is asked to stop, and stays down.
    Stop {
        /// Which.
        server: String,
    },
    /// A server dies as by a power cut, and stays down.
    Kill {
        /// Which.
        server: String,
    },
    /// A server that is down comes back.
    Start {
        /// Which.
        server: String,
    },
    /// A server is asked to stop and comes back at once.
    Restart {
        /// Which.
        server: String,
    },
    /// A server is cut off from those of the other organizations; its own people still reach it.
    Cut {
        /// Which.
        server: String,
    },
    /// A server that was cut off is reached again.
    Heal {
        /// Which.
        server: String,
    },
    /// Nothing happens but a look: people of this server's organization have to lack something that
    /// others have. It shows that whatever separates them does separate them.
    Apart {
        /// Which.
        server: String,
    },
    /// The database of a server stops and comes back.
    RestartDatabase {
        /// Whose.
        server: String,
    },
    /// One of two nodes of a server dies and stays down.
    KillNode {
        /// Of which.
        server: String,
        /// Which node, counted from 1.
        node: usize,
    },
    /// A server starts anew with a clock that is off.
    Clock {
        /// Which.
        server: String,
        /// By how much; forward if positive, right again if 0.
        seconds: i64,
    },
}

/// In which way people come into a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Coming {
    /// They are invited and join.
    Invite,
    /// They are added.
    Add,
}

/// What has to come of a scene. That nothing is lost, doubled, strayed or out of order is always expected.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// How many messages are sent in all.
    pub sent: usize,
    /// In how many seconds all is over, from the first registration on.
    pub within_seconds: f64,
}

/// What is wrong with a scene.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptFault {
    file: PathBuf,
    /// Counted from 1; nothing if the file cannot be read at all.
    line: Option<usize>,
    problem: String,
}

impl fmt::Display for ScriptFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file.display(), self.problem),
            None => write!(f, "{}: {}", self.file.display(), self.problem),
        }
    }
}

impl std::error::Error for ScriptFault {}

/// A scene as TOML has it, each part with its place.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    about: String,
    people: Spanned<BTreeMap<String, usize>>,
    acts: Spanned<Vec<Spanned<Act>>>,
    expect: Spanned<Expect>,
}

/// A problem at a place of the text.
struct Misfit {
    at: usize,
    problem: String,
}

impl Script {
    /// The servers that have two nodes in it.
    #[must_use]
    pub fn of_two_nodes(&self) -> BTreeSet<&str> {
        let servers = self.acts.iter().filter_map(|act| match act {
            Act::KillNode { server, .. } => Some(server.as_str()),
            _ => None,
        });
        servers.collect()
    }

    /// Reads a scene from a file.
    ///
    /// # Errors
    /// What is wrong with it, with its line.
    pub fn load(file: &Path) -> Result<Self, ScriptFault> {
        let text = fs::read_to_string(file).map_err(|error| ScriptFault {
            file: file.to_owned(),
            line: None,
            problem: format!("cannot be read: {error}"),
        })?;
        Self::parse(file, &text)
    }

    /// Reads a scene from the text of `file`, which only names it.
    ///
    /// # Errors
    /// What is wrong with it, with its line.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ScriptFault> {
        let fault = |at: usize, problem: String| ScriptFault {
            file: file.to_owned(),
            line: Some(line_of(text, at)),
            problem,
        };
        let written: Written = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            fault(at, error.message().to_owned())
        })?;
        let checked = check_people(&written.people)
            .and_then(|()| check_acts(&written))
            .and_then(|()| check_sum(&written));
        checked.map_err(|misfit| fault(misfit.at, misfit.problem))?;
        let name = file.file_stem().unwrap_or_default();
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            about: written.about,
            people: written.people.into_inner(),
            acts: written
                .acts
                .into_inner()
                .into_iter()
                .map(Spanned::into_inner)
                .collect(),
            expect: written.expect.into_inner(),
        })
    }

    /// How many people are in it.
    #[must_use]
    pub fn crowd(&self) -> usize {
        self.people.values().sum()
    }
}

fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// The domains that a network has.
fn domains() -> Vec<String> {
    let letters = ('a'..='z').take(ORGANIZATIONS);
    letters.map(|letter| format!("org-{letter}.test")).collect()
}

fn check_people(people: &Spanned<BTreeMap<String, usize>>) -> Result<(), Misfit> {
    let misfit = |problem| {
        let at = people.span().start;
        Err(Misfit { at, problem })
    };
    for (domain, count) in people.get_ref() {
        if !domains().contains(domain) {
            let known = domains().join(", ");
            return misfit(format!(
                "there is no organization `{domain}`; there are {known}"
            ));
        }
        if *count == 0 {
            return misfit(format!(
                "leave `{domain}` out if it has nobody in the scene"
            ));
        }
    }
    match people.get_ref().values().sum() {
        0 | 1 => misfit("a conversation takes two people".to_owned()),
        crowd if crowd > MAX_PEOPLE => misfit(format!("a scene has at most {MAX_PEOPLE} people")),
        _ => Ok(()),
    }
}

/// Goes through the acts and follows who is down, who is cut off, and whether there is a room.
fn check_acts(written: &Written) -> Result<(), Misfit> {
    let mut state = State::default();
    for act in written.acts.get_ref() {
        let at = act.span().start;
        let followed = state.follow(act.get_ref(), at, written.people.get_ref());
        followed.map_err(|problem| Misfit { at, problem })?;
    }
    if !state.gathered {
        let at = written.acts.span().start;
        let problem = "nobody gathers: a scene has an act `gather`".to_owned();
        return Err(Misfit { at, problem });
    }
    for (away, back) in [(&state.down, "start"), (&state.cut, "heal")] {
        if let Some((server, at)) = away.first_key_value() {
            let problem = format!(
                "{server} is not back at the end, so nothing could arrive: add the act `{back}`"
            );
            return Err(Misfit { at: *at, problem });
        }
    }
    Ok(())
}

/// What is the case between two acts.
#[derive(Default)]
struct State {
    gathered: bool,
    /// Which servers are down, and since which place of the text.
    down: BTreeMap<String, usize>,
    /// Which servers are cut off, and since which place of the text.
    cut: BTreeMap<String, usize>,
    /// Whose node was killed.
    halved: BTreeSet<String>,
}

impl State {
    fn follow(
        &mut self,
        act: &Act,
        at: usize,
        people: &BTreeMap<String, usize>,
    ) -> Result<(), String> {
        if let Some(server) = act.server()
            && !domains().iter().any(|known| known == server)
        {
            return Err(format!(
                "there is no server `{server}`; there are {}",
                domains().join(", ")
            ));
        }
        match act {
            Act::Gather { .. } if self.gathered => Err("they have gathered already".to_owned()),
            Act::Gather { .. } => {
                self.gathered = true;
                Ok(())
            }
            Act::Talk { .. } => self.talk(act, people),
            Act::Settle {} => {
                let away = self.down.keys().chain(self.cut.keys()).next();
                away.map_or(Ok(()), |server| {
                    Err(format!(
                        "nothing settles while {server} is away: bring it back before"
                    ))
                })
            }
            Act::Pause { seconds } => check_seconds(*seconds),
            Act::Stop { server } | Act::Kill { server } => {
                self.must_run(server)?;
                self.down.insert(server.clone(), at);
                Ok(())
            }
            Act::Start { server } => match self.down.remove(server) {
                Some(_) => Ok(()),
                None => Err(format!("{server} runs already")),
            },
            Act::Restart { server } | Act::RestartDatabase { server } => self.must_run(server),
            Act::Cut { server } => {
                self.must_run(server)?;
                match self.cut.insert(server.clone(), at) {
                    Some(_) => Err(format!("{server} is cut off already")),
                    None => Ok(()),
                }
            }
            Act::Heal { server } => match self.cut.remove(server) {
                Some(_) => Ok(()),
                None => Err(format!("{server} is not cut off")),
            },
            Act::Apart { server } => self.apart(server, people),
            Act::KillNode { server, node } => self.kill_node(server, *node),
            Act::Clock { server, seconds } => {
                self.must_run(server)?;
                if self.cut.contains_key(server) {
                    return Err(format!(
                        "{server} is cut off, and a start with another clock would reach the others \
                         again: add the act `heal` before"
                    ));
                }
                match seconds.unsigned_abs() <= MAX_CLOCK_SECONDS {
                    true => Ok(()),
                    false => Err(format!("a clock is off by at most {MAX_CLOCK_SECONDS} s")),
                }
            }
        }
    }

    fn apart(&self, server: &str, people: &BTreeMap<String, usize>) -> Result<(), String> {
        if !people.contains_key(server) {
            return Err(format!("the scene has nobody of `{server}`"));
        }
        if self.down.contains_key(server) || self.cut.contains_key(server) {
            return Ok(());
        }
        Err(format!(
            "nothing separates {server} here: it neither is down nor cut off"
        ))
    }

    fn kill_node(&mut self, server: &str, node: usize) -> Result<(), String> {
        self.must_run(server)?;
        if !(1..=2).contains(&node) {
            return Err(format!("{server} has the nodes 1 and 2"));
        }
        match self.halved.insert(server.to_owned()) {
            true => Ok(()),
            false => Err(format!("{server} has no second node left")),
        }
    }

    fn talk(&self, act: &Act, people: &BTreeMap<String, usize>) -> Result<(), String> {
        let Act::Talk {
            messages,
            of,
            over_seconds,
            ..
        } = act
        else {
            return Ok(());
        };
        if !self.gathered {
            return Err("nobody can talk before the act `gather`".to_owned());
        }
        if !(1..=MAX_MESSAGES).contains(messages) {
            return Err(format!("`messages` is 1 to {MAX_MESSAGES}"));
        }
        if let Some(domain) = of
            && !people.contains_key(domain)
        {
            return Err(format!("the scene has nobody of `{domain}`"));
        }
        over_seconds.map_or(Ok(()), check_seconds)
    }

    fn must_run(&self, server: &str) -> Result<(), String> {
        match self.down.contains_key(server) {
            true => Err(format!(
                "{server} is down; bring it back with the act `start` before"
            )),
            false => Ok(()),
        }
    }
}

fn check_seconds(seconds: f64) -> Result<(), String> {
    let fits = seconds.is_finite() && seconds > 0.0 && seconds <= MAX_SECONDS;
    match fits {
        true => Ok(()),
        false => Err(format!("seconds are more than 0 and at most {MAX_SECONDS}")),
    }
}

/// Whether as many messages are expected as are said.
fn check_sum(written: &Written) -> Result<(), Misfit> {
    let people = written.people.get_ref();
    let acts = written.acts.get_ref().iter();
    let said: usize = acts.map(|act| act.get_ref().said(people)).sum();
    let expect = written.expect.get_ref();
    let at = written.expect.span().start;
    let misfit = |problem| Err(Misfit { at, problem });
    if said == 0 {
        return misfit("nobody says anything: a scene has an act `talk`".to_owned());
    }
    if said > MAX_MESSAGES {
        return misfit(format!(
            "a scene has at most {MAX_MESSAGES} messages, this has {said}"
        ));
    }
    if expect.sent != said {
        let sent = expect.sent;
        return misfit(format!(
            "`sent` is {sent}, but the acts say {said} messages"
        ));
    }
    check_seconds(expect.within_seconds)
        .or_else(|problem| misfit(format!("`within_seconds`: {problem}")))
}

impl Act {
    /// Which server it is about, if any.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        match self {
            Self::Stop { server }
            | Self::Kill { server }
            | Self::Start { server }
            | Self::Restart { server }
            | Self::Cut { server }
            | Self::Heal { server }
            | Self::Apart { server }
            | Self::RestartDatabase { server }
            | Self::KillNode { server, .. }
            | Self::Clock { server, .. } => Some(server),
            Self::Gather { .. } | Self::Talk { .. } | Self::Settle {} | Self::Pause { .. } => None,
        }
    }

    /// How many messages are said in it.
    fn said(&self, people: &BTreeMap<String, usize>) -> usize {
        match self {
            Self::Talk { messages, of, .. } => {
                let crowd = match of {
                    Some(domain) => people.get(domain).copied().unwrap_or(0),
                    None => people.values().sum(),
                };
                messages.saturating_mul(crowd)
            }
            _ => 0,
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gather {
                how: Coming::Invite,
            } => f.write_str("everybody is invited and joins"),
            Self::Gather { how: Coming::Add } => f.write_str("everybody is added"),
            Self::Talk {
                messages,
                of,
                over_seconds,
                meanwhile,
            } => {
                let who = of.as_deref().unwrap_or("everybody");
                write!(f, "{who} says {messages} things")?;
                if let Some(seconds) = over_seconds {
                    write!(f, " over {seconds} s")?;
                }
                f.write_str(if *meanwhile { ", and meanwhile" } else { "" })
            }
            Self::Settle {} => f.write_str("all has to arrive"),
            Self::Pause { seconds } => write!(f, "{seconds} s pass"),
            Self::Stop { server } => write!(f, "{server} stops"),
            Self::Kill { server } => write!(f, "{server} is killed"),
            Self::Start { server } => write!(f, "{server} comes back"),
            Self::Restart { server } => write!(f, "{server} restarts"),
            Self::Cut { server } => write!(f, "{server} is cut off from the others"),
            Self::Heal { server } => write!(f, "{server} is reached again"),
            Self::Apart { server } => write!(f, "people of {server} lack what others have"),
            Self::RestartDatabase { server } => write!(f, "the database of {server} restarts"),
            Self::KillNode { server, node } => write!(f, "node {node} of {server} is killed"),
            Self::Clock { server, seconds: 0 } => write!(f, "the clock of {server} is right again"),
            Self::Clock { server, seconds } => {
                write!(
                    f,
                    "{server} restarts with a clock that is off by {seconds} s"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
