//! The program `testnet`.

use std::process::ExitCode;

use clap::Parser;
use testnet::args::{Cli, Command};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot begin: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(run(cli))
}

/// Plays end at once on Ctrl-C or when asked to: dropping a network kills its servers. `up` ends politely by itself.
async fn run(cli: Cli) -> ExitCode {
    let ends_politely = matches!(cli.command, Command::Up(_));
    let interrupted = async {
        if ends_politely {
            std::future::pending::<()>().await;
        }
        let Ok(mut terminate) = signal(SignalKind::terminate()) else {
            return std::future::pending().await;
        };
        tokio::select! {
            Ok(()) = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
            else => std::future::pending().await,
        }
    };
    let end = tokio::select! {
        end = testnet::command::run(cli) => end,
        () = interrupted => Err(anyhow::anyhow!("interrupted")),
    };
    end.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
