//! The program `hostile`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use entente_hostile::args::Cli;
use entente_hostile::campaign;

fn main() -> ExitCode {
    let end = attack(Cli::parse());
    end.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// One thread attacks, one more serves whoever dials the hostile organizations: servers and honest people
/// share the machine with them.
fn attack(cli: Cli) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        tokio::select! {
            end = campaign::run(cli) => end,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        }
    })
}
