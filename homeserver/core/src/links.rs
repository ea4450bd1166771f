//! Which node of this server drives the link to a peer.
//!
//! Nodes share a database, and nothing else. Each node beats: it raises a number in its row. A node whose
//! number has not moved for [`SILENCE`], by the clock of whoever looks, is buried: its row is deleted, if
//! the number is still the one that was seen. No two clocks are compared, so that a clock that is wrong by
//! minutes does no harm. A link belongs to the node that took it for as long as that node has a row; then
//! any other one may take it, which raises its fence and begins a new stream epoch in one transaction.
//!
//! Invariants: a [`Tenure`] that is not the link's any more writes nothing about the stream
//! ([`holds`]); the peer refuses what comes under an older stream epoch. So it does not matter how late a
//! node notices that it was buried.

use std::collections::BTreeMap;
use std::time::Duration;

use entente_identity::ServerDid;

use crate::acknowledge::begin_epoch;
use crate::change::{Change, Decision};
use crate::rows::{LinkRow, NodeId, NodeRow, PeerRow};

/// How often a node beats.
pub const BEAT_EVERY: Duration = Duration::from_secs(1);
/// How long a node may be silent until the others bury it, and how long after its last beat it goes on
/// driving links itself.
pub const SILENCE: Duration = Duration::from_secs(3);

/// A node's hold on a link, from the moment it took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// The node.
    pub holder: NodeId,
    /// The link's fence since then.
    pub fence: u64,
}

/// What taking a link gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The hold.
    pub tenure: Tenure,
    /// The peer, with the stream epoch that begins.
    pub peer: PeerRow,
    /// The stream epoch before it.
    pub epoch_before: u64,
}

/// Whether a tenure is still the link's.
#[must_use]
pub fn holds(link: Option<&LinkRow>, tenure: Tenure) -> bool {
    link.is_some_and(|link| (link.holder, link.fence) == (tenure.holder, tenure.fence))
}

/// Whether a node may take a link: nobody has it, the node itself does, or a node that was buried.
/// `holder_lives` says whether the link's holder has a row.
#[must_use]
pub fn may_take(link: Option<&LinkRow>, node: NodeId, holder_lives: bool) -> bool {
    link.is_none_or(|link| link.holder == node || !holder_lives)
}

/// A node takes a link that it may take. The stream goes on in an epoch above the one before, so that
/// the peer tells what the holder before it may still send.
#[must_use]
pub fn take(
    link: Option<&LinkRow>,
    peer: &PeerRow,
    node: NodeId,
    stream_epoch: u64,
) -> Decision<Taken> {
    let fence = link.map_or(0, |link| link.fence) + 1;
    let above = stream_epoch.max(peer.stream_epoch.saturating_add(1));
    let mut decision = begin_epoch(peer, above);
    decision.changes.push(Change::PutLink(LinkRow {
        peer: peer.server.clone(),
        holder: node,
        fence,
    }));
    let epoch_before = peer.stream_epoch;
    decision.map(|peer| Taken {
        epoch_before,
        tenure: Tenure {
            holder: node,
            fence,
        },
        peer,
    })
}

/// How long each of the other nodes has been seen not to beat, by the clock of whoever looks.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    seen: BTreeMap<NodeId, (u64, Duration)>,
    looked: Option<Duration>,
}

impl Watch {
    /// Looks at all nodes' rows; gives those that have been silent for too long. `now` is the time since
    /// any fixed moment, and `beaten` when the own last beat that is on disk was handed in. Of the time
    /// between two looks no more counts than a beat takes: who could not look, as the database did not
    /// answer, knows of no silence, since nobody could beat then either. And no more counts than a beat
    /// takes since the own last one: while the database answers and takes nothing, nobody can beat.
    #[must_use]
    pub fn look(
        &mut self,
        (me, beaten): (NodeId, Duration),
        nodes: &[NodeRow],
        now: Duration,
    ) -> Vec<NodeRow> {
        let now = now.min(beaten + BEAT_EVERY);
        let passed = self
            .looked
            .map_or(Duration::ZERO, |looked| now.saturating_sub(looked));
        let passed = passed.min(BEAT_EVERY);
        self.looked = self.looked.max(Some(now));
        let before = std::mem::take(&mut self.seen);
        let mut silent = Vec::new();
        for row in nodes.iter().filter(|row| row.node != me) {
            let known = before.get(&row.node).filter(|(beat, _)| *beat == row.beat);
            let silence = known.map_or(Duration::ZERO, |(_, silence)| *silence + passed);
            self.seen.insert(row.node, (row.beat, silence));
            if silence >= SILENCE {
                silent.push(row.clone());
            }
        }
        silent
    }
}

/// Which nodes live on these rows, as far as one has seen them beat.
///
/// A node's row alone says nothing: it may be of a backup, with whatever else is there, and then a peer
/// knows numbers that will be given out again. Who beats writes, so that its rows are of now.
#[derive(Clone, Debug, Default)]
pub struct Living {
    seen: BTreeMap<NodeId, Beats>,
}

/// The first and the last beat that were seen of a node.
#[derive(Clone, Copy, Debug)]
struct Beats {
    first: u64,
    last: u64,
}

impl Living {
    /// Looks at all nodes' rows. A node whose number falls was put back with all the rows: it begins anew.
    pub fn look(&mut self, nodes: &[NodeRow]) {
        let before = std::mem::take(&mut self.seen);
        for row in nodes {
            let known = before.get(&row.node);
            let first = known.map_or(row.beat, |beats| match row.beat < beats.last {
                true => row.beat,
                false => beats.first,
            });
            let last = row.beat;
            self.seen.insert(row.node, Beats { first, last });
        }
    }

    /// Whether a node whose row is now this one has been seen to beat.
    #[must_use]
    pub fn vouches_for(&self, row: &NodeRow) -> bool {
        let beats = self.seen.get(&row.node);
        beats.is_some_and(|beats| beats.last > beats.first && row.beat >= beats.last)
    }
}

/// Whether a node may go on driving its links, when the last beat that is on disk was handed in at
/// `beaten`. It stops before anybody can have seen it silent for long enough.
#[must_use]
pub fn may_drive(beaten: Duration, now: Duration) -> bool {
    now.saturating_sub(beaten) < SILENCE
}

/// Names the peers whose links a node holds.
#[must_use]
pub fn held_by(links: &[LinkRow], node: NodeId) -> Vec<ServerDid> {
    let held = links.iter().filter(|link| link.holder == node);
    held.map(|link| link.peer.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId([1; 16]);
    const B: NodeId = NodeId([2; 16]);

    fn peer() -> PeerRow {
        PeerRow {
            stream_epoch: 40,
            ..PeerRow::new("did:web:org-b.example".parse().expect("a DID"))
        }
    }

    fn link(holder: NodeId, fence: u64) -> LinkRow {
        LinkRow {
            peer: peer().server,
            holder,
            fence,
        }
    }

    fn node(node: NodeId, beat: u64) -> NodeRow {
        NodeRow {
            node,
            name: "n".to_owned(),
            beat,
        }
    }

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_link_is_taken_from_nobody_but_the_buried() {
        assert!(may_take(None, A, false));
        assert!(may_take(Some(&link(A, 3)), A, true));
        assert!(may_take(Some(&link(B, 3)), A, false));
        assert!(!may_take(Some(&link(B, 3)), A, true));
    }

    #[test]
    fn taking_raises_fence_and_epoch_and_ends_the_tenure_before() {
        let first = take(None, &peer(), A, 7).reply;
        assert_eq!((first.tenure.fence, first.peer.stream_epoch), (1, 41));
        let before = link(A, 1);
        assert!(holds(Some(&before), first.tenure));
        let second = take(Some(&before), &first.peer, B, 9_000).reply;
        assert_eq!((second.tenure.fence, second.peer.stream_epoch), (2, 9_000));
        let after = link(B, 2);
        assert!(holds(Some(&after), second.tenure));
        assert!(!holds(Some(&after), first.tenure));
        // Also when it comes back to the same node.
        let third = take(Some(&after), &second.peer, A, 0).reply;
        assert_eq!(third.peer.stream_epoch, 9_001);
        assert!(!holds(Some(&link(A, 3)), first.tenure));
        assert!(!holds(None, first.tenure));
    }

    /// Looks five times a second from one time to another, and gives when the node was found silent.
    fn silent_at(watch: &mut Watch, beat: u64, (from, to): (f64, f64)) -> Option<f64> {
        let mut now = from;
        while now < to {
            if !watch
                .look(
                    (A, seconds(now)),
                    &[node(A, 0), node(B, beat)],
                    seconds(now),
                )
                .is_empty()
            {
                return Some(now);
            }
            now += 0.2;
        }
        None
    }

    #[test]
    fn a_node_is_silent_after_three_seconds_without_a_beat() {
        let mut watch = Watch::default();
        assert_eq!(silent_at(&mut watch, 5, (10.0, 12.9)), None);
        assert_eq!(silent_at(&mut watch, 6, (13.0, 15.9)), None);
        let at = silent_at(&mut watch, 6, (16.0, 20.0)).expect("silent");
        assert!((15.9..16.3).contains(&at), "{at}");
        // It beats again, or is gone and comes back: it has all of its time.
        assert_eq!(silent_at(&mut watch, 7, (16.4, 19.3)), None);
        let now = seconds(19.4);
        assert_eq!(watch.look((A, now), &[], now), []);
        assert_eq!(silent_at(&mut watch, 7, (19.6, 22.5)), None);
    }

    #[test]
    fn who_could_not_look_for_long_buries_nobody_at_once() {
        let mut watch = Watch::default();
        let rows = [node(B, 5)];
        let mut look = |now| watch.look((A, seconds(now)), &rows, seconds(now));
        assert_eq!(look(1.0), []);
        assert_eq!(look(61.0), []);
        assert_eq!(look(121.0), []);
        assert_eq!(look(181.0), rows);
    }

    /// Looks five times a second while the database answers and takes nothing.
    #[test]
    fn while_the_own_beats_hang_nobody_is_buried() {
        let mut watch = Watch::default();
        let rows = [node(A, 3), node(B, 5)];
        let beaten = seconds(10.0);
        for fifth in 0..600 {
            let now = beaten + Duration::from_millis(200 * fifth);
            assert_eq!(watch.look((A, beaten), &rows, now), [], "{now:?}");
        }
        // The own beats go on, and the other's do not: what hung counts as one beat.
        assert_eq!(watch.look((A, seconds(130.0)), &rows, seconds(130.0)), []);
        assert_eq!(watch.look((A, seconds(130.9)), &rows, seconds(130.9)), []);
        let silent = watch.look((A, seconds(131.0)), &rows, seconds(131.0));
        assert_eq!(silent, [node(B, 5)]);
    }

    #[test]
    fn a_node_lives_once_it_was_seen_to_beat_and_not_on_the_rows_of_a_backup() {
        let mut living = Living::default();
        let check = |living: &Living, beat, lives| {
            assert_eq!(living.vouches_for(&node(B, beat)), lives, "{beat}");
        };
        check(&living, 7, false);
        for _ in 0..9 {
            living.look(&[node(B, 7)]);
            check(&living, 7, false);
        }
        // It may have beaten since, and may also have been put back.
        check(&living, 8, false);
        living.look(&[node(B, 8)]);
        check(&living, 8, true);
        check(&living, 9, true);
        // The rows are put back below whoever looks.
        check(&living, 7, false);
        living.look(&[node(B, 7)]);
        check(&living, 7, false);
        living.look(&[node(B, 8)]);
        check(&living, 8, true);
        living.look(&[node(A, 1)]);
        check(&living, 8, false);
    }

    /// The others see a beat only after it is on disk, so a node stops before it can be buried.
    #[test]
    fn a_node_stops_driving_before_the_others_may_bury_it() {
        let (handed_in, seen) = (seconds(1.0), seconds(1.2));
        let mut watch = Watch::default();
        assert_eq!(watch.look((A, seen), &[node(B, 5)], seen), []);
        for tenth in 12..60 {
            let now = Duration::from_millis(tenth * 100);
            let silent = !watch.look((A, now), &[node(B, 5)], now).is_empty();
            assert!(!(silent && may_drive(handed_in, now)), "at {now:?}");
        }
    }
}
