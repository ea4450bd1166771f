//! Columns into domain words and back.

use entente_federation::inbox::InStream;
use entente_groups::{Epoch, KeyPackageRef, KeyPackageUse, LeafIndex, RoomId, Suite};
use entente_homeserver_core::rows::{
    AccountRow, ClaimRow, Claimant, DeviceRow, EpochRow, EquivocationRow, KeyPackageRow, LinkRow,
    LogEnd, MemberRow, NodeId, NodeRow, ParkedRow, PeerRow, PendingRow, PinRow, QueuedRow,
    RetentionRow, RoomRow,
};
use entente_homeserver_ops::StoreFault;
use entente_identity::{AccountDid, DeviceId, PublicKey, ServerDid, UnixMillis, decode_exact};
use entente_protocol::entry::{Entry, EntryHash, EntryHeader, Head, Seq, Term};
use entente_protocol::equivocation::ShownHead;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::fault::{damaged, fault, unreadable};

/// A number as Postgres has it: signed, of the same bits.
pub(crate) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

/// A bound as Postgres compares it: beyond the largest signed number there is nothing.
pub(crate) fn bound(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A column of a row, by its position.
pub(crate) struct Columns<'a>(pub(crate) &'a Row);

impl<'a> Columns<'a> {
    fn column<T: FromSql<'a>>(&self, index: usize) -> Result<T, StoreFault> {
        self.0.try_get(index).map_err(|error| fault(&error))
    }

    pub(crate) fn number(&self, index: usize) -> Result<u64, StoreFault> {
        self.column(index).map(i64::cast_unsigned)
    }

    pub(crate) fn small(&self, index: usize) -> Result<u32, StoreFault> {
        u32::try_from(self.number(index)?).map_err(|_| unreadable("number"))
    }

    fn seq(&self, index: usize) -> Result<Seq, StoreFault> {
        self.number(index).map(Seq)
    }

    fn time(&self, index: usize) -> Result<UnixMillis, StoreFault> {
        self.number(index).map(UnixMillis)
    }

    pub(crate) fn bytes(&self, index: usize) -> Result<&'a [u8], StoreFault> {
        self.column(index)
    }

    pub(crate) fn maybe_bytes(&self, index: usize) -> Result<Option<&'a [u8]>, StoreFault> {
        self.column(index)
    }

    fn fixed<const N: usize>(&self, index: usize) -> Result<[u8; N], StoreFault> {
        let bytes = self.bytes(index)?;
        bytes.try_into().map_err(|_| unreadable("id"))
    }

    pub(crate) fn room(&self, index: usize) -> Result<RoomId, StoreFault> {
        self.fixed(index).map(RoomId)
    }

    fn maybe_room(&self, index: usize) -> Result<Option<RoomId>, StoreFault> {
        match self.maybe_bytes(index)? {
            None => Ok(None),
            Some(_) => self.room(index).map(Some),
        }
    }

    fn maybe_seq(&self, index: usize) -> Result<Option<Seq>, StoreFault> {
        let number: Option<i64> = self.column(index)?;
        Ok(number.map(|number| Seq(number.cast_unsigned())))
    }

    fn account(&self, index: usize) -> Result<AccountDid, StoreFault> {
        let key = PublicKey::from_slice(&self.fixed::<32>(index)?);
        key.map(AccountDid::new).map_err(|_| unreadable("root key"))
    }

    fn device(&self, index: usize) -> Result<DeviceId, StoreFault> {
        self.fixed(index).map(DeviceId)
    }

    fn maybe_server(&self, index: usize) -> Result<Option<ServerDid>, StoreFault> {
        let text: Option<&str> = self.column(index)?;
        let server = text.map(|text| text.parse().map_err(|_| unreadable("server")));
        server.transpose()
    }

    pub(crate) fn server(&self, index: usize) -> Result<ServerDid, StoreFault> {
        let text: &str = self.column(index)?;
        text.parse().map_err(|_| unreadable("server"))
    }
}

pub(crate) fn account_row(columns: &Columns<'_>) -> Result<AccountRow, StoreFault> {
    let local: &str = columns.column(1)?;
    Ok(AccountRow {
        account: columns.account(0)?,
        local: local.parse().map_err(|_| unreadable("name"))?,
        claim: decode_exact("account claim", columns.bytes(2)?).map_err(damaged)?,
        created: columns.time(3)?,
    })
}

pub(crate) fn device_row(columns: &Columns<'_>) -> Result<DeviceRow, StoreFault> {
    Ok(DeviceRow {
        account: columns.account(0)?,
        device: columns.device(1)?,
        last_queued: columns.number(2)?,
    })
}

/// A suite as its MLS code point.
pub(crate) fn suite_number(suite: Suite) -> i64 {
    suite.code_point().into()
}

pub(crate) fn key_package_row(columns: &Columns<'_>) -> Result<KeyPackageRow, StoreFault> {
    let code = u16::try_from(columns.small(4)?).map_err(|_| unreadable("suite"))?;
    let last_resort: bool = columns.column(5)?;
    Ok(KeyPackageRow {
        reference: KeyPackageRef::new(columns.bytes(0)?),
        account: columns.account(1)?,
        device: columns.device(2)?,
        key_package: columns.bytes(3)?.to_vec(),
        suite: Suite::from_code_point(code).map_err(|_| unreadable("suite"))?,
        usage: if last_resort {
            KeyPackageUse::LastResort
        } else {
            KeyPackageUse::Once
        },
        expires: columns.time(6)?,
        claimed: columns
            .maybe_room(7)?
            .zip(columns.maybe_server(8)?)
            .map(|(room, hub)| Claimant { room, hub }),
    })
}

pub(crate) fn claim_row(columns: &Columns<'_>) -> Result<ClaimRow, StoreFault> {
    Ok(ClaimRow {
        room: columns.room(0)?,
        reference: KeyPackageRef::new(columns.bytes(1)?),
        home: columns.server(2)?,
        time: columns.time(3)?,
    })
}

pub(crate) fn room_row(columns: &Columns<'_>) -> Result<RoomRow, StoreFault> {
    Ok(RoomRow {
        room: columns.room(0)?,
        hub: columns.server(1)?,
        head: Head {
            term: Term(columns.small(2)?),
            seq: columns.seq(3)?,
            hash: EntryHash(columns.fixed(4)?),
        },
        epoch: Epoch(columns.number(5)?),
        delivered: columns.seq(6)?,
        pending: decode_exact("pending proposals", columns.bytes(7)?).map_err(damaged)?,
        followers: decode_exact("followers", columns.bytes(8)?).map_err(damaged)?,
    })
}

/// An entry from its header, body and attestation, of which the first stands at `index`.
pub(crate) fn entry_at(columns: &Columns<'_>, index: usize) -> Result<Entry, StoreFault> {
    let attestation = columns.maybe_bytes(index + 2)?;
    let attestation = attestation.map(|bytes| decode_exact("attestation", bytes));
    Ok(Entry {
        header: decode_exact("entry header", columns.bytes(index)?).map_err(damaged)?,
        body: columns.bytes(index + 1)?.to_vec().into(),
        attestation: attestation.transpose().map_err(damaged)?,
    })
}

pub(crate) fn member_row(columns: &Columns<'_>) -> Result<MemberRow, StoreFault> {
    Ok(MemberRow {
        room: columns.room(0)?,
        account: columns.account(1)?,
        device: columns.device(2)?,
        leaf: LeafIndex(columns.small(3)?),
        home: columns.server(4)?,
        joined: columns.seq(5)?,
        left: columns.maybe_seq(6)?,
    })
}

pub(crate) fn epoch_row(columns: &Columns<'_>) -> Result<EpochRow, StoreFault> {
    Ok(EpochRow {
        room: columns.room(0)?,
        epoch: Epoch(columns.number(1)?),
        group_info: columns.bytes(2)?.to_vec(),
        undo: columns.bytes(3)?.to_vec(),
        tree_hash: columns.fixed(4)?,
        tree_bytes: columns.small(5)?,
    })
}

pub(crate) fn peer_row(columns: &Columns<'_>) -> Result<PeerRow, StoreFault> {
    Ok(PeerRow {
        server: columns.server(0)?,
        stream_epoch: columns.number(1)?,
        last_out: columns.number(2)?,
        acked: columns.number(3)?,
        incoming: InStream {
            epoch: columns.number(4)?,
            last: columns.number(5)?,
        },
    })
}

pub(crate) fn node_row(columns: &Columns<'_>) -> Result<NodeRow, StoreFault> {
    let name: &str = columns.column(1)?;
    Ok(NodeRow {
        node: NodeId(columns.fixed(0)?),
        name: name.to_owned(),
        beat: columns.number(2)?,
    })
}

pub(crate) fn link_row(columns: &Columns<'_>) -> Result<LinkRow, StoreFault> {
    Ok(LinkRow {
        peer: columns.server(0)?,
        holder: NodeId(columns.fixed(1)?),
        fence: columns.number(2)?,
    })
}

pub(crate) fn retention_row(columns: &Columns<'_>) -> Result<RetentionRow, StoreFault> {
    Ok(RetentionRow {
        room: columns.room(0)?,
        kept_from: columns.seq(1)?,
        marks: decode_exact("marks of a log", columns.bytes(2)?).map_err(damaged)?,
    })
}

pub(crate) fn log_end(columns: &Columns<'_>) -> Result<LogEnd, StoreFault> {
    Ok(LogEnd {
        room: columns.room(0)?,
        head: columns.seq(1)?,
        delivered: columns.seq(2)?,
    })
}

pub(crate) fn pending_row(columns: &Columns<'_>) -> Result<PendingRow, StoreFault> {
    Ok(PendingRow {
        account: columns.account(0)?,
        device: columns.device(1)?,
        submission: decode_exact("submission", columns.bytes(2)?).map_err(damaged)?,
        stored: columns.time(3)?,
    })
}

pub(crate) fn queued_row(columns: &Columns<'_>) -> Result<QueuedRow, StoreFault> {
    Ok(QueuedRow {
        account: columns.account(0)?,
        device: columns.device(1)?,
        number: columns.number(2)?,
        time: columns.time(3)?,
        item: decode_exact("queue item", columns.bytes(4)?).map_err(damaged)?,
        invited_by: columns.maybe_server(5)?,
    })
}

pub(crate) fn parked_row(columns: &Columns<'_>) -> Result<ParkedRow, StoreFault> {
    Ok(ParkedRow {
        peer: columns.server(0)?,
        stream_epoch: columns.number(1)?,
        number: columns.number(2)?,
        entry: columns.maybe_room(3)?.zip(columns.maybe_seq(4)?),
        bytes: columns.bytes(5)?.to_vec(),
        reason: String::from_utf8(columns.bytes(6)?.to_vec()).map_err(|_| unreadable("reason"))?,
        time: columns.time(7)?,
    })
}

pub(crate) fn pin_row(columns: &Columns<'_>) -> Result<PinRow, StoreFault> {
    let pin = decode_exact("key pin", columns.bytes(0)?).map_err(damaged)?;
    let since = columns.time(1)?;
    Ok(PinRow { pin, since })
}

pub(crate) fn equivocation_row(columns: &Columns<'_>) -> Result<EquivocationRow, StoreFault> {
    Ok(EquivocationRow {
        room: columns.room(0)?,
        time: columns.time(1)?,
        proof: decode_exact("equivocation", columns.bytes(2)?).map_err(damaged)?,
    })
}

pub(crate) fn shown_head(columns: &Columns<'_>) -> Result<ShownHead, StoreFault> {
    Ok(ShownHead {
        header: decode_exact("entry header", columns.bytes(0)?).map_err(damaged)?,
        attestation: decode_exact("attestation", columns.bytes(1)?).map_err(damaged)?,
    })
}

/// The header of an entry.
pub(crate) fn header(columns: &Columns<'_>) -> Result<EntryHeader, StoreFault> {
    decode_exact("entry header", columns.bytes(0)?).map_err(damaged)
}
