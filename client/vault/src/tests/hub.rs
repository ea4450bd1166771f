//! A hub in a hundred lines: it orders, checks with [`PublicRoom`], and answers as a homeserver would.

use std::collections::BTreeMap;

use entente_groups::{
    CommitBundle, Epoch, GroupMessage, KeyPackageRef, MessageId, PublicRoom, RoomId, RosterDelta,
    Suite, judge_key_package,
};
use entente_identity::{AccountDid, DeviceId, ServerDid, UnixMillis, encode};
use entente_protocol::call::{
    ClaimedKeyPackage, ClientRequest, ClientResponse, CommitRequest, CreateRoom, GroupInfoReply,
    Ordered, Proposal, TreeRef,
};
use entente_protocol::entry::{
    CommitBody, CreateBody, Entry, EntryHash, EntryHeader, EntryKind, Head, ProposalBody, Seq, Term,
};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::flow::{
    DeviceItem, InviteItem, SubmitFrame, SubmitOutcome, SubmitReply, WelcomeItem,
};
use sha2::{Digest, Sha256};

/// Who asks, as a homeserver would know from the login.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) account: AccountDid,
    pub(super) device: DeviceId,
    pub(super) home: ServerDid,
}

#[derive(Default)]
pub(super) struct Hub {
    pub(super) now: u64,
    pub(super) rooms: BTreeMap<RoomId, HubRoom>,
    pub(super) queues: BTreeMap<DeviceId, Vec<DeviceItem>>,
    pub(super) key_packages: BTreeMap<(AccountDid, u16), Vec<Vec<u8>>>,
    welcomes: BTreeMap<KeyPackageRef, DeviceId>,
}

pub(super) struct HubRoom {
    pub(super) public: PublicRoom,
    group_info: Vec<u8>,
    pub(super) log: Vec<Entry>,
    pending: Vec<Vec<u8>>,
    answers: BTreeMap<(AccountDid, MessageId), Ordered>,
    trees: BTreeMap<Epoch, Vec<u8>>,
    /// Which entries a device may see: from, until.
    pub(super) sight: BTreeMap<DeviceId, (u64, u64)>,
    delivered: u64,
}

fn fault(code: FaultCode) -> Fault {
    Fault::new(code, code.meaning())
}

pub(super) fn hub_did() -> ServerDid {
    "did:web:org-a.example".parse().expect("a DID")
}

impl Hub {
    pub(super) fn time(&self) -> UnixMillis {
        UnixMillis(1_700_000_000_000 + self.now)
    }

    pub(super) fn call(
        &mut self,
        who: &Caller,
        request: &ClientRequest,
    ) -> Result<ClientResponse, Fault> {
        self.now += 1;
        match request {
            ClientRequest::CreateRoom(create) => self.create(who, create),
            ClientRequest::Commit(call) => self.commit(who, &call.request),
            ClientRequest::Propose(call) => self.propose(who, &call.request),
            ClientRequest::GroupInfo(call) => self.group_info(&call.request.room),
            ClientRequest::TreeChunk(call) => {
                let room = self.room(&call.request.room)?;
                let tree = room.trees.get(&call.request.epoch);
                let tree = tree.ok_or_else(|| fault(FaultCode::Gone))?;
                Ok(ClientResponse::TreeChunk(tree.clone()))
            }
            ClientRequest::Invite(invite) => {
                for (device, sealed) in &invite.sealed {
                    let item = DeviceItem::Invite(InviteItem {
                        account: invite.account,
                        device: *device,
                        inviter: who.account,
                        message_id: invite.message_id,
                        sealed: sealed.as_slice().into(),
                    });
                    self.queues.entry(*device).or_default().push(item);
                }
                Ok(ClientResponse::Done)
            }
            ClientRequest::PublishKeyPackages(publish) => {
                for package in &publish.packages {
                    let judged = judge_key_package(package, self.time()).expect("a good one");
                    self.welcomes.insert(judged.reference, who.device);
                    let key = (who.account, judged.suite.code_point());
                    self.key_packages
                        .entry(key)
                        .or_default()
                        .push(package.clone());
                }
                Ok(ClientResponse::KeyPackages(1))
            }
            ClientRequest::ClaimKeyPackage(call) => {
                let claim = &call.request;
                self.claim(claim.account, claim.suite)
            }
            ClientRequest::Register(_) | ClientRequest::Login(_) | ClientRequest::Status => {
                Err(fault(FaultCode::Unsupported))
            }
        }
    }

    pub(super) fn claim(
        &mut self,
        account: AccountDid,
        suite: Suite,
    ) -> Result<ClientResponse, Fault> {
        let stock = self.key_packages.get_mut(&(account, suite.code_point()));
        let key_package = stock
            .and_then(Vec::pop)
            .ok_or_else(|| fault(FaultCode::NoKeyPackage))?;
        let judged = judge_key_package(&key_package, self.time()).expect("a good one");
        Ok(ClientResponse::KeyPackage(ClaimedKeyPackage {
            key_package,
            reference: judged.reference,
        }))
    }

    fn room(&mut self, room: &RoomId) -> Result<&mut HubRoom, Fault> {
        self.rooms
            .get_mut(room)
            .ok_or_else(|| fault(FaultCode::NoSuchRoom))
    }

    fn group_info(&mut self, room: &RoomId) -> Result<ClientResponse, Fault> {
        let room = self.room(room)?;
        let tree = room.public.ratchet_tree();
        Ok(ClientResponse::GroupInfo(GroupInfoReply {
            group_info: room.group_info.clone(),
            tree: TreeRef {
                epoch: room.public.epoch(),
                hash: Sha256::digest(&tree).into(),
                size: u32::try_from(tree.len()).expect("small"),
                inline: Some(tree),
            },
            pending: room.pending.clone(),
            head: room.head(),
        }))
    }

    fn create(&mut self, who: &Caller, create: &CreateRoom) -> Result<ClientResponse, Fault> {
        let public = PublicRoom::from_create(&create.record, &create.group_info, &create.tree)
            .expect("a good founding");
        let id = public.room();
        if let Some(room) = self.rooms.get(&id) {
            let answer = room.answers.get(&(who.account, create.message_id));
            return answer
                .map(|ordered| ClientResponse::Ordered(*ordered))
                .ok_or_else(|| fault(FaultCode::RoomExists));
        }
        let roster = RosterDelta {
            joined: public.members().cloned().collect(),
            left: Vec::new(),
        };
        let body = CreateBody {
            record: create.record.clone(),
            roster: roster.clone(),
        };
        let mut room = HubRoom {
            public,
            group_info: create.group_info.clone(),
            log: Vec::new(),
            pending: Vec::new(),
            answers: BTreeMap::new(),
            trees: BTreeMap::new(),
            sight: BTreeMap::new(),
            delivered: 0,
        };
        let time = self.time();
        let part = (EntryKind::Create, Epoch(0), roster.joined[0].leaf);
        let ordered = room.order(who, part, create.message_id, encode(&body), time);
        room.see(&roster);
        self.rooms.insert(id, room);
        Ok(ClientResponse::Ordered(ordered))
    }

    fn commit(&mut self, who: &Caller, request: &CommitRequest) -> Result<ClientResponse, Fault> {
        let time = self.time();
        let room = self.room(&request.room)?;
        if let Some(ordered) = room.answers.get(&(who.account, request.message_id)) {
            return Ok(ClientResponse::Ordered(*ordered));
        }
        let bundle: &CommitBundle = &request.bundle;
        let epoch = room.public.epoch();
        let message = GroupMessage::parse(&bundle.commit).expect("a message");
        if message.epoch() != epoch {
            return Err(fault(FaultCode::WrongEpoch));
        }
        let checked = room
            .public
            .check_commit(bundle, &room.pending, time)
            .map_err(|why| Fault::new(FaultCode::CommitRefused, why.to_string()))?;
        let body = CommitBody {
            commit: bundle.commit.as_slice().into(),
            roster: checked.roster.clone(),
        };
        let part = (EntryKind::Commit, epoch, checked.committer.leaf);
        room.public = checked.next;
        room.group_info = bundle.group_info.clone();
        room.pending.clear();
        let tree = room.public.ratchet_tree();
        room.trees.insert(room.public.epoch(), tree.clone());
        let ordered = room.order(who, part, request.message_id, encode(&body), time);
        room.see(&checked.roster);
        let (head, next) = (room.head(), room.public.epoch());
        for reference in checked.welcome_refs {
            let device = self.welcomes.get(&reference).expect("a published package");
            let item = DeviceItem::Welcome(WelcomeItem {
                room: request.room,
                hub: hub_did(),
                reference,
                welcome: bundle.welcome.clone().expect("a Welcome").into(),
                epoch: next,
                tree_hash: Sha256::digest(&tree).into(),
                tree_bytes: u32::try_from(tree.len()).expect("small"),
                at: head,
            });
            self.queues.entry(*device).or_default().push(item);
        }
        Ok(ClientResponse::Ordered(ordered))
    }

    fn propose(&mut self, who: &Caller, request: &Proposal) -> Result<ClientResponse, Fault> {
        let time = self.time();
        let room = self.room(&request.room)?;
        if let Some(ordered) = room.answers.get(&(who.account, request.message_id)) {
            return Ok(ClientResponse::Ordered(*ordered));
        }
        let message = GroupMessage::parse(&request.proposal).expect("a message");
        if message.epoch() != room.public.epoch() {
            return Err(fault(FaultCode::WrongEpoch));
        }
        let leaver = room
            .public
            .check_proposal(&request.proposal)
            .map_err(|why| Fault::new(FaultCode::BadRequest, why.to_string()))?;
        let body = ProposalBody {
            proposal: request.proposal.as_slice().into(),
            leaver: leaver.clone(),
        };
        let part = (EntryKind::Proposal, room.public.epoch(), leaver.leaf);
        let ordered = room.order(who, part, request.message_id, encode(&body), time);
        room.pending.push(request.proposal.clone());
        room.blind(leaver.device);
        Ok(ClientResponse::Ordered(ordered))
    }

    /// Orders a message, or says why not.
    pub(super) fn submit(&mut self, who: &Caller, frame: &SubmitFrame) -> SubmitReply {
        self.now += 1;
        let submission = &frame.submission;
        let outcome = match self.order_message(who, frame) {
            Ok(head) => SubmitOutcome::Ordered {
                term: head.term,
                seq: head.seq,
            },
            Err(fault) => SubmitOutcome::Refused(fault),
        };
        SubmitReply {
            room: submission.room,
            message_id: submission.message_id,
            outcome,
        }
    }

    fn order_message(&mut self, who: &Caller, frame: &SubmitFrame) -> Result<Head, Fault> {
        let time = self.time();
        let submission = &frame.submission;
        let room = self.room(&submission.room)?;
        if let Some(ordered) = room.answers.get(&(who.account, submission.message_id)) {
            return Ok(ordered.at);
        }
        let member = room.public.members().find(|m| m.device == who.device);
        let leaf = member.ok_or_else(|| fault(FaultCode::NotMember))?.leaf;
        if room
            .sight
            .get(&who.device)
            .is_some_and(|sight| sight.1 != u64::MAX)
        {
            return Err(fault(FaultCode::NotMember));
        }
        let body = submission.ciphertext.as_slice().to_vec();
        let Ok(GroupMessage::Application(message)) = GroupMessage::parse(&body) else {
            return Err(fault(FaultCode::BadRequest));
        };
        if room.public.check_application(&message).is_err() {
            return Err(fault(FaultCode::WrongEpoch));
        }
        let part = (EntryKind::Application, submission.epoch, leaf);
        Ok(room.order(who, part, submission.message_id, body, time).at)
    }

    /// The entries that a device may see after a position.
    pub(super) fn entries(&self, room: &RoomId, device: DeviceId, after: u64) -> Vec<Entry> {
        let room = &self.rooms[room];
        let Some((from, until)) = room.sight.get(&device) else {
            return Vec::new();
        };
        let range = *from..=*until;
        let seen =
            |entry: &&Entry| range.contains(&entry.header.seq.0) && entry.header.seq.0 > after;
        room.log.iter().filter(seen).cloned().collect()
    }
}

impl HubRoom {
    pub(super) fn head(&self) -> Head {
        self.log.last().expect("a founded room").header.head()
    }

    pub(super) fn order(
        &mut self,
        who: &Caller,
        (kind, epoch, sender): (EntryKind, Epoch, entente_groups::LeafIndex),
        message_id: MessageId,
        body: Vec<u8>,
        time: UnixMillis,
    ) -> Ordered {
        let last = self.log.last().map(|entry| entry.header.head());
        let header = EntryHeader {
            room: self.public.room(),
            term: Term::FIRST,
            seq: last.map_or(Seq(1), |head| head.seq.next()),
            epoch,
            kind,
            origin: who.home.clone(),
            sender,
            message_id,
            prev_hash: last.map_or(EntryHash::default(), |head| head.hash),
            body_hash: Entry::body_hash(&body),
            time,
        };
        let ordered = Ordered {
            at: header.head(),
            sender,
            time,
        };
        self.log.push(Entry {
            header,
            body: body.into(),
            attestation: None,
        });
        self.delivered = ordered.at.seq.0;
        self.answers.insert((who.account, message_id), ordered);
        ordered
    }

    fn see(&mut self, roster: &RosterDelta) {
        let seq = self.head().seq.0;
        for gone in &roster.left {
            let sight = self.sight.entry(gone.device).or_insert((1, u64::MAX));
            sight.1 = sight.1.min(seq);
        }
        for come in &roster.joined {
            let back = roster.left.iter().any(|gone| gone.device == come.device);
            let from = self
                .sight
                .get(&come.device)
                .filter(|_| back)
                .map_or(seq, |s| s.0);
            self.sight.insert(come.device, (from, u64::MAX));
        }
    }

    fn blind(&mut self, device: DeviceId) {
        let seq = self.head().seq.0;
        self.sight.entry(device).or_insert((1, seq)).1 = seq;
    }
}
