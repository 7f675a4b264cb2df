//! The clock of a channel: when it is silent, when it must speak, and when it initiates.

use std::time::{Duration, Instant};

use super::liveness::Liveness;
use super::output::Traffic;
use super::path_mtu::PathMtu;
use super::sessions::Session;
use super::{Channel, DownReason, Output};
use crate::session::REJECT_AFTER;

/// An initiator that sends renews its session at this age (REKEY_AFTER_TIME).
pub const REKEY_AFTER: Duration = Duration::from_secs(120);
/// A renewal is tried again after this, plus up to 334 ms (REKEY_TIMEOUT).
pub const REKEY_TIMEOUT: Duration = Duration::from_secs(5);
/// What was received is answered after this at the latest (KEEPALIVE_TIMEOUT).
pub const KEEPALIVE_AFTER: Duration = Duration::from_secs(10);
/// How long inner packets may go unanswered before a new handshake is tried: the peer would have
/// sent a keepalive, and a little longer.
pub const SUSPECT_AFTER: Duration = KEEPALIVE_AFTER.saturating_add(REKEY_TIMEOUT);
/// How long they may go unanswered before the channel is down.
pub const DOWN_AFTER: Duration = SUSPECT_AFTER.saturating_add(REKEY_TIMEOUT);
/// An initiator that does not send renews its session at this age:
/// the last moment at which two more attempts and a keepalive fit in before it ends.
pub const REKEY_IDLE_AFTER: Duration = REJECT_AFTER.saturating_sub(SUSPECT_AFTER);
/// A responder renews a session that its initiator did not at this age, plus up to 5 s: late
/// enough for the initiator's idle renewal, early enough for one repetition.
pub const REKEY_RESPONDER_AFTER: Duration = Duration::from_secs(168);
/// Without a session, or while nothing is heard under it, an initiation goes out this often, give or take 30 %: so that a
/// channel is up again within a second after the underlay is.
pub const RETRY_EVERY: Duration = Duration::from_millis(700);
/// As [`RETRY_EVERY`], towards plain WireGuard.
pub const RETRY_PLAIN_EVERY: Duration = Duration::from_secs(1);
/// As [`RETRY_EVERY`], while the other end turns out not to be ours, or was taken down.
pub const RETRY_UNMATCHED_EVERY: Duration = Duration::from_secs(10);
/// A goodbye holds off our initiations no longer than this.
pub const MAX_HOLD: Duration = Duration::from_secs(60);

/// Messages of unknown sessions make a channel initiate no more often than this.
pub const WAKE_EVERY: Duration = Duration::from_secs(5);

/// The most that is added to [`REKEY_TIMEOUT`].
const REKEY_JITTER: Duration = Duration::from_millis(334);
/// The most that passes between a start and the first initiation of a channel that is one of few, so that they do not
/// start at once.
const START_JITTER: Duration = Duration::from_millis(100);
/// Of many channels as many a second initiate, those of one gateway together. An initiation and what follows it take its
/// control side some 0.5 ms: half of a processor, and as much at the peer.
pub const INITIATIONS_A_SECOND: u32 = 1000;

/// What the channel remembers of the traffic, and when it may initiate.
pub(super) struct Timers {
    /// No initiation before this.
    pub(super) not_before: Instant,
    /// Initiate at the slow rate.
    pub(super) slow: bool,
    /// Nobody may hasten an initiation before this: a goodbye asked for rest, or one is under way.
    pub(super) asleep_until: Instant,
    traffic: Traffic,
    traffic_at_use: Traffic,
    /// Since when inner packets were sent and nothing was heard.
    unanswered_since: Option<Instant>,
    keepalive_at: Option<Instant>,
    /// The time within which all of the gateway's channels may start.
    spread: Duration,
}

impl Timers {
    pub(super) fn new(now: Instant) -> Self {
        Timers {
            not_before: now,
            slow: false,
            asleep_until: now,
            traffic: Traffic::default(),
            traffic_at_use: Traffic::default(),
            unanswered_since: None,
            keepalive_at: None,
            spread: START_JITTER,
        }
    }

    /// As one of so many.
    pub(super) fn spread_over(&mut self, channels: usize) {
        let channels = u32::try_from(channels).unwrap_or(u32::MAX);
        self.spread = START_JITTER.max(Duration::from_secs(channels.into()) / INITIATIONS_A_SECOND);
    }

    /// Folds in the counters. What was sent and heard within one report is taken as answered:
    /// the next packet that is sent starts the clock if nobody answers. Whether inner packets were sent.
    fn observe(&mut self, now: Instant, traffic: Traffic) -> bool {
        let before = std::mem::replace(&mut self.traffic, traffic);
        if traffic.received_messages > before.received_messages {
            self.unanswered_since = None;
        } else if traffic.sent_packets > before.sent_packets {
            self.unanswered_since.get_or_insert(now);
        }
        if traffic.sent_messages > before.sent_messages {
            self.keepalive_at = None;
        }
        if traffic.received_packets > before.received_packets {
            self.keepalive_at.get_or_insert(now + KEEPALIVE_AFTER);
        }
        traffic.sent_packets > before.sent_packets
    }

    /// A session came into use.
    pub(super) fn used(&mut self) {
        self.unanswered_since = None;
        self.traffic_at_use = self.traffic;
        self.slow = false;
    }

    /// No session is in use.
    pub(super) fn down(&mut self) {
        self.unanswered_since = None;
        self.keepalive_at = None;
    }

    /// Initiates at once, if nothing speaks against it.
    pub(super) fn wake(&mut self, now: Instant) {
        if now >= self.asleep_until {
            self.asleep_until = now + WAKE_EVERY;
            self.not_before = self.not_before.min(now);
        }
    }

    /// Initiates at this time at the latest, but for a rest that the peer has asked for.
    pub(super) fn hasten(&mut self, now: Instant, at: Instant) {
        if self.asleep_until <= now + RETRY_EVERY {
            self.not_before = self.not_before.min(at);
        }
    }

    fn is_suspect(&self, now: Instant) -> bool {
        self.unanswered_since.is_some_and(|since| since + SUSPECT_AFTER <= now)
    }

    /// When the session in use is to be renewed.
    fn renewal(&self, session: &Session, rekey_after_messages: u64) -> Instant {
        let sent_packets = self.traffic.sent_packets > self.traffic_at_use.sent_packets;
        let sent_messages = self.traffic.sent_messages.saturating_sub(self.traffic_at_use.sent_messages);
        let sending = (session.initiated_by_us && sent_packets).then_some(session.since + REKEY_AFTER);
        let exhausted = (sent_messages >= rekey_after_messages).then_some(session.since);
        let suspect = self.unanswered_since.map(|since| since + SUSPECT_AFTER);
        [sending, exhausted, suspect].into_iter().flatten().fold(session.renew_at, Instant::min)
    }
}

impl Channel {
    pub(super) fn schedule_start(&mut self, now: Instant) {
        self.timers.not_before = self.timers.not_before.max(now + self.up_to(self.timers.spread));
    }

    /// Initiates soon, if nothing speaks against it.
    pub(super) fn hasten_initiation(&mut self, now: Instant) {
        let soon = now + self.up_to(self.timers.spread);
        self.timers.hasten(now, soon);
    }

    /// At some time within a retry's.
    pub(super) fn spread_initiation(&mut self, now: Instant) {
        self.timers.not_before = now + self.up_to(RETRY_EVERY.max(self.timers.spread));
    }

    pub(super) fn observe(&mut self, now: Instant, traffic: Traffic) {
        let has_sent = self.timers.observe(now, traffic);
        if let Some(discovery) = self.path_mtu.as_mut().filter(|_| has_sent) {
            discovery.sent();
        }
        self.heard(traffic.heard);
        // Probes tell more than these timers.
        if self.sessions.used().is_none() || self.liveness.is_some() {
            self.timers.down();
        }
    }

    /// The earliest of all that is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let sessions = self.sessions.iter().map(Session::next_due).min();
        let probes = self.liveness().and_then(Liveness::poll_timeout);
        let others = [probes, self.leaving.next_due(), self.silent_at(), self.timers.keepalive_at, self.initiate_at()];
        let discovery = self.path_mtu.as_ref().and_then(PathMtu::poll_timeout);
        others.into_iter().chain([sessions, discovery]).flatten().min()
    }

    pub(super) fn retire_expired(&mut self, now: Instant) {
        let is_expired = |session: &Session| session.since + REJECT_AFTER <= now;
        while let Some(index) = self.sessions.find(is_expired) {
            // The next attempt was planned for a channel that has a session.
            let retry = now + self.until_retry();
            self.timers.not_before = self.timers.not_before.min(retry);
            self.retire(index);
        }
    }

    pub(super) fn go_down_if_silent(&mut self, now: Instant) {
        if self.silent_at().is_some_and(|at| at <= now) {
            self.sessions.stop_using();
            self.disconnect(DownReason::Silent);
        }
    }

    pub(super) fn keep_alive(&mut self, now: Instant) {
        if self.timers.keepalive_at.is_some_and(|at| at <= now) {
            self.timers.keepalive_at = None;
            if let Some(session) = self.sessions.used().map(|session| session.index) {
                self.outputs.push_back(Output::Seal { session, plaintext: Vec::new() });
            }
        }
    }

    /// When an initiation is to go out, if it may.
    pub(super) fn initiate_at(&self) -> Option<Instant> {
        if !self.started || !self.initiates || self.sessions.is_greeting() {
            return None;
        }
        let renewal = |session: &Session| {
            // The peer may be using a better session, under which it does not hear us.
            let is_left_behind = self.sessions.newest_admitted().is_some_and(|newest| newest.index != session.index);
            let due = self.timers.renewal(session, self.suite.rekey_after_messages());
            if is_left_behind { session.since } else { due }
        };
        let wanted = self.sessions.used().filter(|_| !self.is_deaf()).map(renewal);
        Some(wanted.map_or(self.timers.not_before, |at| at.max(self.timers.not_before)))
    }

    /// How long to wait for the answer to an initiation before the next.
    pub(super) fn until_next_initiation(&mut self, now: Instant) -> Duration {
        if self.sessions.used().is_some() && !self.timers.is_suspect(now) && !self.is_deaf() {
            REKEY_TIMEOUT + self.up_to(REKEY_JITTER)
        } else {
            self.until_retry()
        }
    }

    /// [`RETRY_EVERY`], longer where that would be more than [`INITIATIONS_A_SECOND`], or at the slow rate
    /// [`RETRY_UNMATCHED_EVERY`]; give or take 30 %.
    pub(super) fn until_retry(&mut self) -> Duration {
        let usual = if self.liveness.is_some() { RETRY_EVERY } else { RETRY_PLAIN_EVERY };
        let every = if self.timers.slow { RETRY_UNMATCHED_EVERY } else { usual };
        self.about(every.max(self.timers.spread))
    }

    /// How long an answer waits for its confirmation before we initiate ourselves: a little longer than a retry, for a
    /// long path.
    pub(super) fn until_confirmed(&mut self) -> Duration {
        let every = if self.timers.slow { RETRY_UNMATCHED_EVERY } else { RETRY_PLAIN_EVERY };
        self.about(every.max(self.timers.spread))
    }

    /// Give or take 30 %.
    fn about(&mut self, time: Duration) -> Duration {
        time * 7 / 10 + self.up_to(time * 6 / 10)
    }

    /// When a session that begins now is renewed at the latest.
    pub(super) fn latest_renewal(&mut self, now: Instant, initiated_by_us: bool) -> Instant {
        match initiated_by_us {
            true => now + REKEY_IDLE_AFTER,
            false => now + REKEY_RESPONDER_AFTER + self.up_to(REKEY_TIMEOUT),
        }
    }

    fn silent_at(&self) -> Option<Instant> {
        self.timers.unanswered_since.map(|since| since + DOWN_AFTER)
    }
}
