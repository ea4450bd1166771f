//! Everything that writes, as values that can wait in a queue.

use entente_groups::{KeyPackageRef, RoomId, Suite};
use entente_homeserver_core::commit::CheckedBundle;
use entente_homeserver_core::create_room::CheckedRoom;
use entente_homeserver_core::links::{Taken, Tenure};
use entente_homeserver_core::propose::CheckedProposal;
use entente_homeserver_core::rows::{Claimant, LinkRow, NodeId, PeerRow};
use entente_homeserver_core::submit::Submitted;
use entente_identity::{AccountDid, DeviceId, KeyPin, ServerDid};
use entente_protocol::call::{
    ClaimedKeyPackage, Ordered, PublishKeyPackages, Register, SealedInvite,
};
use entente_protocol::entry::{Entry, Head};
use entente_protocol::equivocation::{Equivocation, Shown};
use entente_protocol::flow::Submission;
use entente_protocol::relay::{RelayReply, VerifiedBatch};

/// A write that waits for its turn.
#[derive(Clone, Debug)]
pub enum Command {
    /// Somebody opens an account. Answer: `Done`.
    Register(Box<Register>),
    /// A device stores KeyPackages. Answer: `KeyPackages`.
    Publish {
        /// The device.
        owner: (AccountDid, DeviceId),
        /// The KeyPackages.
        request: PublishKeyPackages,
    },
    /// A device founds a room that was checked. Answer: `Ordered`.
    CreateRoom(Box<CheckedRoom>),
    /// A device hands in a message. Answer: `Submitted`.
    Submit {
        /// The device.
        sender: (AccountDid, DeviceId),
        /// The message.
        submission: Submission,
    },
    /// A commit that was checked, from a device here or vouched for by a peer. Answer: `Ordered`.
    Commit {
        /// The server that vouches.
        origin: ServerDid,
        /// The commit.
        bundle: Box<CheckedBundle>,
    },
    /// A proposal that was checked, from a device here or vouched for by a peer. Answer: `Ordered`.
    Propose {
        /// The server that vouches.
        origin: ServerDid,
        /// The proposal.
        proposal: Box<CheckedProposal>,
    },
    /// A KeyPackage of an account here is claimed. Answer: `Claimed`.
    Claim {
        /// For which room, and who its hub is.
        claimant: Claimant,
        /// Whose.
        account: AccountDid,
        /// The room's suite.
        suite: Suite,
    },
    /// At the hub: a KeyPackage was claimed for a room. Answer: `Done`.
    NoteClaim {
        /// The room.
        room: RoomId,
        /// The KeyPackage.
        reference: KeyPackageRef,
        /// The server of its device.
        home: ServerDid,
    },
    /// A device hands over an invitation. Answer: `Done`.
    Invite {
        /// Who invites.
        inviter: AccountDid,
        /// The invitation.
        request: SealedInvite,
    },
    /// A device has its queue on disk up to a number. Answer: `Done`.
    AcknowledgeQueue {
        /// The device.
        device: (AccountDid, DeviceId),
        /// The number.
        up_to: u64,
    },
    /// A peer greeted. Answer: `Peer`.
    Greeted {
        /// The peer.
        peer: ServerDid,
        /// The epoch of its stream to us.
        stream_epoch: u64,
        /// The number after which that epoch's items begin.
        begins_after: u64,
    },
    /// A peer handed over a batch. Answer: `Received`.
    Receive(VerifiedBatch),
    /// A peer owns what was owed to it, up to a number. Answer: `Done`, or `Lost`.
    Acknowledge {
        /// The peer.
        peer: ServerDid,
        /// The hold on its link of whoever was told.
        tenure: Tenure,
        /// The number.
        up_to: u64,
    },
    /// A new stream epoch towards a peer begins. Answer: `Peer`, or `Lost`.
    BeginEpoch {
        /// The peer.
        peer: ServerDid,
        /// The hold on its link of whoever begins it.
        tenure: Tenure,
        /// The new stream epoch.
        stream_epoch: u64,
    },
    /// A node wants to drive the link to a peer, in a new stream epoch. Answer: `Taken`, `Held`, or
    /// `Buried` if the node has not entered.
    TakeLink {
        /// The peer.
        peer: ServerDid,
        /// The node.
        node: NodeId,
        /// The lowest stream epoch that may begin.
        stream_epoch: u64,
    },
    /// A node starts. Answer: `Done`.
    Enter {
        /// The node.
        node: NodeId,
        /// What its operator calls it.
        name: String,
        /// What becomes of the others.
        others: Others,
    },
    /// A node lives. Answer: `Done`, or `Buried` if the others gave it up.
    Beat(NodeId),
    /// A node does not live any more. Answer: `Buried`, or `Done` if it has beaten since.
    Bury {
        /// The node.
        node: NodeId,
        /// The beat that was seen last; none if the node itself leaves.
        beat: Option<u64>,
    },
    /// What is pinned of another server's keys, at first contact or after a renewal. Answer: `Done`.
    Pin(Box<KeyPin>),
    /// An administrator lets go of what is pinned of another server's keys. Answer: `Done`.
    DropPin(ServerDid),
    /// A room's hub showed two histories; the proof was verified with the hub's key. Answer: `Done`.
    Freeze {
        /// The proof.
        proof: Box<Equivocation>,
        /// What it shows.
        shown: Shown,
    },
    /// What a room's log has kept for longer than this is deleted, a part at a time. Answer: `Done`, or
    /// `More`.
    Retain {
        /// The room.
        room: RoomId,
        /// How long entries are kept, in milliseconds.
        keep_ms: u64,
    },
    /// Entries that were pulled from a room's hub. Answer: `Repaired`.
    Repair {
        /// The room.
        room: RoomId,
        /// From whom they came.
        from: ServerDid,
        /// The entries, in order.
        entries: Vec<Entry>,
    },
}

/// What a node that starts knows of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// No other process can be using the database: nodes that have rows ended without a word.
    Gone,
    /// They may live.
    MayLive,
}

/// The answer to a [`Command`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done.
    Done,
    /// A part is done; the same command does more.
    More,
    /// How many unclaimed KeyPackages the device has.
    KeyPackages(u32),
    /// Where it stands in the log.
    Ordered(Ordered),
    /// What became of the message.
    Submitted(Submitted),
    /// The KeyPackage.
    Claimed(ClaimedKeyPackage),
    /// The peer as it is now.
    Peer(PeerRow),
    /// The link, with a new stream epoch.
    Taken(Taken),
    /// Another node drives that link.
    Held(LinkRow),
    /// The link is not the caller's any more; nothing was changed.
    Lost,
    /// The node has no row.
    Buried,
    /// What to tell the sender.
    Received(RelayReply),
    /// The end of the log after the repair.
    Repaired(Head),
}
