//! The program `entente-homeserver`.

use std::process::ExitCode;

use clap::Parser;
use entente_homeserver::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
