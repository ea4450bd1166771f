//! `calls.capnp`: what requests and replies consist of, whoever asks whom.

use entente_groups::{CommitBundle, Epoch, LeafIndex, Suite};
use entente_identity::UnixMillis;
use entente_protocol::call::{
    ClaimKeyPackage, ClaimedKeyPackage, CommitRequest, GroupInfoReply, GroupInfoRequest, Ordered,
    Proposal, RoomAccess, TreeChunkRequest, TreeRef,
};
use entente_schemas::calls_capnp::{
    claim_key_package, claimed_key_package, commit_bundle, commit_request, group_info,
    group_info_request, ordered, proposal, room_access, tree_chunk, tree_chunk_request, tree_ref,
};

use super::{Root, WireFault, data_words, read, words};

/// Most proposals of one epoch in a GroupInfo reply.
const PENDING_MAX: usize = 1024;

fn access_words(access: &RoomAccess) -> usize {
    match access {
        RoomAccess::Member => 0,
        RoomAccess::Ticket(ticket) => data_words(ticket.to_bytes().len()),
    }
}

fn write_access(access: &RoomAccess, mut builder: room_access::Builder<'_>) {
    match access {
        RoomAccess::Member => builder.set_member(()),
        RoomAccess::Ticket(ticket) => builder.set_ticket(&ticket.to_bytes()),
    }
}

fn read_access(reader: room_access::Reader<'_>) -> Result<RoomAccess, WireFault> {
    match reader.which().map_err(read::unknown("room access"))? {
        room_access::Member(()) => Ok(RoomAccess::Member),
        room_access::Ticket(ticket) => Ok(RoomAccess::Ticket(Box::new(read::signed(ticket)?))),
    }
}

impl Root for GroupInfoRequest {
    type Schema = group_info_request::Owned;

    fn words(&self) -> usize {
        access_words(&self.access)
    }

    fn write(&self, mut builder: group_info_request::Builder<'_>) {
        builder.set_room(&self.room.0);
        write_access(&self.access, builder.init_access());
    }

    fn read(reader: group_info_request::Reader<'_>) -> Result<Self, WireFault> {
        Ok(Self {
            room: read::room(reader.get_room())?,
            access: read_access(reader.get_access()?)?,
        })
    }
}

impl Root for GroupInfoReply {
    type Schema = group_info::Owned;

    fn words(&self) -> usize {
        let tree = self.tree.inline.as_ref().map_or(0, Vec::len);
        let pending: usize = self.pending.iter().map(|p| data_words(p.len())).sum();
        data_words(self.group_info.len()) + data_words(tree) + pending
    }

    fn write(&self, mut builder: group_info::Builder<'_>) {
        builder.set_group_info(&self.group_info);
        write_tree(&self.tree, builder.reborrow().init_tree());
        let count = u32::try_from(self.pending.len()).unwrap_or(u32::MAX);
        let mut pending = builder.reborrow().init_pending(count);
        for (proposal, index) in self.pending.iter().zip(0..) {
            pending.set(index, proposal);
        }
        words::write_head(&self.head, builder.init_head());
    }

    fn read(reader: group_info::Reader<'_>) -> Result<Self, WireFault> {
        let pending = reader.get_pending();
        Ok(Self {
            group_info: read::bytes(reader.get_group_info())?,
            tree: read_tree(reader.get_tree()?)?,
            pending: read::data_list("pending proposals", PENDING_MAX, pending, read::bytes)?,
            head: words::read_head(reader.get_head()?)?,
        })
    }
}

fn write_tree(tree: &TreeRef, mut builder: tree_ref::Builder<'_>) {
    builder.set_epoch(tree.epoch.0);
    builder.set_hash(&tree.hash);
    builder.set_size(tree.size);
    let mut bytes = builder.init_bytes();
    match &tree.inline {
        None => bytes.set_elsewhere(()),
        Some(inline) => bytes.set_inline(inline),
    }
}

fn read_tree(reader: tree_ref::Reader<'_>) -> Result<TreeRef, WireFault> {
    let bytes = reader.get_bytes().which();
    let inline = match bytes.map_err(read::unknown("tree bytes"))? {
        tree_ref::bytes::Elsewhere(()) => None,
        tree_ref::bytes::Inline(inline) => Some(read::bytes(inline)?),
    };
    Ok(TreeRef {
        epoch: Epoch(reader.get_epoch()),
        hash: read::fixed("tree hash", reader.get_hash())?,
        size: reader.get_size(),
        inline,
    })
}

impl Root for TreeChunkRequest {
    type Schema = tree_chunk_request::Owned;

    fn words(&self) -> usize {
        access_words(&self.access)
    }

    fn write(&self, mut builder: tree_chunk_request::Builder<'_>) {
        builder.set_room(&self.room.0);
        write_access(&self.access, builder.reborrow().init_access());
        builder.set_epoch(self.epoch.0);
        builder.set_hash(&self.hash);
        builder.set_offset(self.offset);
    }

    fn read(reader: tree_chunk_request::Reader<'_>) -> Result<Self, WireFault> {
        Ok(Self {
            room: read::room(reader.get_room())?,
            access: read_access(reader.get_access()?)?,
            epoch: Epoch(reader.get_epoch()),
            hash: read::fixed("tree hash", reader.get_hash())?,
            offset: reader.get_offset(),
        })
    }
}

/// The bytes of a part of a ratchet tree.
pub(super) struct TreeChunk(pub(super) Vec<u8>);

impl Root for TreeChunk {
    type Schema = tree_chunk::Owned;

    fn words(&self) -> usize {
        data_words(self.0.len())
    }

    fn write(&self, mut builder: tree_chunk::Builder<'_>) {
        builder.set_bytes(&self.0);
    }

    fn read(reader: tree_chunk::Reader<'_>) -> Result<Self, WireFault> {
        read::bytes(reader.get_bytes()).map(Self)
    }
}

impl Root for ClaimKeyPackage {
    type Schema = claim_key_package::Owned;

    fn words(&self) -> usize {
        0
    }

    fn write(&self, mut builder: claim_key_package::Builder<'_>) {
        builder.set_room(&self.room.0);
        builder.set_account(self.account.root_key().as_bytes());
        builder.set_home(self.home.to_string());
        builder.set_suite(self.suite.code_point());
    }

    fn read(reader: claim_key_package::Reader<'_>) -> Result<Self, WireFault> {
        Ok(Self {
            room: read::room(reader.get_room())?,
            account: read::account(reader.get_account())?,
            home: read::server("home server", reader.get_home())?,
            suite: read_suite(reader.get_suite())?,
        })
    }
}

fn read_suite(code_point: u16) -> Result<Suite, WireFault> {
    Suite::from_code_point(code_point).map_err(|_| WireFault::Unknown {
        field: "cipher suite",
        value: code_point,
    })
}

impl Root for ClaimedKeyPackage {
    type Schema = claimed_key_package::Owned;

    fn words(&self) -> usize {
        data_words(self.key_package.len())
    }

    fn write(&self, mut builder: claimed_key_package::Builder<'_>) {
        builder.set_key_package(&self.key_package);
        builder.set_reference(self.reference.as_slice());
    }

    fn read(reader: claimed_key_package::Reader<'_>) -> Result<Self, WireFault> {
        Ok(Self {
            key_package: read::bytes(reader.get_key_package())?,
            reference: read::key_package_ref(reader.get_reference())?,
        })
    }
}

impl Root for CommitRequest {
    type Schema = commit_request::Owned;

    fn words(&self) -> usize {
        let bundle = &self.bundle;
        let welcome = bundle.welcome.as_ref().map_or(0, Vec::len);
        let sizes = [bundle.commit.len(), welcome, bundle.group_info.len()];
        sizes.map(data_words).iter().sum()
    }

    fn write(&self, mut builder: commit_request::Builder<'_>) {
        builder.set_room(&self.room.0);
        builder.set_message_id(&self.message_id.0);
        write_bundle(&self.bundle, builder.init_bundle());
    }

    fn read(reader: commit_request::Reader<'_>) -> Result<Self, WireFault> {
        Ok(Self {
            room: read::room(reader.get_room())?,
            message_id: read::message_id(reader.get_message_id())?,
            bundle: read_bundle(reader.get_bundle()?)?,
        })
    }
}

fn write_bundle(bundle: &CommitBundle, mut builder: commit_bundle::Builder<'_>) {
    builder.set_commit(&bundle.commit);
    builder.set_group_info(&bundle.group_info);
    let mut welcome = builder.init_welcome();
    match &bundle.welcome {
        None => welcome.set_none(()),
        Some(bytes) => welcome.set_some(bytes),
    }
}

fn read_bundle(reader: commit_bundle::Reader<'_>) -> Result<CommitBundle, WireFault> {
    let welcome = reader.get_welcome().which();
    let welcome = match welcome.map_err(read::unknown("welcome"))? {
        commit_bundle::welcome::None(()) => None,
        commit_bundle::welcome::Some(bytes) => Some(read::bytes(bytes)?),
    };
    Ok(CommitBundle {
        commit: read::bytes(reader.get_commit())?,
        welcome,
        group_info: read::bytes(reader.get_group_info())?,
    })
}

impl Root for Proposal {
    type Schema = proposal::Owned;

    fn words(&self) -> usize {
        data_words(self.proposal.len())
    }

    fn write(&self, mut builder: proposal::Builder<'_>) {
        builder.set_room(&self.room.0);
        builder.set_message_id(&self.message_id.0);
        builder.set_proposal(&self.proposal);
    }

    fn read(reader: proposal::Reader<'_>) -> Result<Self, WireFault> {
        Ok(Self {
            room: read::room(reader.get_room())?,
            message_id: read::message_id(reader.get_message_id())?,
            proposal: read::bytes(reader.get_proposal())?,
        })
    }
}

impl Root for Ordered {
    type Schema = ordered::Owned;

    fn words(&self) -> usize {
        0
    }

    fn write(&self, mut builder: ordered::Builder<'_>) {
        words::write_head(&self.at, builder.reborrow().init_at());
        builder.set_sender(self.sender.0);
        builder.set_time_ms(self.time.0);
    }

    fn read(reader: ordered::Reader<'_>) -> Result<Self, WireFault> {
        Ok(Self {
            at: words::read_head(reader.get_at()?)?,
            sender: LeafIndex(reader.get_sender()),
            time: UnixMillis(reader.get_time_ms()),
        })
    }
}
