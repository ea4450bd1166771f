//! `federation.capnp`: one homeserver's calls to another.

use capnp::message::{Builder, HeapAllocator};
use entente_identity::{Signed, SignedBody, encode as tls_encode};
use entente_protocol::call::{PeerRequest, PeerResponse, Pull, Vouched};
use entente_protocol::entry::{Entry, Seq};
use entente_protocol::equivocation::{HeadsReply, ShownHead};
use entente_protocol::limits::{MAX_PAGE_ENTRIES, MAX_SHOWN_HEADS, MAX_SHOWN_PROOFS};
use entente_schemas::federation_capnp::{
    PeerMethod, entries, heads, heads_reply, hello, pull, vouched,
};

use super::client_parts::TreeChunk;
use super::method::{Method, Request};
use super::{Root, WireFault, data_words, decode, encode, read, words};
use crate::connection::Link;

impl Request for PeerRequest {}

impl Method for PeerRequest {
    type Response = PeerResponse;

    const LINK: Link = Link::Federation;

    fn number(&self) -> u16 {
        let method = match self {
            Self::Hello(_) => PeerMethod::Hello,
            Self::GroupInfo(_) => PeerMethod::GroupInfo,
            Self::TreeChunk(_) => PeerMethod::TreeChunk,
            Self::ClaimKeyPackage(_) => PeerMethod::ClaimKeyPackage,
            Self::Commit(_) => PeerMethod::Commit,
            Self::Propose(_) => PeerMethod::Propose,
            Self::Pull(_) => PeerMethod::Pull,
            Self::Heads(_) => PeerMethod::Heads,
        };
        method as u16
    }

    fn encode(&self) -> Builder<HeapAllocator> {
        match self {
            Self::Hello(statement) => encode(&Greeting(statement.clone())),
            Self::GroupInfo(request) => encode(request),
            Self::TreeChunk(request) => encode(request),
            Self::ClaimKeyPackage(request) => encode(request),
            Self::Commit(request) => encode(request),
            Self::Propose(request) => encode(request),
            Self::Pull(request) => encode(request),
            Self::Heads(shown) => encode(&Heads(shown.clone())),
        }
    }

    fn decode(number: u16, frame: &[u8]) -> Result<Self, WireFault> {
        match method(number)? {
            PeerMethod::Hello => decode(frame).map(|Greeting(statement)| Self::Hello(statement)),
            PeerMethod::GroupInfo => decode(frame).map(Self::GroupInfo),
            PeerMethod::TreeChunk => decode(frame).map(Self::TreeChunk),
            PeerMethod::ClaimKeyPackage => decode(frame).map(Self::ClaimKeyPackage),
            PeerMethod::Commit => decode(frame).map(Self::Commit),
            PeerMethod::Propose => decode(frame).map(Self::Propose),
            PeerMethod::Pull => decode(frame).map(Self::Pull),
            PeerMethod::Heads => decode(frame).map(|Heads(shown)| Self::Heads(shown)),
        }
    }

    fn encode_reply(number: u16, reply: &PeerResponse) -> Option<Builder<HeapAllocator>> {
        use PeerMethod as M;
        use PeerResponse as R;
        match (method(number).ok()?, reply) {
            (M::Hello, R::Hello(reply)) => Some(encode(&Greeting(reply.clone()))),
            (M::GroupInfo, R::GroupInfo(reply)) => Some(encode(reply)),
            (M::TreeChunk, R::TreeChunk(bytes)) => Some(encode(&TreeChunk(bytes.clone()))),
            (M::ClaimKeyPackage, R::KeyPackage(reply)) => Some(encode(reply)),
            (M::Commit | M::Propose, R::Ordered(reply)) => Some(encode(reply)),
            (M::Pull, R::Entries(entries)) => Some(encode(&Page::of(entries))),
            (M::Heads, R::Heads(reply)) => Some(encode(reply)),
            _ => None,
        }
    }

    fn decode_reply(number: u16, frame: &[u8]) -> Result<PeerResponse, WireFault> {
        use PeerMethod as M;
        use PeerResponse as R;
        match method(number)? {
            M::Hello => decode(frame).map(|Greeting(reply)| R::Hello(reply)),
            M::GroupInfo => decode(frame).map(R::GroupInfo),
            M::TreeChunk => decode(frame).map(|TreeChunk(bytes)| R::TreeChunk(bytes)),
            M::ClaimKeyPackage => decode(frame).map(R::KeyPackage),
            M::Commit | M::Propose => decode(frame).map(R::Ordered),
            M::Pull => {
                let page: Page = decode(frame)?;
                page.entries().map(R::Entries)
            }
            M::Heads => decode(frame).map(R::Heads),
        }
    }
}

fn method(number: u16) -> Result<PeerMethod, WireFault> {
    PeerMethod::try_from(number).map_err(read::unknown("method"))
}

/// A signed greeting or its reply.
struct Greeting<T>(Signed<T>);

impl<T: SignedBody> Root for Greeting<T> {
    type Schema = hello::Owned;

    fn words(&self) -> usize {
        data_words(self.0.to_bytes().len())
    }

    fn write(&self, mut builder: hello::Builder<'_>) {
        builder.set_statement(&self.0.to_bytes());
    }

    fn read(reader: hello::Reader<'_>) -> Result<Self, WireFault> {
        read::signed(reader.get_statement()).map(Self)
    }
}

impl<T: Root> Root for Vouched<T> {
    type Schema = vouched::Owned<T::Schema>;

    fn words(&self) -> usize {
        self.request.words()
    }

    fn write(&self, mut builder: vouched::Builder<'_, T::Schema>) {
        builder.set_account(self.account.root_key().as_bytes());
        builder.set_device(&self.device.0);
        self.request.write(builder.init_request());
    }

    fn read(reader: vouched::Reader<'_, T::Schema>) -> Result<Self, WireFault> {
        Ok(Self {
            account: read::account(reader.get_account())?,
            device: read::device(reader.get_device())?,
            request: T::read(reader.get_request()?)?,
        })
    }
}

impl Root for Pull {
    type Schema = pull::Owned;

    fn words(&self) -> usize {
        0
    }

    fn write(&self, mut builder: pull::Builder<'_>) {
        builder.set_room(&self.room.0);
        words::write_head(&self.after, builder.reborrow().init_after());
        builder.set_until(self.until.0);
    }

    fn read(reader: pull::Reader<'_>) -> Result<Self, WireFault> {
        Ok(Self {
            room: read::room(reader.get_room())?,
            after: words::read_head(reader.get_after()?)?,
            until: Seq(reader.get_until()),
        })
    }
}

/// Heads in their own encoding.
struct Heads(Vec<ShownHead>);

impl Root for Heads {
    type Schema = heads::Owned;

    fn words(&self) -> usize {
        self.0.iter().map(encoded_words).sum()
    }

    fn write(&self, builder: heads::Builder<'_>) {
        write_all(&self.0, builder.init_heads(count(&self.0)));
    }

    fn read(reader: heads::Reader<'_>) -> Result<Self, WireFault> {
        read_heads(reader.get_heads()).map(Self)
    }
}

impl Root for HeadsReply {
    type Schema = heads_reply::Owned;

    fn words(&self) -> usize {
        let heads: usize = self.heads.iter().map(encoded_words).sum();
        heads + self.proofs.iter().map(encoded_words).sum::<usize>()
    }

    fn write(&self, mut builder: heads_reply::Builder<'_>) {
        write_all(
            &self.heads,
            builder.reborrow().init_heads(count(&self.heads)),
        );
        write_all(&self.proofs, builder.init_proofs(count(&self.proofs)));
    }

    fn read(reader: heads_reply::Reader<'_>) -> Result<Self, WireFault> {
        let proofs = reader.get_proofs();
        let one = |bytes: capnp::Result<&[u8]>| read::encoded("proof", bytes);
        Ok(Self {
            heads: read_heads(reader.get_heads())?,
            proofs: read::data_list("proofs", MAX_SHOWN_PROOFS, proofs, one)?,
        })
    }
}

fn read_heads(
    list: capnp::Result<capnp::data_list::Reader<'_>>,
) -> Result<Vec<ShownHead>, WireFault> {
    let one = |bytes: capnp::Result<&[u8]>| read::encoded("head", bytes);
    read::data_list("heads", MAX_SHOWN_HEADS, list, one)
}

fn encoded_words<T: tls_codec::Size>(value: &T) -> usize {
    data_words(value.tls_serialized_len())
}

fn count<T>(values: &[T]) -> u32 {
    u32::try_from(values.len()).unwrap_or(u32::MAX)
}

fn write_all<T: tls_codec::Serialize>(values: &[T], mut list: capnp::data_list::Builder<'_>) {
    for (value, index) in values.iter().zip(0..) {
        list.set(index, &tls_encode(value));
    }
}

/// Entries in their own encoding.
struct Page(Vec<Vec<u8>>);

impl Page {
    fn of(entries: &[Entry]) -> Self {
        Self(entries.iter().map(tls_encode).collect())
    }

    fn entries(&self) -> Result<Vec<Entry>, WireFault> {
        self.0.iter().map(|bytes| read::entry(Ok(bytes))).collect()
    }
}

impl Root for Page {
    type Schema = entries::Owned;

    fn words(&self) -> usize {
        self.0.iter().map(|entry| data_words(entry.len())).sum()
    }

    fn write(&self, builder: entries::Builder<'_>) {
        let count = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        let mut list = builder.init_entries(count);
        for (entry, index) in self.0.iter().zip(0..) {
            list.set(index, entry);
        }
    }

    fn read(reader: entries::Reader<'_>) -> Result<Self, WireFault> {
        let list = reader.get_entries();
        read::data_list("entries", MAX_PAGE_ENTRIES, list, read::bytes).map(Self)
    }
}
