//! The program `entente`: end-to-end encrypted chat between organizations, in a terminal.
//!
//! Purpose: arguments in, results out; everything else is the `entente-sdk`'s. The commands, the JSON
//! keys and the exit codes are an interface that scripts rely on (`README.md` in this crate).
//!
//! The map: [`args`] is the command line, [`command`] does what it says, [`render`] is what people and
//! scripts get to see, [`failure`] is how things go wrong, [`profile`] and [`secret`] find and open the
//! account.

mod args;
mod command;
mod failure;
mod profile;
mod render;
mod secret;
mod session;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::args::Cli;
use crate::failure::{Exit, Failure};
use crate::render::screen::Screen;

/// How long what still runs may take at the end, such as a read from a terminal that nobody answers.
const END_LIMIT: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse_usage(&error),
    };
    begin_logging(cli.options.verbose);
    let screen = if cli.options.json {
        Screen::Json
    } else {
        Screen::Text
    };
    match run(cli, screen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            screen.fail(&failure);
            failure.exit_code()
        }
    }
}

fn run(cli: Cli, screen: Screen) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::io("cannot begin", &error))?;
    let end = runtime.block_on(command::run(cli, screen));
    runtime.shutdown_timeout(END_LIMIT);
    end
}

/// Help and version are results; everything else that clap says is a failure, told as JSON to scripts.
fn refuse_usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && std::env::args_os().any(|arg| arg == "--json") {
        let text = error.to_string();
        let sentence = text.trim_start_matches("error: ").trim_end();
        Screen::Json.fail(&Failure::new(Exit::Usage, sentence));
    } else {
        // Nobody is left to be told when neither output can be written.
        let _: io::Result<()> = error.print();
    }
    if error.use_stderr() {
        ExitCode::from(Exit::Usage as u8)
    } else {
        ExitCode::SUCCESS
    }
}

/// Logs go to standard error and are off unless asked for; `ENTENTE_LOG` is a filter as in `RUST_LOG`.
fn begin_logging(verbose: u8) {
    let by_flag = match verbose {
        0 => "off",
        1 => "entente_sdk=info,entente_transport=info,entente_discovery=info",
        2 => "info,entente_sdk=debug,entente_transport=debug,entente_discovery=debug",
        _ => "trace",
    };
    let by_variable = std::env::var("ENTENTE_LOG").ok();
    let filter = EnvFilter::new(by_variable.as_deref().unwrap_or(by_flag));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(false)
        .init();
}
