//! Who is woken by what: hints from the writer to flows and workers.
//!
//! A wake says *look again* and carries nothing that is not a row. Sets and not queues: a thing that
//! is woken a thousand times before it looks is woken once, so memory is bounded by what exists.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use entente_groups::RoomId;
use entente_homeserver_core::Effect;
use entente_identity::{AccountDid, DeviceId, ServerDid};
use tokio::sync::Notify;

use crate::nodes::Interests;

/// A device.
pub type DeviceKey = (AccountDid, DeviceId);

/// Things to look at again, each once however often it was woken.
#[derive(Debug)]
pub struct WakeSet<T> {
    waiting: Mutex<HashSet<T>>,
    grown: Notify,
}

/// What a sync flow has to look at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wake {
    /// A room's log or watermark.
    Room(RoomId),
    /// The device's queue and the list of its rooms.
    Device,
}

/// The registry of everything that can be woken.
#[derive(Debug, Default)]
pub struct Wakes {
    flows: Mutex<Flows>,
    next_flow: AtomicU64,
    /// Peers to which more is owed.
    pub peers: WakeSet<ServerDid>,
    /// Rooms of which entries are missing here.
    pub repairs: WakeSet<RoomId>,
    /// Rooms whose logs grew since their heads were compared with others.
    pub heads: WakeSet<RoomId>,
}

type Signal = Arc<WakeSet<Wake>>;

#[derive(Debug, Default)]
struct Flows {
    rooms: HashMap<RoomId, HashMap<u64, Signal>>,
    devices: HashMap<DeviceKey, HashMap<u64, Signal>>,
}

/// A flow's place in the registry, until it is dropped.
#[derive(Debug)]
pub struct Subscription {
    wakes: Arc<Wakes>,
    flow: u64,
    device: DeviceKey,
    rooms: HashSet<RoomId>,
    signal: Signal,
}

impl<T> Default for WakeSet<T> {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            grown: Notify::new(),
        }
    }
}

impl<T: Eq + Hash> WakeSet<T> {
    /// Adds something to look at.
    pub fn insert(&self, item: T) {
        if lock(&self.waiting).insert(item) {
            self.grown.notify_one();
        }
    }

    /// Takes what there is to look at now, if anything.
    pub fn take_now(&self) -> Option<HashSet<T>> {
        let taken = mem::take(&mut *lock(&self.waiting));
        (!taken.is_empty()).then_some(taken)
    }

    /// Waits for something to look at and takes all of it. For one taker at a time; cancelling loses
    /// nothing.
    pub async fn take(&self) -> HashSet<T> {
        loop {
            let taken = mem::take(&mut *lock(&self.waiting));
            if !taken.is_empty() {
                return taken;
            }
            self.grown.notified().await;
        }
    }
}

impl Wakes {
    /// Registers a flow of a device.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, device: DeviceKey) -> Subscription {
        let flow = self.next_flow.fetch_add(1, Ordering::Relaxed);
        let signal = Signal::default();
        let mut flows = lock(&self.flows);
        let of_device = flows.devices.entry(device).or_default();
        of_device.insert(flow, Arc::clone(&signal));
        drop(flows);
        Subscription {
            wakes: Arc::clone(self),
            flow,
            device,
            rooms: HashSet::new(),
            signal,
        }
    }

    /// Passes on what a commit says.
    pub fn perform(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::WakeRoom(room) => {
                    self.wake_room(room);
                    self.heads.insert(room);
                }
                Effect::WakeDevice(account, device) => self.wake_device((account, device)),
                Effect::WakePeer(server) => self.peers.insert(server),
                Effect::RepairRoom(room) => self.repairs.insert(room),
            }
        }
    }

    /// What flows wait for now.
    #[must_use]
    pub fn interests(&self) -> Interests {
        let flows = lock(&self.flows);
        Interests {
            rooms: flows.rooms.keys().copied().collect(),
            devices: flows.devices.keys().copied().collect(),
        }
    }

    /// Wakes the flows that follow a room.
    pub fn wake_room(&self, room: RoomId) {
        let flows = lock(&self.flows);
        for signal in flows.rooms.get(&room).into_iter().flat_map(HashMap::values) {
            signal.insert(Wake::Room(room));
        }
    }

    /// Wakes the flows of a device.
    pub fn wake_device(&self, device: DeviceKey) {
        let flows = lock(&self.flows);
        let signals = flows.devices.get(&device).into_iter();
        for signal in signals.flat_map(HashMap::values) {
            signal.insert(Wake::Device);
        }
    }
}

impl Subscription {
    /// Wakes this flow for a room too.
    pub fn add_room(&mut self, room: RoomId) {
        if self.rooms.insert(room) {
            let mut flows = lock(&self.wakes.flows);
            let of_room = flows.rooms.entry(room).or_default();
            of_room.insert(self.flow, Arc::clone(&self.signal));
        }
    }

    /// Wakes this flow for a room no more.
    pub fn remove_room(&mut self, room: RoomId) {
        if self.rooms.remove(&room) {
            remove(&mut lock(&self.wakes.flows).rooms, room, self.flow);
        }
    }

    /// Waits for something to look at and takes all of it. Cancelling loses nothing.
    pub async fn take(&self) -> HashSet<Wake> {
        self.signal.take().await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut flows = lock(&self.wakes.flows);
        remove(&mut flows.devices, self.device, self.flow);
        for room in &self.rooms {
            remove(&mut flows.rooms, *room, self.flow);
        }
    }
}

fn remove<K: Eq + Hash>(registry: &mut HashMap<K, HashMap<u64, Signal>>, key: K, flow: u64) {
    if let Some(flows) = registry.get_mut(&key) {
        flows.remove(&flow);
        if flows.is_empty() {
            registry.remove(&key);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder of a registry's lock panics")
}

#[cfg(test)]
mod tests {
    use entente_identity::SigningKey;

    use super::*;

    fn device(seed: u8) -> DeviceKey {
        let account = AccountDid::new(SigningKey::from_seed(&[seed; 32]).public());
        (account, DeviceId([seed; 16]))
    }

    #[tokio::test]
    async fn many_wakes_of_one_thing_are_one() {
        let wakes = Arc::new(Wakes::default());
        let mut flow = wakes.subscribe(device(1));
        let (first, second) = (RoomId([1; 32]), RoomId([2; 32]));
        flow.add_room(first);
        for _ in 0..1000 {
            wakes.perform(vec![Effect::WakeRoom(first), Effect::WakeRoom(second)]);
        }
        wakes.perform(vec![Effect::WakeDevice(device(1).0, device(1).1)]);
        wakes.perform(vec![Effect::WakeDevice(device(2).0, device(2).1)]);
        let taken = flow.take().await;
        assert_eq!(taken, HashSet::from([Wake::Room(first), Wake::Device]));
    }

    #[tokio::test]
    async fn a_wake_between_two_looks_is_not_lost() {
        let set = Arc::new(WakeSet::default());
        let waiting = tokio::spawn({
            let set = Arc::clone(&set);
            async move { set.take().await }
        });
        tokio::task::yield_now().await;
        set.insert(7);
        assert_eq!(waiting.await.expect("taken"), HashSet::from([7]));
        set.insert(8);
        assert_eq!(set.take().await, HashSet::from([8]));
    }

    #[test]
    fn a_flow_that_is_gone_leaves_nothing_behind() {
        let wakes = Arc::new(Wakes::default());
        let mut flow = wakes.subscribe(device(1));
        flow.add_room(RoomId([1; 32]));
        flow.add_room(RoomId([2; 32]));
        flow.remove_room(RoomId([2; 32]));
        drop(flow);
        let flows = lock(&wakes.flows);
        assert!(flows.rooms.is_empty() && flows.devices.is_empty());
    }
}
