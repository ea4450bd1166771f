//! `as`: the client, set up for one person. It takes this program's place, so that terminal, signals and
//! exit code are its own.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::args::{As, Options};
use crate::cast::Person;
use crate::network::{Binaries, BuildChoice, Plan};

/// Becomes the client.
pub async fn run(options: &Options, what: &As) -> Result<()> {
    let folder = options.folder()?;
    let handle = Plan::load(&folder)?.person(&what.handle)?;
    let binaries = Binaries::find(BuildChoice::TakeAsIs).await?;
    let person = Person::with_client(binaries.client, folder, handle);
    let mut command = person.command();
    command.args(&what.args);
    let error = command.as_std_mut().exec();
    Err(error).context("cannot start the client")
}
