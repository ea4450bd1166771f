//! Folds a batch of commands into one transaction.

use entente_homeserver_core::Effect;
use entente_homeserver_core::register::RegistrationPolicy;
use entente_identity::{ServerDid, SigningKey, UnixMillis};
use entente_protocol::fault::{Fault, FaultCode};

use crate::command::{Answer, Command};
use crate::store::{Store, StoreFault, Writers};
use crate::work::Work;
use crate::write;

/// How often a batch is run before its callers are told to come back, when other writers of the same
/// database are faster each time. Each time one of the writers has got on, so this is rarely needed.
const MAX_ATTEMPTS: u32 = 128;
/// What they are told to wait then, in milliseconds.
const CONFLICT_RETRY_MS: u32 = 100;

/// Which server this is, and what it decides by.
#[derive(Clone, Debug)]
pub struct Here {
    /// The server.
    pub me: ServerDid,
    /// The id of its signing key.
    pub key_id: String,
    /// Its signing key.
    pub key: SigningKey,
    /// Who may open an account.
    pub registration: RegistrationPolicy,
}

/// What came of a batch.
#[derive(Debug)]
pub struct Executed {
    /// An answer for each command, in order.
    pub answers: Vec<Result<Answer, Fault>>,
    /// Whom to wake, now that everything is on disk.
    pub effects: Vec<Effect>,
    /// Why the store did not take the batch, for the log.
    pub failure: Option<StoreFault>,
    /// How often it was run: more than once if other writers were faster.
    pub attempts: u32,
}

/// Runs commands in order, as one transaction with one signature. A command that is refused changes
/// nothing and holds nobody up; if the store fails, nothing was written and every answer says so. If
/// another writer of the same database was faster, all of them are run again, with the rows as they
/// are then. If the store does not know whether it is written, the answers say that, and whoever would
/// be woken is woken: a wake is a hint.
pub async fn execute(
    store: &dyn Store,
    here: &Here,
    commands: Vec<Command>,
    now: UnixMillis,
) -> Executed {
    let count = commands.len();
    let mut commands = commands;
    let attempts = match store.writers() {
        Writers::One => 1,
        Writers::Several => MAX_ATTEMPTS,
    };
    let mut attempt = 1;
    loop {
        // Only what may have to be run again is kept beside.
        let kept = (attempt < attempts).then(|| commands.clone());
        match (run(store, here, commands, now).await, kept) {
            (Ok(executed), _) => {
                return Executed {
                    attempts: attempt,
                    ..executed
                };
            }
            (Err((StoreFault::Conflict(_), _)), Some(kept)) => {
                commands = kept;
                attempt += 1;
            }
            (Err((fault, effects)), _) => {
                return Executed {
                    answers: vec![Err(store_fault(&fault)); count],
                    effects,
                    failure: Some(fault),
                    attempts: attempt,
                };
            }
        }
    }
}

/// A fault comes with the effects that are due all the same.
async fn run(
    store: &dyn Store,
    here: &Here,
    commands: Vec<Command>,
    now: UnixMillis,
) -> Result<Executed, (StoreFault, Vec<Effect>)> {
    let nobody = |fault| (fault, Vec::new());
    let tx = store.begin().await.map_err(nobody)?;
    let mut work = Work::new(here, tx, now);
    write::submit::prepare(&mut work, &commands)
        .await
        .map_err(nobody)?;
    let mut answers = Vec::with_capacity(commands.len());
    for command in commands {
        answers.push(dispatch(&mut work, command).await.map_err(nobody)?);
    }
    let (effects, finished) = work.finish().await;
    match finished {
        Ok(()) => Ok(Executed {
            answers,
            effects,
            failure: None,
            attempts: 1,
        }),
        Err(fault @ StoreFault::Unknown(_)) => Err((fault, effects)),
        Err(fault) => Err(nobody(fault)),
    }
}

async fn dispatch(
    work: &mut Work<'_>,
    command: Command,
) -> Result<Result<Answer, Fault>, StoreFault> {
    match command {
        Command::Register(request) => write::register::run(work, *request).await,
        Command::Publish { owner, request } => write::publish::run(work, owner, request).await,
        Command::CreateRoom(room) => write::create_room::run(work, *room).await,
        Command::Submit { sender, submission } => {
            write::submit::run(work, sender, submission).await
        }
        Command::Commit { origin, bundle } => write::commit::run(work, origin, *bundle).await,
        Command::Propose { origin, proposal } => write::propose::run(work, origin, *proposal).await,
        Command::Claim {
            claimant,
            account,
            suite,
        } => write::claim::run(work, claimant, account, suite).await,
        Command::NoteClaim {
            room,
            reference,
            home,
        } => write::note_claim::run(work, room, reference, home).await,
        Command::Invite { inviter, request } => write::invite::run(work, inviter, request).await,
        Command::AcknowledgeQueue { device, up_to } => {
            write::acknowledge_queue::run(work, device, up_to).await
        }
        Command::Greeted {
            peer,
            stream_epoch,
            begins_after,
        } => write::greeted::run(work, peer, stream_epoch, begins_after).await,
        Command::Receive(batch) => write::receive::run(work, batch).await,
        Command::Acknowledge {
            peer,
            tenure,
            up_to,
        } => write::acknowledge::run(work, peer, tenure, up_to).await,
        Command::BeginEpoch {
            peer,
            tenure,
            stream_epoch,
        } => write::begin_epoch::run(work, peer, tenure, stream_epoch).await,
        Command::TakeLink {
            peer,
            node,
            stream_epoch,
        } => write::take_link::run(work, peer, node, stream_epoch).await,
        Command::Enter { node, name, others } => {
            write::nodes::enter(work, node, name, others).await
        }
        Command::Beat(node) => write::nodes::beat(work, node).await,
        Command::Bury { node, beat } => write::nodes::bury(work, node, beat).await,
        Command::Pin(pin) => write::pin::put(work, *pin).await,
        Command::DropPin(server) => write::pin::drop(work, server).await,
        Command::Freeze { proof, shown } => write::freeze::run(work, *proof, shown).await,
        Command::Retain { room, keep_ms } => write::retain::run(work, room, keep_ms).await,
        Command::Repair {
            room,
            from,
            entries,
        } => write::repair::run(work, room, from, entries).await,
    }
}

/// Tells a caller that the store did not answer.
#[must_use]
pub fn store_fault(fault: &StoreFault) -> Fault {
    match fault {
        StoreFault::Unavailable(_) => {
            let detail = "the server's database cannot take this now; nothing was stored";
            Fault::new(FaultCode::Busy, detail).retry_after(1_000)
        }
        StoreFault::Conflict(_) => {
            let detail = "other parts of the server were faster each time; nothing was stored";
            Fault::new(FaultCode::Busy, detail).retry_after(CONFLICT_RETRY_MS)
        }
        StoreFault::Unknown(_) => {
            let detail = "the server lost its database while it wrote; this may be stored or not, \
                          and repeating it is safe";
            Fault::new(FaultCode::Timeout, detail)
        }
        StoreFault::Broken(_) => Fault::new(
            FaultCode::Internal,
            "the server's database gave an impossible answer; its operator has to look at the log",
        ),
    }
}
