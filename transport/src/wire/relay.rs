//! `federation.capnp`: the relay flow between homeservers.

use entente_protocol::limits::MAX_BATCH_ITEMS;
use entente_protocol::relay::{Batch, RelayReply};
use entente_schemas::federation_capnp::{batch, relay_reply};

use super::{Root, WireFault, data_words, read};

impl Root for Batch {
    type Schema = batch::Owned;

    fn words(&self) -> usize {
        let items: usize = self.items.iter().map(|item| data_words(item.len())).sum();
        items + data_words(tls_codec::Size::tls_serialized_len(&self.head))
    }

    fn write(&self, mut builder: batch::Builder<'_>) {
        builder.set_head(&self.head.to_bytes());
        let count = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        let mut items = builder.init_items(count);
        for (item, index) in self.items.iter().zip(0..) {
            items.set(index, item);
        }
    }

    fn read(reader: batch::Reader<'_>) -> Result<Self, WireFault> {
        let items = reader.get_items();
        Ok(Self {
            head: read::signed(reader.get_head())?,
            items: read::data_list("batch items", MAX_BATCH_ITEMS, items, read::bytes)?,
        })
    }
}

impl Root for RelayReply {
    type Schema = relay_reply::Owned;

    fn words(&self) -> usize {
        0
    }

    fn write(&self, builder: relay_reply::Builder<'_>) {
        match *self {
            Self::Ack {
                stream_epoch,
                up_to,
            } => {
                let mut ack = builder.init_ack();
                ack.set_stream_epoch(stream_epoch);
                ack.set_up_to(up_to);
            }
            Self::FutureCursor {
                stream_epoch,
                last_in,
            } => {
                let mut future = builder.init_future_cursor();
                future.set_stream_epoch(stream_epoch);
                future.set_last_in(last_in);
            }
            Self::Busy { retry_after_ms } => {
                builder.init_busy().set_retry_after_ms(retry_after_ms);
            }
        }
    }

    fn read(reader: relay_reply::Reader<'_>) -> Result<Self, WireFault> {
        use relay_reply::Which as W;
        match reader.which().map_err(read::unknown("relay reply"))? {
            W::Ack(ack) => Ok(Self::Ack {
                stream_epoch: ack.get_stream_epoch(),
                up_to: ack.get_up_to(),
            }),
            W::FutureCursor(future) => Ok(Self::FutureCursor {
                stream_epoch: future.get_stream_epoch(),
                last_in: future.get_last_in(),
            }),
            W::Busy(busy) => Ok(Self::Busy {
                retry_after_ms: busy.get_retry_after_ms(),
            }),
        }
    }
}
