//! The command line: every command, option and environment variable.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use entente_sdk::{Handle, InviteRight, Milestone, Suite};

/// What every exit code means; part of the interface.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  a bug or a broken disk
  2  wrong usage
  3  no such profile, or its vault cannot be opened
  4  not reachable, or it took too long; trying again helps
  5  a server said no
  6  no such room, person or invitation, or not a member
  7  something does not add up: an identity changed, or a server shows two histories

With --json every result is one JSON object per line on standard output, and an error is
{\"error\":{\"code\",\"message\",\"retry\",\"retry_after_ms\"}} on standard error.";

/// End-to-end encrypted chat between organizations.
#[derive(Debug, Parser)]
#[command(name = "entente", version, about, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub options: Options,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How long servers are waited for when the command line does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// What applies to every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Options {
    /// Which of your accounts to use; not needed when there is only one
    #[arg(long, global = true, value_name = "NAME", env = "ENTENTE_PROFILE")]
    pub profile: Option<String>,
    /// Folder with all profiles [default: $XDG_DATA_HOME/entente or ~/.local/share/entente]
    #[arg(long, global = true, value_name = "DIR", env = "ENTENTE_HOME")]
    pub home: Option<PathBuf>,
    /// Print JSON, one object per line
    #[arg(long, global = true)]
    pub json: bool,
    /// Read the passphrase from the first line of this file instead of asking for it
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "ENTENTE_PASSPHRASE_FILE"
    )]
    pub passphrase_file: Option<PathBuf>,
    /// Use only what is on this device
    #[arg(long, global = true)]
    pub offline: bool,
    /// How long to wait for servers, in seconds; `listen` ends after it [default: 30, listen: never]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// Show what happens underneath; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Where the servers of a test network are: lines of `name ip https_port quic_port`
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "ENTENTE_HOST_TABLE",
        hide_short_help = true
    )]
    pub host_table: Option<PathBuf>,
    /// A further certificate authority to trust, as a test network has it
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "ENTENTE_EXTRA_CA",
        hide_short_help = true
    )]
    pub extra_ca: Option<PathBuf>,
}

impl Options {
    /// How long to wait for servers.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.timeout.unwrap_or(DEFAULT_TIMEOUT)
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Open an account at your organization's homeserver
    Register(Register),
    /// What is done with an account that is there.
    #[command(flatten)]
    Account(AccountCommand),
    /// Print a completion script for a shell
    Completions(Completions),
}

/// What is done with an account that is there.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Show who you are
    Whoami,
    /// Look a person up and verify who it is
    Resolve(Resolve),
    /// Found, join, list and change rooms
    #[command(subcommand)]
    Room(RoomCommand),
    /// List the invitations that wait for you
    Invites,
    /// Send a message: TEXT, or what comes on standard input
    Send(Send),
    /// Print what comes in, until Ctrl-C
    Listen(Listen),
    /// Show a room's messages
    History(History),
    /// Talk in a room, line by line
    Chat(Chat),
    /// Fetch what is new, send what waits, and exit
    Sync,
    /// Show how you, your homeserver and its peers are
    Status,
}

/// Opens an account.
#[derive(Debug, Args)]
pub struct Register {
    /// The name you want, such as alice@org-a.example
    #[arg(value_parser = handle)]
    pub handle: Handle,
    /// File whose first line is the token that your organization gave you
    #[arg(long, alias = "token", value_name = "FILE", env = "ENTENTE_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Protect the vault by a key file in the profile's folder instead of a passphrase: for scripts
    #[arg(long, conflicts_with = "passphrase_file")]
    pub key_file: bool,
}

/// Looks a person up.
#[derive(Debug, Args)]
pub struct Resolve {
    /// Whom to look up
    #[arg(value_parser = handle)]
    pub handle: Handle,
    /// Accept that the name now belongs to another account, after you have checked with the person
    #[arg(long)]
    pub accept_change: bool,
}

/// Rooms.
#[derive(Debug, Subcommand)]
pub enum RoomCommand {
    /// Found a room
    Create(RoomCreate),
    /// Invite somebody, who decides whether to join
    Invite(RoomPerson),
    /// Add somebody at once
    Add(RoomPerson),
    /// Join a room that you are invited to
    Join(RoomJoin),
    /// List your rooms
    List,
    /// List who is in a room
    Members(RoomOnly),
    /// Leave a room
    Leave(RoomOnly),
    /// Remove somebody from a room
    Remove(RoomPerson),
    /// Come back into a room that this device lost track of
    Resync(RoomOnly),
    /// Check whether the room's hub showed two histories; exits with 7 if it did
    Verify(RoomVerify),
}

/// Founds a room.
#[derive(Debug, Args)]
pub struct RoomCreate {
    /// What people see
    pub name: String,
    /// What it is about
    #[arg(long, default_value = "")]
    pub topic: String,
    /// Its encryption: `pq` withstands quantum computers, `classical` is smaller
    #[arg(long, value_enum, default_value_t = SuiteChoice::Pq)]
    pub suite: SuiteChoice,
    /// Who may invite
    #[arg(long, value_enum, default_value_t = InviteChoice::Members)]
    pub invite: InviteChoice,
}

/// A room and a person.
#[derive(Debug, Args)]
pub struct RoomPerson {
    /// The room's name, or the beginning of its id
    pub room: String,
    /// Whom
    #[arg(value_parser = handle)]
    pub handle: Handle,
}

/// A room.
#[derive(Debug, Args)]
pub struct RoomOnly {
    /// The room's name, or the beginning of its id
    pub room: String,
}

/// Checks a room's history.
#[derive(Debug, Args)]
pub struct RoomVerify {
    /// The room's name, or the beginning of its id
    #[arg(required_unless_present = "file")]
    pub room: Option<String>,
    /// Check a proof from a file instead
    #[arg(long, value_name = "FILE", conflicts_with = "room")]
    pub file: Option<PathBuf>,
    /// Write the proof to a file, for others to check
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
}

/// Joins a room.
#[derive(Debug, Args)]
pub struct RoomJoin {
    /// Number of the invitation, or the room's name; not needed when there is only one
    pub invite: Option<String>,
}

/// Sends a message.
#[derive(Debug, Args)]
pub struct Send {
    /// The room's name, or the beginning of its id
    pub room: String,
    /// What to say; standard input if left out
    pub text: Option<String>,
    /// Send every line of standard input as a message of its own
    #[arg(long, conflicts_with = "text")]
    pub lines: bool,
    /// How far the message has to come before this returns
    #[arg(long, value_enum, default_value_t = WaitChoice::Ordered)]
    pub wait: WaitChoice,
}

/// Prints what comes in.
#[derive(Debug, Args)]
pub struct Listen {
    /// Only this room: its name, or the beginning of its id
    pub room: Option<String>,
    /// Stop after so many messages; exit code 4 if they do not come in time
    #[arg(long, value_name = "N")]
    pub count: Option<usize>,
    /// Begin after this position of an earlier run instead of with what was not printed yet
    #[arg(long, value_name = "POSITION")]
    pub after: Option<u64>,
}

/// Shows a room's messages.
#[derive(Debug, Args)]
pub struct History {
    /// The room's name, or the beginning of its id
    pub room: String,
    /// How many messages, counted from the end
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
    /// Only messages before this position in the room's log
    #[arg(long, value_name = "SEQ")]
    pub before: Option<u64>,
}

/// Talks in a room.
#[derive(Debug, Args)]
pub struct Chat {
    /// The room's name, or the beginning of its id
    pub room: String,
    /// How many earlier messages to show first
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub limit: usize,
}

/// Prints a completion script.
#[derive(Debug, Args)]
pub struct Completions {
    /// Which shell
    pub shell: Shell,
}

/// A room's encryption, as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SuiteChoice {
    /// Post-quantum.
    Pq,
    /// Classical.
    Classical,
}

/// Who may invite, as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InviteChoice {
    /// Everyone in the room.
    Members,
    /// Admins only.
    Admins,
}

/// How far a message has to come, as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WaitChoice {
    /// Nowhere: it stays on this device until the next command that goes online
    Queued,
    /// On disk at your homeserver
    Stored,
    /// In the room's log
    Ordered,
    /// On disk at every homeserver with a member in the room
    Delivered,
}

impl From<SuiteChoice> for Suite {
    fn from(choice: SuiteChoice) -> Self {
        match choice {
            SuiteChoice::Pq => Self::PostQuantum,
            SuiteChoice::Classical => Self::Classical,
        }
    }
}

impl From<InviteChoice> for InviteRight {
    fn from(choice: InviteChoice) -> Self {
        match choice {
            InviteChoice::Members => Self::Members,
            InviteChoice::Admins => Self::Admins,
        }
    }
}

impl From<WaitChoice> for Milestone {
    fn from(choice: WaitChoice) -> Self {
        match choice {
            WaitChoice::Queued => Self::Waiting,
            WaitChoice::Stored => Self::Stored,
            WaitChoice::Ordered => Self::Ordered,
            WaitChoice::Delivered => Self::Delivered,
        }
    }
}

fn handle(text: &str) -> Result<Handle, String> {
    text.parse::<Handle>().map_err(|fault| fault.to_string())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|fault| fault.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn scripts_can_rely_on_these_forms() {
        for line in [
            "entente register alice@org-a.test --key-file --json",
            "entente --profile p --home h whoami",
            "entente room create Tea --suite classical --invite admins",
            "entente room join",
            "entente room join 3",
            "entente send tea hello --wait delivered --timeout 5",
            "entente listen --count 3 --timeout 2.5",
            "entente history tea --limit 5 --offline",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        for line in [
            "entente register Alice@org-a.test",
            "entente send",
            "entente send tea --wait soon",
            "entente register a@b.test --key-file --passphrase-file x",
            "entente listen --timeout -1",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
