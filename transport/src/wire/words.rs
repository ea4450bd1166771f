//! `words.capnp`: faults, heads, cursors.

use capnp::struct_list;
use entente_groups::RoomId;
use entente_protocol::entry::{EntryHash, Head, Seq, Term};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::limits::MAX_SYNC_ROOMS;
use entente_schemas::words_capnp::{cursor, fault, head};

use super::{Root, WireFault, data_words, read};

/// Longest sentence of a fault; longer ones are cut when written.
const DETAIL_MAX_BYTES: usize = 1024;

impl Root for Fault {
    type Schema = fault::Owned;

    fn words(&self) -> usize {
        data_words(self.detail.len())
    }

    fn write(&self, mut builder: fault::Builder<'_>) {
        builder.set_code(self.code as u16);
        let cut = self.detail.floor_char_boundary(DETAIL_MAX_BYTES);
        builder.set_detail(&self.detail[..cut]);
        let mut retry = builder.init_retry();
        match self.retry_after_ms {
            None => retry.set_unsaid(()),
            Some(delay_ms) => retry.set_after_ms(delay_ms),
        }
    }

    fn read(reader: fault::Reader<'_>) -> Result<Self, WireFault> {
        let number = reader.get_code();
        let code = FaultCode::from_number(number).ok_or(WireFault::Unknown {
            field: "fault code",
            value: number,
        })?;
        let retry = reader.get_retry().which();
        let retry_after_ms = match retry.map_err(read::unknown("fault retry"))? {
            fault::retry::Unsaid(()) => None,
            fault::retry::AfterMs(delay_ms) => Some(delay_ms),
        };
        Ok(Self {
            code,
            detail: read::text("fault detail", DETAIL_MAX_BYTES, reader.get_detail())?,
            retry_after_ms,
        })
    }
}

pub(super) fn write_head(head: &Head, mut builder: head::Builder<'_>) {
    builder.set_term(head.term.0);
    builder.set_seq(head.seq.0);
    builder.set_hash(&head.hash.0);
}

pub(super) fn read_head(reader: head::Reader<'_>) -> Result<Head, WireFault> {
    Ok(Head {
        term: Term(reader.get_term()),
        seq: Seq(reader.get_seq()),
        hash: EntryHash(read::fixed("head hash", reader.get_hash())?),
    })
}

/// Words of one cursor in a list.
pub(super) const CURSOR_WORDS: usize = 6;

pub(super) fn write_cursors(
    cursors: &[(RoomId, Seq)],
    mut builder: struct_list::Builder<'_, cursor::Owned>,
) {
    for ((room, seq), index) in cursors.iter().zip(0..) {
        let mut cursor = builder.reborrow().get(index);
        cursor.set_room(&room.0);
        cursor.set_seq(seq.0);
    }
}

pub(super) fn read_cursors(
    list: struct_list::Reader<'_, cursor::Owned>,
) -> Result<Vec<(RoomId, Seq)>, WireFault> {
    read::check_length("cursors", MAX_SYNC_ROOMS, list.len() as usize)?;
    list.iter()
        .map(|cursor| Ok((read::room(cursor.get_room())?, Seq(cursor.get_seq()))))
        .collect()
}
