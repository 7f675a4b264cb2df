//! One channel on the control side: its conversation with the peer, and what that orders.

mod orders;
mod persons;
mod words;

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, mpsc},
    time::{Duration, Instant, SystemTime},
};

use meshtun_dataplane::{ChannelId, Command, Counters, DataPlane, Half};
use meshtun_proto::{
    channel::{
        Channel as Conversation, DownReason, Traffic,
        liveness::{Course, Settings, Standing},
    },
    control::Reason,
    tai64n::Tai64n,
};
use meshtun_sys::{
    tun,
    udp::{BindError, Udp},
};

use super::{
    endpoint::{Endpoint, Move},
    journal::Journal,
    probes,
    tidings::Tiding,
};
use crate::{carrier::Carrier, channels::ChannelParts, resolve, status::ChannelState};

/// A running channel.
pub(super) struct Channel {
    pub(super) id: ChannelId,
    pub(super) link: String,
    pub(super) view: meshtun_config::ChannelView,
    pub(super) counters: Arc<Counters>,
    pub(super) udp: Arc<Udp>,
    pub(super) carrier: Carrier,
    pub(super) endpoint: Endpoint,
    /// The index of the network device that the socket is bound to, if it is to be bound to one and that is there.
    pub(super) bound: Option<u32>,
    /// Why it could not be bound to it.
    pub(super) bind_error: Option<String>,
    pub(super) history: History,
    /// Handshake messages that were of no use, by reason.
    pub(super) refused: BTreeMap<&'static str, u64>,
    conversation: Conversation,
    peer: String,
    journal: Journal,
    /// The longest inner packet that the path takes, once it is known to take less than all.
    pub(super) path_mtu: Option<u16>,
    /// That is news.
    has_path_news: bool,
    /// It was out for so long that its path does not count for the link's MTU.
    pub(super) is_forgotten: bool,
    /// The longest that is of interest.
    ceiling: u16,
    /// Carrier has just been lost.
    has_fallen: bool,
    /// Nothing has been heard for the detection time, just now.
    is_silent: bool,
    /// The conversation says up, and the halves have not been waited for yet.
    rising: Option<Duration>,
    failure: Option<Failure>,
    /// A person set the device down.
    held_down: bool,
    /// A person took the channel down.
    taken_down: bool,
    /// The peer has said goodbye: carrier goes, and what follows is done, when the routes lead elsewhere.
    parting: Option<DownReason>,
    tidings: mpsc::Sender<Tiding>,
}

/// Why a channel is of no use, and when it is to be made anew.
#[derive(Debug)]
struct Failure {
    problem: String,
    again_at: Instant,
}

/// What happened to a channel so far.
#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) state: ChannelState,
    pub(super) since: SystemTime,
    pub(super) last_handshake: Option<SystemTime>,
    pub(super) handshake: Option<Duration>,
    pub(super) sessions: u64,
    changed: Instant,
    /// When carrier changed last, or the channel was made.
    carrier_changed: Instant,
}

impl Channel {
    pub(super) fn new(parts: ChannelParts, tidings: mpsc::Sender<Tiding>, now: Instant) -> Channel {
        let ChannelParts { id, link, peer, view, conversation, udp, carrier, counters } = parts;
        let journal = Journal::new(format!("{link}/{}", view.number));
        let endpoint = Endpoint::new(view.remote.as_ref());
        let history = History {
            state: ChannelState::Down,
            since: SystemTime::now(),
            last_handshake: None,
            handshake: None,
            sessions: 0,
            changed: now,
            carrier_changed: now,
        };
        Channel {
            id,
            link,
            view,
            counters,
            udp,
            carrier,
            endpoint,
            bound: None,
            bind_error: None,
            history,
            refused: BTreeMap::new(),
            conversation,
            peer,
            journal,
            path_mtu: None,
            has_path_news: false,
            is_forgotten: false,
            ceiling: u16::MAX,
            has_fallen: false,
            is_silent: false,
            rising: None,
            failure: None,
            held_down: false,
            taken_down: false,
            parting: None,
            tidings,
        }
    }

    pub(super) fn start(&mut self, now: Instant) {
        self.conversation.start(now);
    }

    /// When [`Channel::handle_timeout`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.conversation.poll_timeout()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, stamp: impl FnOnce() -> Tai64n) {
        self.fold(now);
        self.conversation.handle_timeout(now, stamp);
    }

    pub(super) fn handle_handshake(&mut self, now: Instant, from: SocketAddr, datagram: &[u8], under_load: bool) {
        if self.held_down || self.taken_down {
            return;
        }
        if let Err(error) = self.conversation.handle_handshake(now, from, datagram, under_load) {
            *self.refused.entry(error.label()).or_default() += 1;
            self.journal.handshake_refused(&from, &error, now);
        }
    }

    pub(super) fn handle_confirmed(&mut self, now: Instant, session: u32) {
        self.conversation.handle_confirmed(now, session);
    }

    pub(super) fn handle_frame(&mut self, now: Instant, at: Instant, session: u32, frame: &[u8]) {
        self.conversation.handle_frame(now, at, session, frame);
    }

    pub(super) fn handle_unknown_session(&mut self, now: Instant) {
        self.conversation.handle_unknown_session(now);
    }

    /// Tells the conversation what the halves counted.
    pub(super) fn fold(&mut self, now: Instant) {
        let (sent_packets, sent_messages, received_packets, received_messages) = self.counters.traffic();
        let heard = self.counters.heard();
        let traffic = Traffic { sent_packets, sent_messages, received_packets, received_messages, heard };
        self.conversation.handle_traffic(now, traffic);
        if self.carrier.is_slow() {
            self.journal.slow_loss(now);
        }
    }

    /// An authenticated message came from elsewhere, which the half takes for known from here on.
    pub(super) fn hear_from_elsewhere(&mut self, session: u32, from: SocketAddr, plane: &DataPlane) {
        if !self.conversation.handle_moved(session, from)
            && let Some(current) = self.endpoint.current()
        {
            // What comes from there under a session that is there is told again.
            plane.send(self.id, Command::Endpoint(current));
        }
    }

    /// The peer is there.
    pub(super) fn handle_moved(&mut self, now: Instant, from: SocketAddr, plane: &DataPlane) {
        match self.endpoint.heard_from(from) {
            Move::None => {}
            Move::Refused => self.journal.not_followed(&from, &self.endpoint.describe(), now),
            Move::Followed => {
                self.journal.moved(&self.endpoint.describe(), now);
                plane.send(self.id, Command::Endpoint(from));
                self.conversation.set_initiates(true, now);
            }
        }
    }

    /// The peer's name was looked up.
    pub(super) fn handle_resolved(&mut self, now: Instant, found: &[IpAddr], plane: &DataPlane) {
        let Some((_, port)) = self.endpoint.name() else { return };
        let tried = self.endpoint.current().map(|address| address.ip());
        if self.carrier.is_up() {
            return;
        }
        if let Some(address) = resolve::choose(found, self.view.local, tried) {
            self.handle_moved(now, SocketAddr::new(address, port), plane);
        }
    }

    /// The name to look up, while the channel needs one.
    pub(super) fn wanted_name(&self) -> Option<&str> {
        self.endpoint.name().map(|(host, _)| host).filter(|_| !self.carrier.is_up())
    }

    /// The underlay does not even take the smallest MTU.
    pub(super) fn cannot_shrink(&mut self, now: Instant, datagram: usize) {
        self.journal.too_big(datagram, now);
    }

    pub(super) fn handle_offload_lost(&self, offload: &str) {
        self.journal.offload_lost(offload);
    }

    /// A half has stopped: the channel is of no use any more.
    pub(super) fn handle_failed(&mut self, now: Instant, half: Half, error: &io::Error) {
        let device = &self.view.device;
        let part = match half {
            Half::Sending => "sending",
            Half::Receiving => "receiving",
        };
        let cause = if tun::is_gone(error) { format!("{device} was deleted") } else { error.to_string() };
        self.fail(now, format!("{part} has stopped: {cause}; the channel is made anew"));
        self.conversation.close(now, Reason::Down, Duration::ZERO);
    }

    /// The channel is of no use until it is made anew.
    pub(super) fn fail(&mut self, now: Instant, problem: String) {
        if self.failure.as_ref().is_none_or(|failure| failure.problem != problem) {
            self.journal.failed(&problem);
        }
        self.failure = Some(Failure { problem, again_at: now + AGAIN });
    }

    /// Its name: `nq/0`.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.link, self.view.number)
    }

    /// Whether the channel is to be made anew now.
    pub(super) fn is_to_be_made_anew(&self, now: Instant) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.again_at <= now)
    }

    /// Ends all sessions at once, without a word: see [`Conversation::revoke`].
    pub(super) fn revoke(&mut self, now: Instant) {
        // What a goodbye of the peer waits for does not hold it up: the keys go now.
        self.part(now);
        self.conversation.revoke(now);
    }

    /// Whether nothing is under way any more after [`Channel::close`].
    pub(super) fn has_ended(&self) -> bool {
        self.conversation.has_ended()
    }

    /// Takes the settings of a new file that change nothing about the session.
    pub(super) fn take_view(
        &mut self,
        view: &meshtun_config::ChannelView,
        peer: &str,
        now: Instant,
        plane: &DataPlane,
    ) {
        peer.clone_into(&mut self.peer);
        if self.endpoint.take_remote(view.remote.as_ref())
            && let Some(address) = self.endpoint.current()
        {
            plane.send(self.id, Command::Endpoint(address));
        }
        self.conversation.set_initiates(self.endpoint.current().is_some(), now);
        let is_bound_elsewhere = self.view.underlay_device != view.underlay_device;
        self.view = view.clone();
        if is_bound_elsewhere {
            self.bind_to_device(now);
        }
    }

    /// Whether the channel kept failing, and waits.
    pub(super) fn is_held(&self, now: Instant) -> bool {
        probes::is_held(&self.conversation, now)
    }

    /// The underlay may be there again: does at once what would be tried sooner or later.
    pub(super) fn hasten(&mut self, now: Instant) {
        self.conversation.hasten(now);
    }

    pub(super) fn waive_hold_down(&mut self, now: Instant) {
        self.conversation.waive_hold_down(now);
    }

    /// One of so many channels of this gateway.
    pub(super) fn spread_over(&mut self, channels: usize) {
        self.conversation.spread_over(channels);
    }

    /// Probes as the file says from here on.
    pub(super) fn set_probe(&mut self, now: Instant, settings: Settings) {
        self.conversation.set_probe(now, settings);
    }

    /// Takes over what is known from the channel in whose place this one was made.
    pub(super) fn inherit(&mut self, before: &Channel, now: Instant, plane: &DataPlane) {
        self.history.sessions = before.history.sessions;
        self.history.last_handshake = before.history.last_handshake;
        self.refused.clone_from(&before.refused);
        // What was counted before is no sign of life.
        self.fold(now);
        if let Some(address) = before.endpoint.current() {
            self.handle_moved(now, address, plane);
        }
        if before.taken_down {
            self.take_down(now);
        }
    }

    /// Says goodbye to the peer and forgets all sessions.
    pub(super) fn close(&mut self, now: Instant, reason: Reason, hold: Duration) {
        self.conversation.close(now, reason, hold);
    }

    /// Whether it has had no carrier for so long.
    pub(super) fn is_out_since(&self, now: Instant, time: Duration) -> bool {
        !self.carrier.is_up() && now.saturating_duration_since(self.history.carrier_changed) >= time
    }

    /// Finds out whether the path takes packets as long as this.
    pub(super) fn discover_path_mtu(&mut self, mtu: u16) {
        self.conversation.discover_path_mtu(mtu, None);
        (self.path_mtu, self.ceiling) = (None, mtu);
    }

    /// Whether the channel has fallen silent since the last call, or was watched and is suspect.
    pub(super) fn take_silence(&mut self) -> bool {
        std::mem::take(&mut self.is_silent) | self.conversation.take_suspicion()
    }

    /// How it stands beside its siblings, if it is up; what its halves heard until now counts.
    pub(super) fn standing(&mut self, now: Instant) -> Option<Standing> {
        self.fold(now);
        self.conversation.liveness()?.standing(now)
    }

    /// Goes down with a sibling that has fallen silent, or is watched.
    pub(super) fn follow_sibling(&mut self, course: Course, now: Instant) {
        self.conversation.follow_sibling(course, now);
    }

    /// The socket cannot be bound to its network device.
    pub(super) fn not_bound(&mut self, error: &BindError, now: Instant) {
        self.bind_error = Some(error.to_string());
        self.journal.not_bound(error, now);
    }
}

/// How soon a channel that failed is made anew, and tried again if that fails.
const AGAIN: Duration = Duration::from_secs(1);

/// How long handshakes go unanswered before the log says so.
const SILENCE: Duration = Duration::from_secs(5);

/// How long they go unanswered before the status says so.
const PATIENCE: Duration = Duration::from_secs(1);
