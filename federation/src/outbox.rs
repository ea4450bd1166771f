//! The sender's side of a relay stream: what is owed to one peer.
//!
//! Rows are the truth; this machine only remembers how far the stream has got. Feed it `handle_*`,
//! then drain [`Outbox::poll_action`] until it returns `None`, do each action, and call
//! [`Outbox::handle_timeout`] when [`Outbox::poll_timeout`] is due. Losing the machine loses nothing:
//! a new one begins with what the rows say and what the peer answers to the greeting.
//!
//! Numbers: `acked ≤ sent ≤ last`. Rows up to `acked` are forgotten, rows up to `sent` are in flight
//! on this connection, rows up to `last` are owed.
//!
//! Epochs: a sender that was restored from a backup may give a number out twice. So a stream epoch
//! lasts no longer than the machine: each is made with a new, higher one, and
//! says after which number it begins. What the peer had already got is then sent once more at worst,
//! and every item's effect is idempotent.

use std::collections::VecDeque;

use entente_identity::UnixMillis;
use entente_protocol::limits::MAX_BATCH_ITEMS;
use entente_protocol::relay::RelayReply;

use crate::backoff::{Backoff, Urgency};

/// Most batches on their way at once: memory per peer stays constant.
const MAX_IN_FLIGHT: usize = 8;
/// A link on which nothing is owed and nothing was said for this long is closed.
const IDLE_CLOSE_MS: u64 = 120_000;

/// What the machine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect and greet; answer with [`Outbox::handle_greeted`] or [`Outbox::handle_lost`].
    Dial,
    /// Load owed rows after this number, sign and send them as one batch, and answer with
    /// [`Outbox::handle_sent`].
    Send {
        /// The number before the first row.
        after: u64,
        /// Most rows.
        limit: usize,
    },
    /// The peer owns these: delete the rows up to here.
    Forget {
        /// The last number that the peer owns.
        up_to: u64,
    },
    /// Make this epoch durable and answer with [`Outbox::handle_epoch`].
    BeginEpoch {
        /// The new stream epoch, higher than any the peer has seen.
        stream_epoch: u64,
    },
    /// Close the connection; nothing is owed.
    Close,
}

/// How the link is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Link {
    /// No connection; `at` is when to dial, if anything is owed by then.
    Down { at: UnixMillis },
    /// Dialling, answered by `handle_greeted` or `handle_lost`.
    Dialling,
    /// Greeted.
    Up(Up),
    /// Waiting for [`Outbox::handle_epoch`].
    Beginning,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Up {
    sent: u64,
    sending: bool,
    in_flight: VecDeque<u64>,
    used: UnixMillis,
    paused_until: UnixMillis,
}

/// The machine; one per peer.
#[derive(Clone, Debug)]
pub struct Outbox {
    stream_epoch: u64,
    acked: u64,
    last: u64,
    link: Link,
    backoff: Backoff,
    actions: VecDeque<Action>,
}

impl Outbox {
    /// Begins with what the rows say: a stream epoch that is durable already and that the peer has not been
    /// greeted with, the last number that the peer is known to own, and the last number given out.
    #[must_use]
    pub fn begun(stream_epoch: u64, acked: u64, last: u64, now: UnixMillis) -> Self {
        Self {
            stream_epoch,
            acked,
            last,
            link: Link::Down { at: now },
            backoff: Backoff::default(),
            actions: VecDeque::new(),
        }
    }

    /// How many items are owed.
    #[must_use]
    pub fn owed(&self) -> u64 {
        self.last - self.acked
    }

    /// The stream's epoch, for the greeting.
    #[must_use]
    pub fn stream_epoch(&self) -> u64 {
        self.stream_epoch
    }

    /// The number after which this epoch's items begin, for the greeting.
    #[must_use]
    pub fn begins_after(&self) -> u64 {
        self.acked
    }

    /// Whether the link is greeted.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.link, Link::Up(_))
    }

    /// Since when dialling has failed, if it has.
    #[must_use]
    pub fn failing_since(&self) -> Option<UnixMillis> {
        self.backoff.failing_since()
    }

    /// The peer is known to own rows up to here, though not from its answer to this epoch's greeting. A
    /// number that was not given out says nothing: the rows may be those of a backup.
    pub fn handle_owned(&mut self, up_to: u64) {
        if up_to <= self.last {
            self.acknowledge(up_to);
        }
    }

    /// Rows up to `last` exist.
    pub fn handle_owed(&mut self, last: u64, now: UnixMillis) {
        self.last = self.last.max(last);
        self.advance(now);
    }

    /// A connection is wanted, for a call or because the peer has just shown that it is there.
    pub fn handle_poke(&mut self, now: UnixMillis) {
        self.backoff.reset();
        match &mut self.link {
            Link::Down { .. } => self.dial(),
            Link::Up(up) => up.used = now,
            Link::Dialling | Link::Beginning => {}
        }
    }

    /// The peer answered the greeting with what it knows of our stream. If that does not fit, because
    /// it has seen a higher epoch or was itself restored from a backup, a new epoch begins.
    pub fn handle_greeted(&mut self, stream_epoch: u64, last_in: u64, now: UnixMillis) {
        self.backoff.reset();
        let unknown = stream_epoch != self.stream_epoch;
        if unknown || last_in < self.acked || last_in > self.last {
            return self.begin_epoch(stream_epoch);
        }
        self.link = Link::Up(Up {
            sent: last_in,
            sending: false,
            in_flight: VecDeque::new(),
            used: now,
            paused_until: UnixMillis(0),
        });
        self.acknowledge(last_in);
        self.advance(now);
    }

    /// A batch went out; it holds the rows up to `up_to`. Rows that do not exist any more count as
    /// sent; nothing was sent if `up_to` is where the batch was to begin. It may hold rows of which
    /// [`Self::handle_owed`] has not told yet: they came while it was loaded.
    pub fn handle_sent(&mut self, up_to: u64, now: UnixMillis) {
        self.last = self.last.max(up_to);
        if let Link::Up(up) = &mut self.link {
            up.sending = false;
            if up_to > up.sent {
                up.sent = up_to;
                up.in_flight.push_back(up_to);
            }
            up.used = now;
        }
        self.advance(now);
    }

    /// The peer answered on the relay flow.
    pub fn handle_reply(&mut self, reply: &RelayReply, now: UnixMillis) {
        match *reply {
            RelayReply::Ack {
                stream_epoch,
                up_to,
            } if stream_epoch == self.stream_epoch => self.handle_ack(up_to, now),
            RelayReply::Ack { .. } => {}
            RelayReply::FutureCursor {
                stream_epoch,
                last_in,
            } => {
                if stream_epoch > self.stream_epoch || last_in > self.last {
                    self.begin_epoch(stream_epoch);
                }
            }
            RelayReply::Busy { retry_after_ms } => {
                self.actions
                    .retain(|action| !matches!(action, Action::Send { .. }));
                if let Link::Up(up) = &mut self.link {
                    up.sent = self.acked;
                    up.sending = false;
                    up.in_flight.clear();
                    up.paused_until = now.after(u64::from(retry_after_ms.clamp(50, 60_000)));
                }
            }
        }
    }

    fn handle_ack(&mut self, up_to: u64, now: UnixMillis) {
        let Link::Up(up) = &mut self.link else {
            return;
        };
        if up_to > self.last {
            return self.begin_epoch(self.stream_epoch);
        }
        up.used = now;
        up.sent = up.sent.max(up_to);
        while up.in_flight.front().is_some_and(|last| *last <= up_to) {
            up.in_flight.pop_front();
        }
        self.acknowledge(up_to);
        self.advance(now);
    }

    /// The connection is gone, or dialling failed. `jitter` is a uniformly random number.
    pub fn handle_lost(&mut self, now: UnixMillis, jitter: u64) {
        if self.link == Link::Beginning {
            return;
        }
        self.drop_actions();
        let urgency = if self.owed() > 0 {
            Urgency::Owed
        } else {
            Urgency::Idle
        };
        let delay_ms = self.backoff.fail(now, urgency, jitter);
        self.link = Link::Down {
            at: now.after(delay_ms),
        };
    }

    /// The new epoch is durable.
    pub fn handle_epoch(&mut self, stream_epoch: u64, now: UnixMillis) {
        if self.link == Link::Beginning {
            self.stream_epoch = stream_epoch;
            self.dial();
        }
        self.advance(now);
    }

    /// A timeout from [`Self::poll_timeout`] is due.
    pub fn handle_timeout(&mut self, now: UnixMillis) {
        if let Link::Up(up) = &self.link
            && self.acked == self.last
            && now.since(up.used) >= IDLE_CLOSE_MS
        {
            self.link = Link::Down { at: now };
            self.actions.push_back(Action::Close);
            return;
        }
        self.advance(now);
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`Self::handle_timeout`]: to dial again, to send after a pause, or to close an
    /// idle link.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<UnixMillis> {
        match &self.link {
            Link::Down { at } if self.owed() > 0 => Some(*at),
            Link::Up(up) if self.owed() == 0 => Some(up.used.after(IDLE_CLOSE_MS)),
            Link::Up(up) if up.paused_until > UnixMillis(0) => Some(up.paused_until),
            Link::Down { .. } | Link::Up(_) | Link::Dialling | Link::Beginning => None,
        }
    }

    /// What was to be done on the connection is not done any more. What the peer owns it owns all the same.
    fn drop_actions(&mut self) {
        self.actions
            .retain(|action| matches!(action, Action::Forget { .. }));
    }

    fn dial(&mut self) {
        self.link = Link::Dialling;
        self.actions.push_back(Action::Dial);
    }

    fn begin_epoch(&mut self, seen: u64) {
        self.drop_actions();
        self.link = Link::Beginning;
        let stream_epoch = seen.max(self.stream_epoch).saturating_add(1);
        self.actions.push_back(Action::BeginEpoch { stream_epoch });
    }

    fn acknowledge(&mut self, up_to: u64) {
        if up_to > self.acked {
            self.acked = up_to;
            self.actions.push_back(Action::Forget { up_to });
        }
    }

    /// Dials or sends, if it is time to.
    fn advance(&mut self, now: UnixMillis) {
        let owed = self.owed() > 0;
        match &mut self.link {
            Link::Down { at } if owed && *at <= now => self.dial(),
            Link::Up(up) => {
                if up.paused_until > now {
                    return;
                }
                up.paused_until = UnixMillis(0);
                if !up.sending && up.sent < self.last && up.in_flight.len() < MAX_IN_FLIGHT {
                    up.sending = true;
                    self.actions.push_back(Action::Send {
                        after: up.sent,
                        limit: MAX_BATCH_ITEMS,
                    });
                }
            }
            Link::Down { .. } | Link::Dialling | Link::Beginning => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000);
    const EPOCH: u64 = 1_001;

    fn actions(outbox: &mut Outbox) -> Vec<Action> {
        std::iter::from_fn(|| outbox.poll_action()).collect()
    }

    fn send(after: u64) -> Action {
        Action::Send {
            after,
            limit: MAX_BATCH_ITEMS,
        }
    }

    fn up(last: u64) -> Outbox {
        let mut outbox = Outbox::begun(EPOCH, 0, last, NOW);
        outbox.handle_timeout(NOW);
        assert_eq!(actions(&mut outbox), [Action::Dial]);
        outbox.handle_greeted(EPOCH, 0, NOW);
        outbox
    }

    fn ack(up_to: u64) -> RelayReply {
        RelayReply::Ack {
            stream_epoch: EPOCH,
            up_to,
        }
    }

    #[test]
    fn nothing_owed_dials_nobody() {
        let mut outbox = Outbox::begun(EPOCH, 7, 7, NOW);
        outbox.handle_timeout(NOW);
        assert_eq!(outbox.poll_action(), None);
        assert_eq!(outbox.poll_timeout(), None);
        outbox.handle_owed(8, NOW);
        assert_eq!(actions(&mut outbox), [Action::Dial]);
    }

    #[test]
    fn an_epoch_that_was_begun_is_greeted_with() {
        let mut outbox = Outbox::begun(EPOCH, 4, 6, NOW);
        outbox.handle_timeout(NOW);
        assert_eq!(actions(&mut outbox), [Action::Dial]);
        outbox.handle_greeted(EPOCH, 4, NOW);
        assert_eq!(actions(&mut outbox), [send(4)]);
        let mut known = Outbox::begun(EPOCH, 4, 6, NOW);
        known.handle_owned(5);
        assert_eq!(actions(&mut known), [Action::Forget { up_to: 5 }]);
        assert_eq!(known.begins_after(), 5);
        known.handle_owned(7);
        assert_eq!(known.begins_after(), 5, "of a backup");
        let mut idle = Outbox::begun(EPOCH, 6, 6, NOW);
        idle.handle_timeout(NOW);
        assert_eq!(idle.poll_action(), None);
        idle.handle_poke(NOW);
        assert_eq!(actions(&mut idle), [Action::Dial]);
    }

    #[test]
    fn what_the_peer_owns_is_forgotten_though_the_link_is_lost_or_begins_anew() {
        let forget = Action::Forget { up_to: 6 };
        let mut lost = Outbox::begun(EPOCH, 4, 6, NOW);
        lost.handle_owned(6);
        lost.handle_lost(NOW, 77);
        assert_eq!(actions(&mut lost), std::slice::from_ref(&forget));
        let mut anew = Outbox::begun(EPOCH, 4, 6, NOW);
        anew.handle_owned(6);
        anew.handle_greeted(EPOCH + 7, 6, NOW);
        let stream_epoch = EPOCH + 8;
        let begin = Action::BeginEpoch { stream_epoch };
        assert_eq!(actions(&mut anew), [forget, begin]);
    }

    #[test]
    fn rows_are_sent_in_order_and_forgotten_only_when_owned() {
        let mut outbox = up(5);
        assert_eq!(actions(&mut outbox), [send(0)]);
        outbox.handle_sent(3, NOW);
        assert_eq!(actions(&mut outbox), [send(3)]);
        outbox.handle_reply(&ack(2), NOW);
        assert_eq!(actions(&mut outbox), [Action::Forget { up_to: 2 }]);
        outbox.handle_sent(5, NOW);
        outbox.handle_reply(&ack(5), NOW);
        assert_eq!(actions(&mut outbox), [Action::Forget { up_to: 5 }]);
        assert_eq!(outbox.owed(), 0);
        let idle = NOW.after(IDLE_CLOSE_MS);
        assert_eq!(outbox.poll_timeout(), Some(idle));
        outbox.handle_timeout(idle);
        assert_eq!(actions(&mut outbox), [Action::Close]);
    }

    #[test]
    fn rows_that_came_while_a_batch_was_loaded_are_owned_like_the_others() {
        let mut outbox = up(5);
        assert_eq!(actions(&mut outbox), [send(0)]);
        outbox.handle_sent(7, NOW);
        outbox.handle_reply(&ack(7), NOW);
        assert_eq!(actions(&mut outbox), [Action::Forget { up_to: 7 }]);
        outbox.handle_owed(7, NOW);
        assert_eq!(actions(&mut outbox), []);
        // Beyond what was ever sent: the rows are those of a backup.
        outbox.handle_reply(&ack(8), NOW);
        let stream_epoch = EPOCH + 1;
        assert_eq!(actions(&mut outbox), [Action::BeginEpoch { stream_epoch }]);
    }

    #[test]
    fn a_lost_link_resumes_where_the_peer_says() {
        let mut outbox = up(5);
        outbox.handle_sent(5, NOW);
        outbox.handle_lost(NOW, 77);
        assert_eq!(outbox.poll_action(), None);
        let at = outbox.poll_timeout().expect("something is owed");
        assert_eq!(at, NOW.after(77));
        outbox.handle_timeout(at);
        assert_eq!(actions(&mut outbox), [Action::Dial]);
        outbox.handle_greeted(EPOCH, 4, at);
        assert_eq!(actions(&mut outbox), [Action::Forget { up_to: 4 }, send(4)]);
    }

    #[test]
    fn a_busy_peer_gets_the_same_rows_again_later() {
        let mut outbox = up(5);
        outbox.handle_sent(5, NOW);
        actions(&mut outbox);
        outbox.handle_reply(
            &RelayReply::Busy {
                retry_after_ms: 500,
            },
            NOW,
        );
        assert_eq!(outbox.poll_action(), None);
        assert_eq!(outbox.poll_timeout(), Some(NOW.after(500)));
        outbox.handle_timeout(NOW.after(500));
        assert_eq!(actions(&mut outbox), [send(0)]);
    }

    #[test]
    fn what_does_not_fit_begins_a_new_epoch() {
        let check = |stream_epoch, last_in, expect| {
            let mut outbox = Outbox::begun(EPOCH, 4, 6, NOW);
            outbox.handle_timeout(NOW);
            assert_eq!(actions(&mut outbox), [Action::Dial]);
            assert_eq!(outbox.begins_after(), 4);
            outbox.handle_greeted(stream_epoch, last_in, NOW);
            assert_eq!(actions(&mut outbox), expect, "{stream_epoch} {last_in}");
        };
        let begins = |stream_epoch| vec![Action::BeginEpoch { stream_epoch }];
        check(EPOCH, 4, vec![send(4)]);
        check(EPOCH, 5, vec![Action::Forget { up_to: 5 }, send(5)]);
        check(EPOCH, 3, begins(EPOCH + 1));
        check(EPOCH, 9, begins(EPOCH + 1));
        check(EPOCH + 7, 5, begins(EPOCH + 8));
    }

    #[test]
    fn at_most_eight_batches_are_on_their_way() {
        let mut outbox = up(100_000);
        let mut sent = 0;
        while outbox.poll_action().is_some() {
            sent += 1;
            outbox.handle_sent(sent * 512, NOW);
        }
        assert_eq!(sent, 8);
        outbox.handle_reply(&ack(512), NOW);
        assert_eq!(
            actions(&mut outbox),
            [Action::Forget { up_to: 512 }, send(8 * 512)]
        );
    }

    #[test]
    fn a_peer_that_shows_itself_is_dialled_at_once() {
        let mut outbox = Outbox::begun(EPOCH, 0, 1, NOW);
        outbox.handle_timeout(NOW);
        assert_eq!(actions(&mut outbox), [Action::Dial]);
        outbox.handle_lost(NOW, u64::MAX - 3);
        assert_eq!(outbox.poll_action(), None);
        outbox.handle_poke(NOW);
        assert_eq!(actions(&mut outbox), [Action::Dial]);
        assert_eq!(outbox.failing_since(), None);
    }
}
