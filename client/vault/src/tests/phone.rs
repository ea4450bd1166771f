//! A device of the tests: a vault in memory or in a folder, with the loop that an sdk runs.

use std::path::{Path, PathBuf};

use entente_client_core::event::{Event, Problem};
use entente_client_core::message::{Message, MessageState};
use entente_client_core::person::AccountChange;
use entente_client_core::room::RoomState;
use entente_groups::{MessageId, RoomId};
use entente_identity::{Handle, UnixMillis, VerifiedAccount};
use entente_protocol::call::{
    ClaimKeyPackage, ClientRequest, ClientResponse, GroupInfoRequest, HubCall, PublishKeyPackages,
    RoomAccess, TreeChunkRequest,
};
use entente_protocol::content::{Content, Meaning};
use entente_protocol::entry::Seq;
use entente_protocol::fault::{Fault, FaultCode};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::hub::{Caller, Hub, hub_did};
use crate::{
    GoalFate, Moment, NetworkPaths, NewAccount, NewRoom, PageOutcome, ProfileFolder, Unlock, Vault,
    Work,
};

pub(super) struct Phone {
    pub(super) vault: Vault,
    pub(super) rng: StdRng,
    pub(super) who: Caller,
    pub(super) handle: Handle,
    place: u64,
    queue_read: usize,
    folder: Option<PathBuf>,
}

impl Phone {
    pub(super) fn new(name: &str, hub: &mut Hub) -> Self {
        Self::on(Vault::in_memory().expect("SQLite"), name, hub, None)
    }

    pub(super) fn in_folder(path: &Path, name: &str, hub: &mut Hub) -> Self {
        let vault = open(path);
        Self::on(vault, name, hub, Some(path.to_owned()))
    }

    fn on(mut vault: Vault, name: &str, hub: &mut Hub, folder: Option<PathBuf>) -> Self {
        let seed = name.bytes().fold(7, |seed: u64, byte| {
            seed.wrapping_mul(31).wrapping_add(byte.into())
        });
        let mut rng = StdRng::seed_from_u64(seed);
        let handle: Handle = name.parse().expect("a handle");
        let moment = Moment {
            now: hub.time(),
            rng: &mut rng,
        };
        let (account, _words) = NewAccount::make(handle.clone(), NetworkPaths::default(), moment);
        vault.store_account(&account, hub.time()).expect("stored");
        vault.account_registered().expect("registered");
        let own = vault.own().expect("an account");
        let who = Caller {
            account: own.account,
            device: own.device,
            home: own.home(),
        };
        let mut phone = Self {
            vault,
            rng,
            who,
            handle,
            place: 0,
            queue_read: 0,
            folder,
        };
        phone.publish(hub);
        phone
    }

    /// Ends the process and starts it again: only what is on disk is left.
    pub(super) fn restart(&mut self) {
        let folder = self.folder.clone().expect("a phone in a folder");
        self.vault = open(&folder);
        self.place = 0;
    }

    /// A second process on the same profile.
    pub(super) fn second_process(&self) -> Self {
        let folder = self.folder.clone().expect("a phone in a folder");
        Self {
            vault: open(&folder),
            rng: StdRng::seed_from_u64(99),
            who: self.who.clone(),
            handle: self.handle.clone(),
            place: 0,
            queue_read: self.queue_read,
            folder: Some(folder),
        }
    }

    pub(super) fn at<T>(
        &mut self,
        now: UnixMillis,
        run: impl FnOnce(&mut Vault, Moment<'_>) -> T,
    ) -> T {
        let moment = Moment {
            now,
            rng: &mut self.rng,
        };
        run(&mut self.vault, moment)
    }

    fn publish(&mut self, hub: &mut Hub) {
        let made = self
            .at(hub.time(), |vault, moment| {
                vault.key_packages_to_publish(0, moment)
            })
            .expect("KeyPackages");
        let request = ClientRequest::PublishKeyPackages(PublishKeyPackages {
            packages: made.packages,
        });
        hub.call(&self.who, &request).expect("published");
        self.at(hub.time(), |vault, moment| {
            vault.key_packages_published(&made.references, moment)
        })
        .expect("noted");
    }

    pub(super) fn person(&mut self) -> VerifiedAccount {
        let own = self.vault.own().expect("an account");
        own.claim.verify().expect("an account")
    }

    pub(super) fn found(&mut self, name: &str, hub: &mut Hub) -> RoomId {
        let (room, _) = self
            .at(hub.time(), |vault, moment| {
                vault.found_room(&NewRoom::named(name), moment)
            })
            .expect("founded");
        self.turn(hub);
        room
    }

    pub(super) fn write(&mut self, room: &RoomId, text: &str, hub: &Hub) -> MessageId {
        let content = Content::text(text, &mut self.rng);
        self.at(hub.time(), |vault, moment| {
            vault.write_message(room, &content, moment)
        })
        .expect("written")
    }

    pub(super) fn invite(&mut self, room: &RoomId, other: &mut Self, hub: &mut Hub) {
        let person = other.person();
        self.at(hub.time(), |vault, moment| {
            vault.meet_person(&person, AccountChange::Refuse, moment)
        })
        .expect("met");
        self.at(hub.time(), |vault, moment| {
            vault.invite(room, &person, moment)
        })
        .expect("invited");
        self.turn(hub);
    }

    pub(super) fn join(&mut self, hub: &mut Hub) -> RoomId {
        self.turn(hub);
        let invites = self.vault.open_invites(hub.time()).expect("invitations");
        let id = invites.last().expect("an invitation").id;
        let (room, _) = self
            .at(hub.time(), |vault, moment| vault.accept_invite(id, moment))
            .expect("accepted");
        self.turn(hub);
        room
    }

    pub(super) fn add(&mut self, room: &RoomId, other: &mut Self, hub: &mut Hub) {
        let person = other.person();
        let suite = self.vault.room(room).expect("a room").suite;
        let request = ClientRequest::ClaimKeyPackage(HubCall {
            hub: hub_did(),
            request: ClaimKeyPackage {
                room: *room,
                account: person.claim.account,
                home: person.home.server(),
                suite,
            },
        });
        let Ok(ClientResponse::KeyPackage(claimed)) = hub.call(&self.who, &request) else {
            panic!("no KeyPackage");
        };
        let goal = self
            .at(hub.time(), |vault, moment| {
                vault.add(room, &person, &claimed.key_package, moment)
            })
            .expect("wanted");
        self.turn(hub);
        assert_eq!(self.vault.goal_fate(goal), Ok(GoalFate::Done));
    }

    /// Everything that an sdk does until nothing is left to do.
    pub(super) fn turn(&mut self, hub: &mut Hub) {
        for _ in 0..8 {
            let sent = self.work(hub) + self.hand_over(hub);
            self.sync(hub);
            if sent == 0 {
                return;
            }
        }
    }

    /// Asks what is due; says how many things that were.
    pub(super) fn work(&mut self, hub: &mut Hub) -> usize {
        let work = self
            .at(hub.time(), |vault, moment| vault.due_work(moment))
            .expect("work");
        let count = work.len();
        for item in work {
            self.ask(item, hub);
        }
        count
    }

    fn ask(&mut self, work: Work, hub: &mut Hub) {
        let who = self.who.clone();
        match work {
            Work::Call { goal, request } => {
                let answer = hub.call(&who, &request);
                self.at(hub.time(), |vault, moment| {
                    vault.goal_answered(goal, &answer, moment)
                })
            }
            Work::Offer {
                goal, room, access, ..
            } => {
                let request = ClientRequest::GroupInfo(HubCall {
                    hub: hub_did(),
                    request: GroupInfoRequest { room, access },
                });
                let answer = hub.call(&who, &request);
                self.at(hub.time(), |vault, moment| match answer {
                    Ok(ClientResponse::GroupInfo(reply)) => {
                        let tree = reply.tree.inline.clone().expect("inline");
                        vault.offer_came(goal, &reply, &tree, moment)
                    }
                    other => vault.goal_answered(goal, &other, moment),
                })
            }
            Work::Tree(wanted) => {
                let request = ClientRequest::TreeChunk(HubCall {
                    hub: hub_did(),
                    request: TreeChunkRequest {
                        room: wanted.room,
                        access: RoomAccess::Member,
                        epoch: wanted.tree.epoch,
                        hash: wanted.tree.hash,
                        offset: 0,
                    },
                });
                let answer = hub.call(&who, &request);
                self.at(hub.time(), |vault, moment| match answer {
                    Ok(ClientResponse::TreeChunk(tree)) => {
                        vault.tree_came(wanted.welcome, &tree, moment)
                    }
                    Ok(_) => panic!("another answer"),
                    Err(fault) => vault.tree_refused(wanted.welcome, &fault, moment),
                })
            }
            Work::Invite { invite, request } => {
                let answer = hub.call(&who, &request).map(|_| ());
                self.at(hub.time(), |vault, moment| {
                    vault.invite_answered(invite, &answer, moment)
                })
            }
        }
        .expect("noted");
    }

    /// Hands over what is due; says how many messages that were.
    pub(super) fn hand_over(&mut self, hub: &mut Hub) -> usize {
        let place = self.place;
        let due = self
            .at(hub.time(), |vault, moment| {
                vault.submissions(place, 100, moment)
            })
            .expect("messages");
        let who = self.who.clone();
        let replies: Vec<_> = due.iter().map(|out| hub.submit(&who, &out.frame)).collect();
        self.place = due.last().map_or(place, |out| out.place);
        self.at(hub.time(), |vault, moment| {
            vault.submit_replies(&replies, moment)
        })
        .expect("noted");
        due.len()
    }

    /// Reads queue and logs to their ends.
    pub(super) fn sync(&mut self, hub: &mut Hub) {
        let queue = hub
            .queues
            .get(&self.who.device)
            .cloned()
            .unwrap_or_default();
        for (index, item) in queue.iter().enumerate().skip(self.queue_read) {
            let number = index as u64 + 1;
            self.at(hub.time(), |vault, moment| {
                vault.read_queued(number, moment.now, item, moment)
            })
            .expect("read");
        }
        self.queue_read = queue.len();
        let rooms: Vec<RoomId> = hub.rooms.keys().copied().collect();
        for room in rooms {
            self.read(&room, hub);
        }
    }

    pub(super) fn read(&mut self, room: &RoomId, hub: &Hub) -> PageOutcome {
        let cursors = self.vault.cursors().expect("cursors");
        let cursor = cursors.rooms.iter().find(|(id, _)| id == room);
        let after = cursor.map_or(0, |(_, seq)| seq.0);
        let entries = hub.entries(room, self.who.device, after);
        let outcome = self
            .at(hub.time(), |vault, moment| {
                vault.read_entries(room, &hub_did(), &entries, moment)
            })
            .expect("read");
        let delivered = hub.rooms[room].head().seq;
        self.at(hub.time(), |vault, moment| {
            vault.delivered(room, delivered, moment)
        })
        .expect("noted");
        outcome
    }

    pub(super) fn texts(&mut self, room: &RoomId) -> Vec<String> {
        let history = self.vault.history(room, 100, None).expect("history");
        history.iter().filter_map(text).collect()
    }

    pub(super) fn state(&mut self, room: &RoomId) -> RoomState {
        self.vault.room(room).expect("a room").state
    }

    pub(super) fn message_state(&mut self, room: &RoomId, id: &MessageId) -> MessageState {
        self.vault.message(room, id).expect("a message").state
    }

    pub(super) fn members(&mut self, room: &RoomId) -> Vec<String> {
        let members = self.vault.members(room).expect("members");
        members.iter().map(|m| m.handle.to_string()).collect()
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        let events = self.vault.events_after(0, 1000).expect("events");
        events.into_iter().map(|record| record.event).collect()
    }

    pub(super) fn problems(&mut self) -> Vec<Problem> {
        self.events()
            .into_iter()
            .filter_map(|event| match event {
                Event::Problem(problem) => Some(problem),
                _ => None,
            })
            .collect()
    }
}

/// Lets every device do what it has to, until all is quiet.
pub(super) fn settle(hub: &mut Hub, phones: &mut [&mut Phone]) {
    for _ in 0..3 {
        hub.now += 30_000;
        for phone in phones.iter_mut() {
            phone.turn(hub);
        }
    }
}

fn open(path: &Path) -> Vault {
    let mut rng = StdRng::seed_from_u64(5);
    let (folder, key) =
        ProfileFolder::open_or_create(path, &Unlock::KeyFile, &mut rng).expect("a profile");
    Vault::open(&folder, &key).expect("a vault")
}

fn text(message: &Message) -> Option<String> {
    match message.meaning() {
        Meaning::Text(text) => Some(text),
        _ => None,
    }
}

pub(super) fn refused(code: FaultCode) -> Result<ClientResponse, Fault> {
    Err(Fault::new(code, code.meaning()))
}

pub(super) fn seq_of(state: MessageState) -> Option<Seq> {
    state.position().map(|at| at.seq)
}
