//! Whether both directions of a channel carry: RFC 5880's state machine, in probes inside the encryption.
//!
//! ```text
//!        says Down, nothing heard            heard: Down
//!              ┌──────────────────── Up <─────────────────┐
//!              v        heard: Init  ^  heard: Init, Up    │
//!   ready:   Down ──────────────────-┘                     │
//!   enough     └── heard: Down ───────────────────────> Init
//! ```
//! Each end says its state in every hello, probe and reply. An end that hears nothing goes down and says so, as often as
//! it probes, and so the other end goes down although it hears well: both take carrier together, whichever direction
//! fails. To leave `Down` an end must be *ready*: a session is in use, enough round trips were good, one after the other,
//! and no hold-down is left.
//!
//! Any authentic message counts as life. Where both ends are `Up` that is enough; before that, only what tells the
//! peer's state is.

use std::time::{Duration, Instant};

use crate::control::{Diagnosis, Frame, LivenessState, Signal};

mod hold_down;
mod settings;
mod siblings;
mod statistics;

pub use settings::Settings;
pub use siblings::{Course, Standing, to_go_along};
pub use statistics::{RoundTrip, Statistics};

use hold_down::HoldDown;
use siblings::Watch;
use statistics::{Recorder, Times};

/// Why a channel that was up is not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was heard for the detection time, which is this.
    NotHeard(Duration),
    /// The peer hears nothing from us.
    NotHeardByPeer,
    /// The peer says that it is down, for another reason, or does not come up.
    PeerDown,
    /// A sibling fell silent, and this one had been silent for so long.
    WithSibling(Duration),
    /// The peer says that it went down with a sibling there.
    WithSiblingAtPeer,
}

/// The liveness of one channel, at one end.
///
/// Whoever owns it tells it of every authentic message ([`Liveness::heard`]) before [`Liveness::handle_timeout`], and
/// after each call seals the probes that [`Liveness::poll_probe`] gives.
#[derive(Debug)]
pub struct Liveness {
    settings: Settings,
    /// Where our clock begins.
    born: Instant,
    /// A session is in use.
    connected: bool,
    state: LivenessState,
    diagnosis: Diagnosis,
    failure: Option<Failure>,
    /// For how long it had been up when it went down with a sibling, until it is known whether it would have failed itself.
    unproven: Option<Duration>,
    /// When the state became `Up`.
    up_since: Instant,
    /// When the last authentic message came.
    heard: Instant,
    /// When the last came that told the peer's state.
    told: Instant,
    /// Until when silence is not believed, because we were held up ourselves since something was heard.
    excused: Option<Instant>,
    /// Nothing was heard for the detection time.
    is_deaf: bool,
    /// A probe went out because nothing was heard for longer than usual.
    is_suspect: bool,
    watch: Watch,
    /// What the peer said last; none while it is not heard.
    peer: Option<LivenessState>,
    peer_diagnosis: Diagnosis,
    peer_clock: u64,
    peer_interval: Option<Duration>,
    /// Good round trips in a row that are needed, and those that there were.
    needed: u32,
    good: u32,
    /// The probe whose answer was the last to be counted, or the last that cannot count.
    counted: Option<u64>,
    hold: HoldDown,
    next_sequence: u64,
    next_probe: Instant,
    recorder: Recorder,
}

impl Liveness {
    /// Nothing is known yet, and no session is in use.
    pub fn new(settings: Settings, now: Instant) -> Liveness {
        Liveness {
            settings,
            born: now,
            connected: false,
            state: LivenessState::Down,
            diagnosis: Diagnosis::None,
            failure: None,
            unproven: None,
            up_since: now,
            heard: now,
            told: now,
            excused: None,
            is_deaf: false,
            is_suspect: false,
            watch: Watch::Off,
            peer: None,
            peer_diagnosis: Diagnosis::None,
            peer_clock: 0,
            peer_interval: None,
            needed: 1,
            good: 0,
            counted: None,
            hold: HoldDown::new(settings.hold_down),
            next_sequence: 0,
            next_probe: now,
            recorder: Recorder::default(),
        }
    }

    /// Takes other settings, from the next probe on; the state stays.
    pub fn set_settings(&mut self, now: Instant, settings: Settings) {
        self.settings = settings;
        self.needed = self.needed.min(settings.up_after);
        self.hold.set_most(now, settings.hold_down);
        self.next_probe = self.next_probe.min(now + settings.interval);
    }

    /// How the channel is probed.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// The peer was admitted under another session: the probes that were lost before do not count against it.
    pub fn admit(&mut self) {
        if self.state != LivenessState::Up {
            self.counted = self.next_sequence.checked_sub(1);
        }
    }

    /// A session came into use, by a handshake and an exchange of hellos: two round trips, which count as good ones. But
    /// at least one is a probe's.
    pub fn connect(&mut self, now: Instant) {
        self.heard(now);
        if !self.connected {
            self.connected = true;
            self.told = now;
        }
        if self.state != LivenessState::Up {
            self.good = self.good.max(self.needed.saturating_sub(1).min(HANDSHAKE_ROUND_TRIPS));
            self.next_probe = now;
        }
        self.step(now);
    }

    /// No session is in use.
    pub fn disconnect(&mut self) {
        self.connected = false;
        self.state = LivenessState::Down;
        self.failure = None;
        self.unproven = None;
        self.diagnosis = Diagnosis::None;
        self.peer = None;
        self.is_deaf = false;
        self.good = 0;
    }

    /// The peer turns out to have been restarted: what it knew is gone, and nothing counts against the path.
    pub fn restarted(&mut self) {
        if self.state != LivenessState::Up && self.unproven.is_none() {
            self.hold.forgive();
        }
        self.disconnect();
        (self.peer_clock, self.peer_interval) = (0, None);
        self.needed = 1;
    }

    /// Holds the channel down no longer: there is no other that could carry in its place.
    pub fn waive_hold_down(&mut self, now: Instant) {
        self.hold.waive();
        self.step(now);
    }

    /// Probes at once, if the channel waits for an answer.
    pub fn hasten(&mut self, now: Instant) {
        if self.state != LivenessState::Up || self.is_suspect {
            self.next_probe = self.next_probe.min(now);
        }
    }

    /// An authentic message came at this time.
    pub fn heard(&mut self, at: Instant) {
        if at > self.heard {
            self.heard = at;
            self.excused = None;
            self.is_deaf = false;
            self.is_suspect = false;
            self.watch = Watch::Off;
        }
    }

    /// The peer told its state, in a message that arrived at this time.
    pub fn take_signal(&mut self, now: Instant, arrived: Instant, signal: &Signal) {
        self.heard(arrived);
        if signal.clock_micros < self.peer_clock {
            return; // It was overtaken.
        }
        self.peer_clock = signal.clock_micros;
        self.told = self.told.max(arrived);
        self.peer_diagnosis = signal.diagnosis;
        self.peer = Some(signal.state);
        self.step(now);
    }

    /// Answers a probe that arrived at this time.
    pub fn take_probe(
        &mut self,
        now: Instant,
        arrived: Instant,
        sequence: u64,
        interval: Duration,
        signal: &Signal,
    ) -> Frame {
        self.peer_interval = Some(interval.min(LONGEST_INTERVAL));
        self.take_signal(now, arrived, signal);
        let held = now.saturating_duration_since(arrived).as_micros();
        Frame::ProbeReply {
            sequence,
            sent_micros: signal.clock_micros,
            held_micros: u32::try_from(held).unwrap_or(u32::MAX),
            signal: self.signal(now),
        }
    }

    /// Takes the answer to one of our probes, as its frame has it.
    pub fn take_reply(
        &mut self,
        now: Instant,
        arrived: Instant,
        sequence: u64,
        (sent, held): (u64, u32),
        signal: &Signal,
    ) {
        let times = Times {
            sent,
            arrived_there: signal.clock_micros.saturating_sub(held.into()),
            replied_there: signal.clock_micros,
            arrived: self.micros(arrived),
        };
        self.recorder.answered(now, sequence, times);
        if sequence < self.next_sequence && self.counted.is_none_or(|counted| sequence > counted) {
            let follows = self.counted.is_none_or(|counted| sequence == counted + 1);
            self.good = if follows { self.good.saturating_add(1) } else { 1 };
            self.counted = Some(sequence);
        }
        self.take_signal(now, arrived, signal);
    }

    /// Does what is due but for the probe that may be.
    ///
    /// One that comes late by half an interval was held up, and so were perhaps those who take what arrives: silence is
    /// then believed only after another interval, once.
    pub fn handle_timeout(&mut self, now: Instant) {
        let late = self.poll_timeout().map_or(Duration::ZERO, |due| now.saturating_duration_since(due));
        if late > self.settings.interval / 2 && self.excused.is_none() {
            self.excused = Some(now + self.settings.interval);
        }
        self.hold.release(now);
        while self.detection().is_some_and(|at| at <= now) {
            self.detect(now);
        }
        if self.suspicion().is_some_and(|at| at <= now) {
            self.is_suspect = true;
            self.next_probe = now;
        }
        self.keep_watch(now);
        self.step(now);
    }

    /// When [`Liveness::handle_timeout`] and [`Liveness::poll_probe`] are due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.connected {
            return None;
        }
        let due = [Some(self.next_probe), self.detection(), self.suspicion(), self.watch_over(), self.hold.until()];
        due.into_iter().flatten().min()
    }

    /// The probe that is due; `random` is from 0 to 1, and puts off the next.
    pub fn poll_probe(&mut self, now: Instant, random: f64) -> Option<Frame> {
        if !self.connected || self.next_probe > now {
            return None;
        }
        self.next_probe = now + self.settings.until_next_probe(random);
        Some(self.probe(now))
    }

    /// A probe out of turn.
    pub fn probe(&mut self, now: Instant) -> Frame {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.recorder.sent(now, sequence);
        let interval_micros = u32::try_from(self.settings.interval.as_micros()).unwrap_or(u32::MAX);
        Frame::Probe { sequence, interval_micros, signal: self.signal(now) }
    }

    /// Our state, as a frame says it that is sent now.
    pub fn signal(&self, now: Instant) -> Signal {
        let diagnosis = match () {
            () if self.is_deaf => Diagnosis::NotHeard,
            () if self.hold.is_on(now) => Diagnosis::HeldDown,
            () => self.diagnosis,
        };
        Signal { state: self.state, diagnosis, clock_micros: self.micros(now) }
    }

    /// Our state.
    pub fn state(&self) -> LivenessState {
        self.state
    }

    /// Why the channel went down last; none since it came up or lost its session.
    pub fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// Whether nothing was heard for the detection time under a session that should carry.
    pub fn is_deaf(&self) -> bool {
        self.is_deaf
    }

    /// What the peer says of itself, and why; none while it is not heard.
    pub fn peer(&self) -> Option<(LivenessState, Diagnosis)> {
        self.peer.map(|state| (state, self.peer_diagnosis))
    }

    /// When the last authentic message came, or the channel was made.
    pub fn last_heard(&self) -> Instant {
        self.heard
    }

    /// For how long a channel that kept failing is still held down.
    pub fn held_for(&self, now: Instant) -> Option<Duration> {
        self.hold.until().filter(|until| *until > now).map(|until| until - now)
    }

    /// What the probes tell.
    pub fn statistics(&self) -> Statistics {
        self.recorder.statistics()
    }

    /// For how long nothing must be heard: `down_after` times the longer of both ends' intervals.
    pub fn detection_time(&self) -> Duration {
        self.longer_interval().saturating_mul(self.settings.down_after)
    }

    fn longer_interval(&self) -> Duration {
        self.settings.interval.max(self.peer_interval.unwrap_or_default())
    }

    /// When the silence is too long.
    fn detection(&self) -> Option<Instant> {
        let since = match self.state {
            _ if !self.connected => return None,
            LivenessState::Down if self.is_deaf => return None,
            // The peer may not speak before our answer has reached it.
            LivenessState::Down if self.failure.is_none() => self.heard + self.round_trip(),
            LivenessState::Down => self.heard,
            LivenessState::Init => self.told,
            LivenessState::Up if self.peer == Some(LivenessState::Up) => self.heard,
            // The peer has not come up yet, and must say that it has.
            LivenessState::Up => self.heard.min(self.up_since + self.round_trip()),
        };
        let due = since + self.detection_time();
        let is_whole = self.state == LivenessState::Up && self.peer == Some(LivenessState::Up);
        Some(self.excused.filter(|_| is_whole).map_or(due, |excused| excused.max(due)))
    }

    fn detect(&mut self, now: Instant) {
        match self.state {
            LivenessState::Up if self.heard + self.detection_time() <= now => {
                self.fail(now, Failure::NotHeard(self.detection_time()));
            }
            LivenessState::Up => self.fail(now, Failure::PeerDown),
            LivenessState::Init => (self.state, self.peer) = (LivenessState::Down, None),
            LivenessState::Down => {
                self.prove(now);
                self.is_deaf = true;
                self.peer = None;
                self.good = 0;
            }
        }
    }

    /// What an answer takes at most, as far as one can tell (RFC 6298, section 2).
    fn round_trip(&self) -> Duration {
        self.recorder.round_trip().map_or(FIRST_ROUND_TRIP, |times| times.smoothed + times.variation * 4)
    }

    /// When a probe goes out because nothing was heard: two intervals have brought neither a probe nor a reply.
    fn suspicion(&self) -> Option<Instant> {
        let is_open = self.connected && !self.is_suspect && !self.is_deaf;
        is_open.then(|| self.heard + self.usual_silence())
    }

    fn is_ready(&self, now: Instant) -> bool {
        self.connected && self.good >= self.needed && !self.hold.is_on(now)
    }

    /// Goes where the states of both ends lead (RFC 5880, section 6.8.6), and tells the peer at once.
    fn step(&mut self, now: Instant) {
        use LivenessState::{Down, Init, Up};
        let Some(peer) = self.peer else { return };
        match (self.state, peer) {
            (Down, Down) if self.is_ready(now) => {
                self.state = Init;
                self.told = now;
                self.next_probe = now;
            }
            (Down, Init) if self.is_ready(now) => self.come_up(now),
            (Init, Init | Up) => self.come_up(now),
            (Up, Down) if self.peer_diagnosis == Diagnosis::NotHeard => self.fail(now, Failure::NotHeardByPeer),
            (Up, Down) if self.peer_diagnosis == Diagnosis::WithSibling => self.follow_sibling(now),
            (Down, Down) if self.peer_diagnosis == Diagnosis::NotHeard => self.prove(now),
            (Up, Down) => self.fail(now, Failure::PeerDown),
            _ => {}
        }
    }

    fn come_up(&mut self, now: Instant) {
        self.state = LivenessState::Up;
        self.diagnosis = Diagnosis::None;
        self.failure = None;
        self.unproven = None;
        self.up_since = now;
        self.next_probe = now;
    }

    fn fail(&mut self, now: Instant, failure: Failure) {
        self.hold.fail(now, now - self.up_since);
        self.go_down(now, failure);
    }

    fn go_down(&mut self, now: Instant, failure: Failure) {
        self.state = LivenessState::Down;
        self.diagnosis = match failure {
            Failure::NotHeard(_) => Diagnosis::NotHeard,
            Failure::WithSibling(_) => Diagnosis::WithSibling,
            Failure::NotHeardByPeer | Failure::WithSiblingAtPeer | Failure::PeerDown => Diagnosis::ToldDown,
        };
        self.failure = Some(failure);
        self.needed = self.settings.up_after;
        self.good = 0;
        self.counted = self.next_sequence.checked_sub(1);
        self.next_probe = now;
    }

    fn micros(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.born).as_micros() as u64
    }
}

/// The round trips that make a session usable: initiation and response, hello and answer.
const HANDSHAKE_ROUND_TRIPS: u32 = 2;

/// What an answer may take before anything was measured (RFC 6298, section 2.1).
const FIRST_ROUND_TRIP: Duration = Duration::from_secs(1);

/// No peer makes us wait for it longer than this times `down_after`: the longest interval that a file may have.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
