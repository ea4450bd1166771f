//! What each command does. To add a play: a folder for it, a variant in [`crate::args`], an arm here.

mod as_person;
mod compose;
mod down;
mod scenes;
mod status;
mod up;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;

use crate::args::{Cli, Command, Measure, Options};
use crate::demo;
use crate::images;
use crate::narrator::Narrator;
use crate::network::{BuildChoice, Folder};
use crate::verdict::Verdict;
use crate::{measure, storm};

/// Where a network lives when nobody says.
const DEFAULT_FOLDER: &str = ".testnet";

/// Does what the command line says; the exit code says whether all was well.
///
/// # Errors
/// When something could not be done.
pub async fn run(cli: Cli) -> Result<ExitCode> {
    let Cli { options, command } = cli;
    let narrator = Narrator::new(options.json);
    match &command {
        Command::Up(what) => up::run(&options, what).await.map(done),
        Command::As(what) => as_person::run(&options, what).await.map(done),
        Command::Status => status::run(&options).await,
        Command::Down => down::run(&options, narrator).await.map(done),
        Command::Reset => down::reset(&options, narrator).map(done),
        Command::Demo(what) => demo::run(&options, what)
            .await
            .map(|v| judged(narrator, &v)),
        Command::Storm(what) => storm::run(&options, what)
            .await
            .map(|v| judged(narrator, &v)),
        Command::Measure(Measure::Room(what)) => measure::run(&options, what).await.map(done),
        Command::Images(what) => images::run(&options, what).await,
        Command::Compose(what) => compose::run(&options, what).await,
        Command::Scene(what) => scenes::run(&options, what).await,
    }
}

impl Options {
    /// The folder of a network that stays.
    ///
    /// # Errors
    /// When the current directory is not known.
    pub fn folder(&self) -> Result<Folder> {
        let default = PathBuf::from(DEFAULT_FOLDER);
        Folder::at(self.dir.as_deref().unwrap_or(&default))
    }

    /// The folder that a play was told to use.
    #[must_use]
    pub fn named_folder(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    /// Whether programs are built before they are started.
    #[must_use]
    pub fn build_choice(&self) -> BuildChoice {
        if self.no_build {
            BuildChoice::TakeAsIs
        } else {
            BuildChoice::Build
        }
    }
}

/// Tells who is there, and `how` they talk.
fn show_people(people: &[String], how: &str, narrator: Narrator) {
    narrator.act("People");
    narrator.line(&people.join(", "));
    if let [first, .., last] = people {
        narrator.act(how);
        narrator.line(&format!(
            "testnet as {first} -- room create tea\n\
             testnet as {first} -- room invite tea {last}\n\
             testnet as {last} -- room join\n\
             testnet as {first} -- chat tea"
        ));
    }
}

fn done((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

fn judged(narrator: Narrator, verdict: &Verdict) -> ExitCode {
    narrator.result(verdict, &verdict.to_string());
    if verdict.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
