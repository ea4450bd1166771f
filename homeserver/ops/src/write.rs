//! The operations that write, one file each: load the rows, decide, record.
//!
//! Each `run` returns `Ok(Err(fault))` for a refusal, which changes nothing, and `Err` when the store
//! failed, which fails the whole batch.

pub(crate) mod acknowledge;
pub(crate) mod acknowledge_queue;
pub(crate) mod begin_epoch;
pub(crate) mod claim;
pub(crate) mod commit;
pub(crate) mod create_room;
pub(crate) mod freeze;
pub(crate) mod greeted;
pub(crate) mod invite;
pub(crate) mod nodes;
pub(crate) mod note_claim;
pub(crate) mod pin;
pub(crate) mod propose;
pub(crate) mod publish;
pub(crate) mod receive;
pub(crate) mod register;
pub(crate) mod repair;
pub(crate) mod retain;
pub(crate) mod submit;
pub(crate) mod take_link;

use entente_protocol::fault::{Fault, FaultCode};

use crate::command::Answer;
use crate::store::StoreFault;

/// What an operation comes to.
pub(crate) type Outcome = Result<Result<Answer, Fault>, StoreFault>;

/// A refusal with the code's own sentence.
pub(crate) fn refuse(code: FaultCode) -> Outcome {
    Ok(Err(Fault::new(code, code.meaning())))
}
