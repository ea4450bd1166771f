//! `flows.capnp`: the submit and sync flows between a device and its homeserver.

use capnp::message::{Builder, HeapAllocator};
use entente_groups::{Epoch, RoomId};
use entente_identity::{ServerDid, UnixMillis, encode as tls_encode};
use entente_protocol::entry::{Entry, Seq, Term};
use entente_protocol::flow::{
    Submission, SubmitFrame, SubmitOutcome, SubmitReply, SyncEvent, SyncRequest,
};
use entente_protocol::limits::MAX_PAGE_ENTRIES;
use entente_schemas::flows_capnp::{submit_frame, submit_reply, sync_event, sync_request};

use super::words::CURSOR_WORDS;
use super::{Root, WireFault, data_words, empty_message, read, words};

impl Root for SubmitFrame {
    type Schema = submit_frame::Owned;

    fn words(&self) -> usize {
        data_words(self.submission.ciphertext.as_slice().len())
    }

    fn write(&self, mut builder: submit_frame::Builder<'_>) {
        builder.set_hub(self.hub.to_string());
        builder.set_room(&self.submission.room.0);
        builder.set_message_id(&self.submission.message_id.0);
        builder.set_epoch(self.submission.epoch.0);
        builder.set_ciphertext(self.submission.ciphertext.as_slice());
    }

    fn read(reader: submit_frame::Reader<'_>) -> Result<Self, WireFault> {
        let submission = Submission {
            room: read::room(reader.get_room())?,
            message_id: read::message_id(reader.get_message_id())?,
            epoch: Epoch(reader.get_epoch()),
            ciphertext: read::bytes(reader.get_ciphertext())?.into(),
        };
        Ok(Self {
            hub: read::server("hub", reader.get_hub())?,
            submission,
        })
    }
}

impl Root for SubmitReply {
    type Schema = submit_reply::Owned;

    fn words(&self) -> usize {
        match &self.outcome {
            SubmitOutcome::Stored | SubmitOutcome::Ordered { .. } => 0,
            SubmitOutcome::Refused(fault) => fault.words(),
        }
    }

    fn write(&self, mut builder: submit_reply::Builder<'_>) {
        builder.set_room(&self.room.0);
        builder.set_message_id(&self.message_id.0);
        let mut outcome = builder.init_outcome();
        match &self.outcome {
            SubmitOutcome::Stored => outcome.set_stored(()),
            SubmitOutcome::Ordered { term, seq } => {
                let mut ordered = outcome.init_ordered();
                ordered.set_term(term.0);
                ordered.set_seq(seq.0);
            }
            SubmitOutcome::Refused(fault) => fault.write(outcome.init_refused()),
        }
    }

    fn read(reader: submit_reply::Reader<'_>) -> Result<Self, WireFault> {
        use submit_reply::outcome::Which as W;
        let outcome = reader.get_outcome().which();
        let outcome = match outcome.map_err(read::unknown("outcome"))? {
            W::Stored(()) => SubmitOutcome::Stored,
            W::Ordered(ordered) => SubmitOutcome::Ordered {
                term: Term(ordered.get_term()),
                seq: Seq(ordered.get_seq()),
            },
            W::Refused(fault) => SubmitOutcome::Refused(Root::read(fault?)?),
        };
        Ok(Self {
            room: read::room(reader.get_room())?,
            message_id: read::message_id(reader.get_message_id())?,
            outcome,
        })
    }
}

impl Root for SyncRequest {
    type Schema = sync_request::Owned;

    fn words(&self) -> usize {
        match self {
            Self::Open { cursors, .. } | Self::Ack { cursors, .. } => cursors.len() * CURSOR_WORDS,
        }
    }

    fn write(&self, builder: sync_request::Builder<'_>) {
        let count = |rooms: usize| u32::try_from(rooms).unwrap_or(u32::MAX);
        match self {
            Self::Open {
                cursors,
                queue_after,
            } => {
                let mut open = builder.init_open();
                open.set_queue_after(*queue_after);
                words::write_cursors(cursors, open.init_cursors(count(cursors.len())));
            }
            Self::Ack { cursors, queue } => {
                let mut ack = builder.init_ack();
                ack.set_queue(*queue);
                words::write_cursors(cursors, ack.init_cursors(count(cursors.len())));
            }
        }
    }

    fn read(reader: sync_request::Reader<'_>) -> Result<Self, WireFault> {
        use sync_request::Which as W;
        match reader.which().map_err(read::unknown("sync request"))? {
            W::Open(open) => Ok(Self::Open {
                cursors: words::read_cursors(open.get_cursors()?)?,
                queue_after: open.get_queue_after(),
            }),
            W::Ack(ack) => Ok(Self::Ack {
                cursors: words::read_cursors(ack.get_cursors()?)?,
                queue: ack.get_queue(),
            }),
        }
    }
}

impl Root for SyncEvent {
    type Schema = sync_event::Owned;

    fn words(&self) -> usize {
        match self {
            Self::Entries { entries, .. } => entries.iter().map(entry_words).sum(),
            Self::Queued { item, .. } => data_words(tls_codec::Size::tls_serialized_len(item)),
            Self::Delivered { .. } | Self::CaughtUp => 0,
        }
    }

    fn write(&self, mut builder: sync_event::Builder<'_>) {
        match self {
            Self::Entries { room, hub, entries } => {
                let entries: Vec<Vec<u8>> = entries.iter().map(tls_encode).collect();
                write_entries(*room, hub, &entries, builder.init_entries());
            }
            Self::Queued { number, time, item } => {
                let mut event = builder.init_queued();
                event.set_number(*number);
                event.set_time_ms(time.0);
                event.set_item(&tls_encode(item));
            }
            Self::Delivered { room, seq } => {
                let mut event = builder.init_delivered();
                event.set_room(&room.0);
                event.set_seq(seq.0);
            }
            Self::CaughtUp => builder.set_caught_up(()),
        }
    }

    fn read(reader: sync_event::Reader<'_>) -> Result<Self, WireFault> {
        use sync_event::Which as W;
        match reader.which().map_err(read::unknown("sync event"))? {
            W::Entries(event) => {
                let list = event.get_entries();
                Ok(Self::Entries {
                    room: read::room(event.get_room())?,
                    hub: read::server("hub", event.get_hub())?,
                    entries: read::data_list("entries", MAX_PAGE_ENTRIES, list, read::entry)?,
                })
            }
            W::Queued(event) => Ok(Self::Queued {
                number: event.get_number(),
                time: UnixMillis(event.get_time_ms()),
                item: read::encoded("device item", event.get_item())?,
            }),
            W::Delivered(event) => Ok(Self::Delivered {
                room: read::room(event.get_room())?,
                seq: Seq(event.get_seq()),
            }),
            W::CaughtUp(()) => Ok(Self::CaughtUp),
        }
    }
}

/// The message of a [`SyncEvent::Entries`] whose entries are in their own encoding already.
pub(crate) fn encode_entries<E: AsRef<[u8]>>(
    room: RoomId,
    hub: &ServerDid,
    entries: &[E],
) -> Builder<HeapAllocator> {
    let sizes = entries.iter().map(|entry| data_words(entry.as_ref().len()));
    let mut message = empty_message(sizes.sum());
    let event = message.init_root::<sync_event::Builder<'_>>();
    write_entries(room, hub, entries, event.init_entries());
    message
}

fn write_entries<E: AsRef<[u8]>>(
    room: RoomId,
    hub: &ServerDid,
    entries: &[E],
    mut event: sync_event::entries::Builder<'_>,
) {
    event.set_room(&room.0);
    event.set_hub(hub.to_string());
    let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    let mut list = event.init_entries(count);
    for (entry, index) in entries.iter().zip(0..) {
        list.set(index, entry.as_ref());
    }
}

fn entry_words(entry: &Entry) -> usize {
    data_words(tls_codec::Size::tls_serialized_len(entry))
}
