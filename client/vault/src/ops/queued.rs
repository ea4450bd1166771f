//! Items of the device's own queue, each processed once.

use entente_client_core::event::{DeliveredUpTo, Occurrence};
use entente_groups::RoomId;
use entente_identity::UnixMillis;
use entente_protocol::entry::Seq;
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::flow::DeviceItem;

use crate::error::VaultError;
use crate::ops::{equivocation, invites, submit, welcome};
use crate::vault::{Moment, Vault};

impl Vault {
    /// Processes an item of the queue.
    ///
    /// # Errors
    /// The vault cannot be written.
    pub fn read_queued(
        &mut self,
        number: u64,
        time: UnixMillis,
        item: &DeviceItem,
        moment: Moment<'_>,
    ) -> Result<(), VaultError> {
        self.step(moment, |step| {
            let cursor: u64 =
                step.connection
                    .query_row("SELECT queue_cursor FROM own", [], |row| row.get(0))?;
            if number <= cursor {
                return Ok(());
            }
            match item {
                DeviceItem::Welcome(item) => welcome::received(step, item)?,
                DeviceItem::Invite(item) => invites::received(step, item, time)?,
                DeviceItem::Equivocation(proof) => equivocation::received(step, proof)?,
                DeviceItem::Refused(item) => {
                    let code = item.fault_code().unwrap_or(FaultCode::Unsupported);
                    let fault = Fault::new(code, code.meaning());
                    submit::refused(step, &item.room, &item.message_id, &fault)?;
                }
            }
            step.connection
                .execute("UPDATE own SET queue_cursor = ?1", [number])?;
            Ok(())
        })
    }

    /// Notes that every homeserver has a room's log up to a position.
    ///
    /// # Errors
    /// The vault cannot be written.
    pub fn delivered(
        &mut self,
        room: &RoomId,
        seq: Seq,
        moment: Moment<'_>,
    ) -> Result<(), VaultError> {
        self.step(moment, |step| {
            let Some(row) = step.find_room(room)? else {
                return Ok(());
            };
            if seq <= row.delivered {
                return Ok(());
            }
            row.delivered = seq;
            step.note(&Occurrence::Delivered(DeliveredUpTo { room: *room, seq }))
        })
    }
}
