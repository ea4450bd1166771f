//! What each command does. To add one: a variant in [`crate::args`], a function here, its result in
//! [`crate::render`], a line in the README's table.

mod account;
mod chat;
mod history;
mod listen;
mod room;
mod room_verify;
mod send;
mod terminal;

use clap::CommandFactory;

use crate::args::{AccountCommand, Cli, Command, Completions};
use crate::failure::Failure;
use crate::render::screen::{self, Screen};
use crate::session::Session;

/// Does what the command line says.
///
/// # Errors
/// Whatever went wrong, told so that a person and a script know what to do.
pub async fn run(cli: Cli, screen: Screen) -> Result<(), Failure> {
    let Cli { options, command } = cli;
    match &command {
        Command::Completions(completions) => complete(completions),
        Command::Register(register) => account::register(&options, screen, register).await,
        Command::Account(command) => {
            let session = Session::open(&options, screen).await?;
            let end = with_account(&session, command).await;
            session.client.shutdown().await;
            end
        }
    }
}

async fn with_account(session: &Session<'_>, command: &AccountCommand) -> Result<(), Failure> {
    match command {
        AccountCommand::Whoami => account::whoami(session).await,
        AccountCommand::Resolve(resolve) => account::resolve(session, resolve).await,
        AccountCommand::Status => account::status(session).await,
        AccountCommand::Sync => account::sync(session).await,
        AccountCommand::Room(command) => room::run(session, command).await,
        AccountCommand::Invites => room::invites(session).await,
        AccountCommand::Send(send) => send::run(session, send).await,
        AccountCommand::Listen(listen) => listen::run(session, listen).await,
        AccountCommand::History(history) => history::run(session, history).await,
        AccountCommand::Chat(chat) => chat::run(session, chat).await,
    }
}

fn complete(completions: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    let mut command = Cli::command();
    clap_complete::generate(completions.shell, &mut command, "entente", &mut script);
    screen::print(String::from_utf8_lossy(&script).trim_end())
}
