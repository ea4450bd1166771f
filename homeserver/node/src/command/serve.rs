//! `serve`: runs the server until it is told to stop.

use std::process::ExitCode;

use crate::config::Config;
use crate::{logging, node};

pub(super) fn run(config: Config) -> anyhow::Result<ExitCode> {
    logging::start(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(node::run(config))?;
    Ok(ExitCode::SUCCESS)
}
