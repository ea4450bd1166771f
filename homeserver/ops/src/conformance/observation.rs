//! Everything that can be read about the rows of the sample, as one value to compare.

use std::fmt;

use entente_groups::{Epoch, RoomId, Suite};
use entente_homeserver_core::rows::{
    AccountRow, ClaimRow, DeviceRow, EpochRow, EquivocationRow, KeyPackageRow, LinkRow, LogEnd,
    MemberRow, NodeRow, ParkedRow, PeerRow, PendingRow, PinRow, QueuedRow, RetentionRow, RoomRow,
};
use entente_identity::{ServerDid, UnixMillis};
use entente_protocol::call::Ordered;
use entente_protocol::entry::{Entry, Seq};
use entente_protocol::equivocation::ShownHead;

use super::sample::{account, device, local, message, node, reference, room, server};
use crate::store::{Page, Read, StoreFault};
use crate::wanted::{Found, Wanted};

/// How many accounts, devices of each, rooms and servers there are.
pub(super) const FEW: u8 = 3;
/// How many messages, KeyPackages, positions and numbers there are.
pub(super) const MANY: u8 = 12;

/// Pages of every kind: unbounded, few items, few bytes, nothing.
const PAGES: [Page; 4] = [
    super::ALL,
    Page {
        items: 2,
        bytes: usize::MAX,
    },
    Page {
        items: usize::MAX,
        bytes: 300,
    },
    Page { items: 0, bytes: 0 },
];

/// What a store answers to every question about the sample.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    accounts: Vec<Option<AccountRow>>,
    devices: Vec<Vec<DeviceRow>>,
    key_packages: Vec<Option<KeyPackageRow>>,
    stocks: Vec<u32>,
    claims: Vec<Option<ClaimRow>>,
    rooms: Vec<Option<RoomRow>>,
    members: Vec<Option<MemberRow>>,
    rosters: Vec<Vec<MemberRow>>,
    groups: Vec<Vec<(Vec<u8>, Vec<u8>)>>,
    epochs: Vec<Option<EpochRow>>,
    logs: Vec<Vec<Entry>>,
    ordered: Vec<Option<Ordered>>,
    origins: Vec<Vec<ServerDid>>,
    attested: Vec<Option<ShownHead>>,
    peers: Vec<PeerRow>,
    nodes: Vec<NodeRow>,
    links: Vec<LinkRow>,
    ends: Vec<LogEnd>,
    queue_ends: Vec<DeviceRow>,
    pins: Vec<Option<PinRow>>,
    equivocations: Vec<Option<EquivocationRow>>,
    outboxes: Vec<Vec<(u64, Vec<u8>)>>,
    debts: Vec<Vec<RoomId>>,
    oldest: Vec<Option<Seq>>,
    pending: Vec<Option<PendingRow>>,
    waiting: Vec<u32>,
    queues: Vec<Vec<QueuedRow>>,
    invitations: Vec<Vec<(ServerDid, u32)>>,
    parked: Vec<Vec<ParkedRow>>,
    parked_counts: Vec<u64>,
    retention: Vec<Option<RetentionRow>>,
    room_pages: Vec<Vec<RoomId>>,
    together: Vec<Found>,
}

macro_rules! same {
    ($left:ident, $right:ident, $($field:ident),+ $(,)?) => {
        $(same(stringify!($field), &$left.$field, &$right.$field);)+
    };
}

impl Observation {
    /// Compares both, and shows the first answer that differs.
    ///
    /// # Panics
    /// When an answer differs.
    pub fn assert_same(&self, other: &Self) {
        same!(
            self,
            other,
            accounts,
            devices,
            key_packages,
            stocks,
            claims,
            rooms,
            members,
            rosters,
            groups,
            epochs,
            logs,
            ordered,
            origins,
            attested,
            peers,
            nodes,
            links,
            ends,
            queue_ends,
            pins,
            equivocations,
            outboxes,
            debts,
            oldest,
            pending,
            waiting,
            queues,
            invitations,
            parked,
            parked_counts,
            retention,
            room_pages,
            together,
        );
        assert!(
            self == other,
            "an answer differs that is not compared alone"
        );
    }
}

fn same<T: PartialEq + fmt::Debug>(about: &str, left: &[T], right: &[T]) {
    assert_eq!(left.len(), right.len(), "number of answers about {about}");
    for (index, (left, right)) in left.iter().zip(right).enumerate() {
        assert_eq!(left, right, "answer {index} about {about}");
    }
}

/// Reads everything.
///
/// # Panics
/// When a read fails.
pub async fn observe(read: &mut dyn Read) -> Observation {
    try_observe(read).await.expect("every read is answered")
}

async fn try_observe(read: &mut dyn Read) -> Result<Observation, StoreFault> {
    let mut seen = Observation::default();
    accounts(read, &mut seen).await?;
    key_packages(read, &mut seen).await?;
    rooms(read, &mut seen).await?;
    logs(read, &mut seen).await?;
    outboxes(read, &mut seen).await?;
    queues(read, &mut seen).await?;
    nodes(read, &mut seen).await?;
    seen.together = vec![read.together(&everything_together()).await?];
    Ok(seen)
}

/// Everything of the sample that can be read together.
pub(super) fn everything_together() -> Wanted {
    let mut wanted = Wanted::default();
    for n in 0..FEW {
        wanted.rooms.insert(room(n));
        for a in 0..FEW {
            let devices = (0..FEW).map(|d| (room(n), account(a), device(d)));
            wanted.members.extend(devices);
            let messages = (0..MANY).map(|m| (room(n), server(a), message(m)));
            wanted.messages.extend(messages);
        }
        let waiting = (0..MANY).map(|m| (room(n), message(m)));
        wanted.pending.extend(waiting);
    }
    wanted
}

async fn accounts(read: &mut dyn Read, seen: &mut Observation) -> Result<(), StoreFault> {
    for n in 0..FEW {
        seen.accounts.push(read.account(&account(n)).await?);
        seen.accounts.push(read.account_named(&local(n)).await?);
        seen.devices.push(read.devices(&account(n)).await?);
        seen.waiting.push(read.pending_count(&account(n)).await?);
    }
    Ok(())
}

async fn key_packages(read: &mut dyn Read, seen: &mut Observation) -> Result<(), StoreFault> {
    for n in 0..MANY {
        seen.key_packages
            .push(read.key_package(&reference(n)).await?);
    }
    for n in 0..FEW {
        for d in 0..FEW {
            let stock = read.key_package_count(&account(n), &device(d)).await?;
            seen.stocks.push(stock);
        }
        for suite in Suite::ALL {
            for now in [0, 3, 6].map(UnixMillis) {
                let row = read.claimable(&account(n), suite, now).await?;
                seen.key_packages.push(row);
            }
        }
        for r in 0..MANY {
            seen.claims.push(read.claim(&room(n), &reference(r)).await?);
        }
    }
    Ok(())
}

async fn rooms(read: &mut dyn Read, seen: &mut Observation) -> Result<(), StoreFault> {
    for n in 0..FEW {
        let id = room(n);
        seen.rooms.push(read.room(&id).await?);
        seen.rosters.push(read.members(&id).await?);
        for home in 0..FEW {
            seen.rosters
                .push(read.member_times(&id, &server(home)).await?);
        }
        seen.groups.push(read.group(&id).await?);
        seen.oldest.push(read.oldest_owed(&id).await?);
        for a in 0..FEW {
            for d in 0..FEW {
                let member = read.member(&id, &account(a), &device(d)).await?;
                seen.members.push(member);
            }
            let times = read.memberships(&account(n), &device(a)).await?;
            seen.rosters.push(times);
        }
        for m in 0..MANY {
            seen.pending.push(read.pending(&id, &message(m)).await?);
            let epoch = read.epoch(&id, Epoch(u64::from(m))).await?;
            seen.epochs.push(epoch);
        }
    }
    Ok(())
}

async fn logs(read: &mut dyn Read, seen: &mut Observation) -> Result<(), StoreFault> {
    for n in 0..FEW {
        let id = room(n);
        seen.retention.push(read.retention(&id).await?);
        for (after, limit) in [(None, 2), (Some(&id), usize::MAX), (Some(&id), 0)] {
            seen.room_pages.push(read.rooms_after(after, limit).await?);
        }
        seen.attested.push(read.last_attested(&id).await?);
        for page in PAGES {
            for (after, until) in [(0, u64::MAX), (0, 5), (3, 8), (4, 4), (6, 2)] {
                let entries = read.entries(&id, Seq(after), Seq(until), page).await?;
                seen.logs.push(entries);
                let origins = read.origins(&id, Seq(after), Seq(until)).await?;
                seen.origins.push(origins);
            }
        }
        for s in 0..FEW {
            for m in 0..MANY {
                let place = read.ordered(&id, &server(s), &message(m)).await?;
                seen.ordered.push(place);
            }
        }
    }
    Ok(())
}

async fn outboxes(read: &mut dyn Read, seen: &mut Observation) -> Result<(), StoreFault> {
    seen.peers = read.peers().await?;
    for n in 0..FEW {
        seen.peers.extend(read.peer(&server(n)).await?);
        seen.pins.push(read.pin(&server(n)).await?);
        seen.equivocations.push(read.equivocation(&room(n)).await?);
        for page in PAGES {
            for after in [0, 4, u64::MAX] {
                seen.outboxes
                    .push(read.owed(&server(n), after, page).await?);
            }
        }
        for up_to in [0, 4, u64::MAX] {
            seen.debts.push(read.owed_rooms(&server(n), up_to).await?);
        }
    }
    Ok(())
}

async fn nodes(read: &mut dyn Read, seen: &mut Observation) -> Result<(), StoreFault> {
    seen.nodes = read.nodes().await?;
    let (mut rooms, mut devices) = (Vec::new(), Vec::new());
    for n in 0..FEW {
        rooms.push(room(n));
        devices.extend((0..FEW).map(|d| (account(n), device(d))));
        seen.nodes.extend(read.node(&node(n)).await?);
        seen.links.extend(read.link(&server(n)).await?);
        let (after, limit) = (server(n), usize::from(n));
        let (some, all) = ((Some(&after), limit), (None, usize::MAX));
        for (after, limit) in [some, all] {
            seen.peers.extend(read.peers_after(after, limit).await?);
            seen.links.extend(read.links_after(after, limit).await?);
        }
    }
    seen.ends = read.log_ends(&rooms).await?;
    seen.queue_ends = read.queue_ends(&devices).await?;
    Ok(())
}

async fn queues(read: &mut dyn Read, seen: &mut Observation) -> Result<(), StoreFault> {
    for page in PAGES {
        for n in 0..FEW {
            for d in 0..FEW {
                for after in [0, 4, u64::MAX] {
                    let queue = read.queued(&account(n), &device(d), after, page).await?;
                    seen.queues.push(queue);
                }
            }
        }
        seen.parked.push(read.parked(page).await?);
    }
    for n in 0..FEW {
        seen.parked_counts
            .push(read.parked_count(&server(n)).await?);
        for d in 0..FEW {
            seen.invitations
                .push(read.waiting_invites(&account(n), &device(d)).await?);
        }
    }
    Ok(())
}
