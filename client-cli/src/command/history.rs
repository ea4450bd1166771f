//! `history`: what was said in a room.

use entente_sdk::Seq;

use crate::args::History;
use crate::failure::Failure;
use crate::render::message::MessageFact;
use crate::render::screen;
use crate::session::Session;

/// Shows the last messages of a room, oldest first.
pub async fn run(session: &Session<'_>, history: &History) -> Result<(), Failure> {
    session.try_catch_up().await;
    let room = session.find_room(&history.room).await?;
    let before = history.before.map(Seq);
    let messages = session.client.history(room, history.limit, before).await?;
    let is_json = session.screen.is_json();
    let facts = messages.iter().map(MessageFact::dated);
    let facts: Vec<_> = facts
        .filter(|fact| is_json || fact.is_for_people())
        .collect();
    for fact in &facts {
        session.screen.show(fact)?;
    }
    if facts.is_empty() && !is_json {
        screen::print("Nothing was said here yet.")?;
    }
    match messages
        .iter()
        .rfind(|message| message.state.position().is_some())
    {
        Some(last) => session.mark_shown(last).await,
        None => Ok(()),
    }
}
