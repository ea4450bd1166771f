//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::compose::StoreChoice;

/// In what the servers of a network in containers keep what they hold, when nobody says.
const DEFAULT_COMPOSE_STORE: StoreChoice = StoreChoice::Postgres;

/// Local networks of real homeservers, and plays on them.
#[derive(Debug, Parser)]
#[command(name = "testnet", version, about, max_term_width = 100)]
pub struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub options: Options,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What applies to every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Options {
    /// Folder with everything of the network [default: .testnet; plays: a temporary one]
    #[arg(long, global = true, value_name = "DIR", env = "TESTNET_DIR")]
    pub dir: Option<PathBuf>,
    /// Start the programs as they are instead of building them first
    #[arg(long, global = true)]
    pub no_build: bool,
    /// Print the result as one line of JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring a network up and hold it until Ctrl-C
    Up(Up),
    /// Run the client as a person of the network
    As(As),
    /// Show how the servers are
    Status,
    /// Stop a network that runs elsewhere, or was left running
    Down,
    /// Remove the network with everything in it
    Reset,
    /// Play a conversation of three organizations, with a removal and a crash
    Demo(Demo),
    /// Send thousands of messages while servers are killed at random
    Storm(Storm),
    /// Measure what something costs
    #[command(subcommand)]
    Measure(Measure),
    /// Make the images of a network in containers, without any registry
    Images(Images),
    /// A network in containers: three organizations with a database each
    #[command(subcommand)]
    Compose(Compose),
    /// Play scenes: what has to hold when things go wrong
    Scene(Scene),
}

/// Brings a network up.
#[derive(Debug, Args)]
pub struct Up {
    /// How many servers a new network has
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub servers: usize,
    /// Who is registered, such as alice@org-a.test,bob [default: one person on each server]
    #[arg(long, value_name = "PEOPLE", value_delimiter = ',')]
    pub seed_people: Option<Vec<String>>,
}

/// Runs the client as a person of the network.
#[derive(Debug, Args)]
pub struct As {
    /// Who
    pub handle: String,
    /// What the client is told, after `--`
    #[arg(last = true, required = true, value_name = "ARGS")]
    pub args: Vec<OsString>,
}

/// Plays a conversation.
#[derive(Debug, Args)]
pub struct Demo {
    /// Leave the network's folder when all is over
    #[arg(long)]
    pub keep: bool,
}

/// Sends messages while servers are killed.
#[derive(Debug, Args)]
pub struct Storm {
    /// How many messages each person sends
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub messages: usize,
    /// How often a server is killed
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub kills: usize,
    /// How many organizations take part, with one person each
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub servers: usize,
    /// Which servers are killed
    #[arg(long, value_enum, default_value_t = Victims::Any)]
    pub kill: Victims,
    /// From what the accidents are drawn; chosen at random if left out
    #[arg(long)]
    pub seed: Option<u64>,
    /// Leave the network's folder when all is over
    #[arg(long)]
    pub keep: bool,
}

/// Which servers are killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Victims {
    /// Each of them.
    Any,
    /// The one that orders the room.
    Hub,
    /// The others.
    Follower,
}

/// Measures what something costs.
#[derive(Debug, Subcommand)]
pub enum Measure {
    /// Bytes written and time taken per message and per commit, by the size of the room
    Room(MeasureRoom),
}

/// Measures a room.
#[derive(Debug, Args)]
pub struct MeasureRoom {
    /// How many people are in the room
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub members: usize,
    /// How many organizations they belong to
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub servers: usize,
    /// How many messages are sent
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub messages: usize,
    /// The room's encryption
    #[arg(long, value_enum, default_value_t = SuiteChoice::Pq)]
    pub suite: SuiteChoice,
    /// Leave the network's folder when all is over
    #[arg(long)]
    pub keep: bool,
}

/// Makes images.
#[derive(Debug, Args)]
pub struct Images {
    /// The homeserver as cargo built it beside this program, with its shared libraries, instead of
    /// one that is optimized and linked statically
    #[arg(long)]
    pub quick: bool,
    /// A stand-in for Prometheus too
    #[arg(long)]
    pub prometheus: bool,
    /// Make stand-ins anew that are there already
    #[arg(long)]
    pub again: bool,
}

/// A network in containers.
#[derive(Debug, Subcommand)]
pub enum Compose {
    /// Start it, make it first if there is none, and wait until it is healthy
    Up(ComposeUp),
    /// Stop it; `up` starts it again with all that it held
    Down,
    /// Remove it with everything in it
    Reset,
    /// Show what its containers print
    Logs(ComposeLogs),
}

/// Starts a network in containers.
#[derive(Debug, Args)]
pub struct ComposeUp {
    /// In what the servers of a new network keep what they hold
    #[arg(long, value_enum, default_value_t = DEFAULT_COMPOSE_STORE)]
    pub store: StoreChoice,
    /// Who is registered, such as alice@org-a.test,bob [default: one person on each server]
    #[arg(long, value_name = "PEOPLE", value_delimiter = ',')]
    pub seed_people: Option<Vec<String>>,
    /// Start Prometheus beside it
    #[arg(long)]
    pub prometheus: bool,
}

/// Shows what containers print.
#[derive(Debug, Args)]
pub struct ComposeLogs {
    /// Of which service [default: all]
    pub service: Option<String>,
    /// Go on until Ctrl-C
    #[arg(long, short)]
    pub follow: bool,
}

/// Plays scenes.
#[derive(Debug, Args)]
pub struct Scene {
    /// Which ones: names of files in testnet/scenes, or paths of others
    #[arg(required_unless_present_any = ["all", "list"], conflicts_with = "all")]
    pub names: Vec<String>,
    /// All that are in testnet/scenes
    #[arg(long)]
    pub all: bool,
    /// Show which there are, and play none
    #[arg(long)]
    pub list: bool,
    /// Where they are played
    #[arg(long, value_enum, default_value_t = On::Local)]
    pub on: On,
    /// In what the servers keep what they hold
    #[arg(long, value_enum, default_value_t = StoreChoice::Sqlite)]
    pub store: StoreChoice,
    /// Leave the networks of scenes that failed
    #[arg(long)]
    pub keep: bool,
}

/// Where scenes are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum On {
    /// Processes on this machine.
    Local,
    /// Containers.
    Compose,
}

/// A room's encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SuiteChoice {
    /// Post-quantum.
    Pq,
    /// Classical.
    Classical,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        let line = "testnet as alice@org-a.test -- send tea hello --json";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Command::As(command) = cli.command else {
            panic!("{line}");
        };
        assert_eq!(command.args.len(), 4);
        assert!(!cli.options.json);
    }
}
