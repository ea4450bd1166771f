//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Attacks on homeservers, while honest people's messages are timed.
#[derive(Debug, Parser)]
#[command(
    name = "hostile",
    version,
    about,
    max_term_width = 100,
    arg_required_else_help = true
)]
pub struct Cli {
    /// Show every attack, what is done and what is expected
    #[arg(long)]
    pub list: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run attacks and judge what the servers did
    Run(Run),
}

/// Runs attacks.
#[derive(Debug, Args)]
pub struct Run {
    /// Which attacks, in that order
    #[arg(value_name = "ATTACK")]
    pub attacks: Vec<String>,
    /// Every attack
    #[arg(long, conflicts_with_all = ["attacks", "random"])]
    pub all: bool,
    /// So many attacks in random order, each with chance of its own
    #[arg(long, value_name = "N", conflicts_with = "attacks")]
    pub random: Option<usize>,
    /// From what chance is drawn; printed, and chosen at random if left out
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// Attack the running network of this folder instead of a fresh one; attacks that need a hostile
    /// organization are left out, since its servers know none
    #[arg(long, value_name = "DIR")]
    pub network: Option<PathBuf>,
    /// Start the programs as they are instead of building them first
    #[arg(long)]
    pub no_build: bool,
    /// Print nothing but the line of JSON on standard output
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        let line = "hostile run replayed-login --seed 7 --json";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Some(Command::Run(run)) = cli.command else {
            panic!("{line}");
        };
        assert_eq!((run.attacks.len(), run.seed, run.json), (1, Some(7), true));
        assert!(Cli::try_parse_from(["hostile", "run", "x", "--all"]).is_err());
        assert!(Cli::try_parse_from(["hostile", "--list"]).unwrap().list);
    }
}
