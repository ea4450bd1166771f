//! One transaction on a connection of the pool.
//!
//! Invariants: a connection goes back to the pool only when its transaction has ended; dropping a
//! session rolls back, and whoever waits for its turn gets it afterwards; that holds from before the
//! transaction's first word is sent. After a statement that failed, or whose caller did not wait for its
//! answer, nothing is committed.

use std::sync::Arc;

use deadpool_postgres::{Client, Object, Pool};
use entente_homeserver_ops::StoreFault;
use futures::future::maybe_done;
use futures::lock::OwnedMutexGuard;
use futures::poll;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};

use crate::fault::{commit_fault, fault, pool_fault};
use crate::fold::Group;
use crate::pace::Pace;
use crate::reactor::Reactor;
use crate::statements::{COMMIT, ROLLBACK};

/// How often a connection that turns out to be dead is exchanged for another one: more than there are
/// in a pool after the database was restarted.
const CONNECTIONS_TRIED: usize = 64;

/// Statements' parameters.
pub(crate) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Failed,
    Ended,
}

/// A transaction.
pub(crate) struct Session {
    client: Option<Client>,
    reactor: Arc<Reactor>,
    state: State,
    turn: Option<OwnedMutexGuard<Pace>>,
}

impl Session {
    /// Begins a transaction, which holds the turn until it has ended.
    ///
    /// # Errors
    /// There is no connection, or it fails.
    pub(crate) async fn begin(
        pool: &Pool,
        reactor: &Arc<Reactor>,
        begin: &str,
        turn: Option<OwnedMutexGuard<Pace>>,
    ) -> Result<Self, StoreFault> {
        let mut session = Self {
            client: None,
            reactor: Arc::clone(reactor),
            state: State::Open,
            turn,
        };
        for _ in 0..CONNECTIONS_TRIED {
            let client = reactor.within(pool.get()).await;
            // From here on whoever drops the session ends what it began, even if that was on its way.
            let client = session
                .client
                .insert(client.map_err(|error| pool_fault(&error))?);
            reactor.count(1);
            let Err(error) = client.batch_execute(begin).await else {
                return Ok(session);
            };
            // One that the database closed while it lay in the pool is exchanged: nothing was asked
            // of it yet.
            let is_closed = client.is_closed();
            if let Some(client) = session.client.take() {
                drop(Object::take(client));
            }
            if !is_closed {
                return Err(fault(&error));
            }
        }
        let reason = "every connection of the pool turned out to be closed";
        Err(StoreFault::Unavailable(reason.to_owned()))
    }

    /// What a query finds.
    pub(crate) async fn rows(
        &mut self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, StoreFault> {
        let client = client(&self.client)?;
        let before = std::mem::replace(&mut self.state, State::Failed);
        self.reactor.count(1);
        let found = async {
            let statement = client.prepare_cached(sql).await?;
            client.query(&statement, parameters).await
        };
        let found = found.await.map_err(|error| fault(&error));
        self.note(before, found)
    }

    /// What several queries find. All are on their way before the first is answered; one of `None` is not
    /// asked and finds nothing.
    pub(crate) async fn rows_of<const N: usize>(
        &mut self,
        queries: [Option<(&str, Parameters<'_>)>; N],
    ) -> Result<[Vec<Row>; N], StoreFault> {
        let client = client(&self.client)?;
        let before = std::mem::replace(&mut self.state, State::Failed);
        let asked = queries.iter().flatten().count();
        self.reactor.count(asked);
        let found = ask(client, queries).await.map_err(|error| fault(&error));
        self.note(before, found)
    }

    /// Writes groups of rows in order. All statements are on their way before the first is answered.
    pub(crate) async fn write(&mut self, groups: &[Group]) -> Result<(), StoreFault> {
        let client = client(&self.client)?;
        let before = std::mem::replace(&mut self.state, State::Failed);
        self.reactor.count(groups.len());
        let written = write(client, groups).await;
        self.note(before, written)
    }

    /// Remembers what went wrong: for the commit, and for the pace of the next transaction. Until its
    /// outcome is noted a statement counts as failed: its caller may go away in the middle of it.
    fn note<T>(&mut self, before: State, outcome: Result<T, StoreFault>) -> Result<T, StoreFault> {
        match &outcome {
            Ok(_) => self.state = before,
            Err(StoreFault::Conflict(_)) => {
                if let Some(pace) = &mut self.turn {
                    pace.overtaken();
                }
            }
            Err(_) => {}
        }
        outcome
    }

    /// Says that a part of the transaction failed before it reached the database.
    pub(crate) fn fail(&mut self) {
        self.state = State::Failed;
    }

    /// Makes everything durable.
    pub(crate) async fn commit(mut self) -> Result<(), StoreFault> {
        if self.state == State::Failed {
            let reason = "a transaction of which a part failed is not committed";
            return Err(StoreFault::Broken(reason.to_owned()));
        }
        let client = client(&self.client)?;
        if client.is_closed() {
            let reason = "the connection was lost before the commit was sent";
            return Err(StoreFault::Unavailable(reason.to_owned()));
        }
        // From here on nothing can be taken back, also if nobody waits for the answer.
        self.state = State::Ended;
        self.reactor.count(1);
        let committed = client.batch_execute(COMMIT).await;
        self.note(
            State::Ended,
            committed.map_err(|error| commit_fault(&error)),
        )?;
        if let Some(pace) = &mut self.turn {
            pace.through();
        }
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let turn = self.turn.take();
        let Some(client) = self.client.take() else {
            return;
        };
        if self.state == State::Ended {
            // The connection is back before the next one gets its turn.
            drop(client);
            drop(turn);
            return;
        }
        self.reactor.count(1);
        self.reactor.spawn(async move {
            match client.batch_execute(ROLLBACK).await {
                Ok(()) => drop(client),
                Err(_) => drop(Object::take(client)),
            }
            drop(turn);
        });
    }
}

fn client(client: &Option<Client>) -> Result<&Client, StoreFault> {
    let gone = || StoreFault::Broken("a transaction was used after its end".to_owned());
    client.as_ref().ok_or_else(gone)
}

/// Everything is prepared before anything is sent: what answers a query that nobody reads yet would stand
/// in the way of what answers the preparation of the next one.
async fn ask<const N: usize>(
    client: &Client,
    queries: [Option<(&str, Parameters<'_>)>; N],
) -> Result<[Vec<Row>; N], Error> {
    let mut prepared = [const { None }; N];
    for (place, query) in prepared.iter_mut().zip(queries) {
        if let Some((sql, parameters)) = query {
            *place = Some((client.prepare_cached(sql).await?, parameters));
        }
    }
    let mut running = [const { None }; N];
    for (place, query) in running.iter_mut().zip(&prepared) {
        if let Some((statement, parameters)) = query {
            let sent = place.insert(Box::pin(maybe_done(client.query(statement, parameters))));
            // The first poll hands it to the connection, which keeps their order.
            let _answered = poll!(sent);
        }
    }
    let mut found = [const { Vec::new() }; N];
    for (found, sent) in found.iter_mut().zip(&mut running) {
        if let Some(sent) = sent {
            sent.as_mut().await;
            let rows = sent.as_mut().take_output();
            *found = rows.expect("it has ended, and is taken once")?;
        }
    }
    Ok(found)
}

async fn write(client: &Client, groups: &[Group]) -> Result<(), StoreFault> {
    let prepared = prepare(client, groups)
        .await
        .map_err(|error| fault(&error))?;
    let parameters: Vec<_> = groups.iter().map(Group::parameters).collect();
    let mut running = Vec::with_capacity(groups.len());
    for (statement, parameters) in prepared.iter().zip(&parameters) {
        let mut sent = Box::pin(maybe_done(client.execute(statement, parameters)));
        // The first poll hands it to the connection, which keeps their order.
        let _answered = poll!(&mut sent);
        running.push(sent);
    }
    for (group, mut sent) in groups.iter().zip(running) {
        sent.as_mut().await;
        let written = sent.as_mut().take_output();
        let written = written.expect("it has ended, and is taken once");
        let rows = written.map_err(|error| fault(&error))?;
        if let Some(reason) = group.kind.otherwise.filter(|_| rows != group.rows()) {
            return Err(StoreFault::Broken(reason.to_owned()));
        }
    }
    Ok(())
}

async fn prepare(client: &Client, groups: &[Group]) -> Result<Vec<Statement>, Error> {
    let mut prepared = Vec::with_capacity(groups.len());
    for group in groups {
        prepared.push(client.prepare_cached(group.kind.sql).await?);
    }
    Ok(prepared)
}
