//! The control side at run time: one loop that owns every channel's conversation.
//!
//! ```text
//!  data-plane events ─┐
//!  timers             ├─► Engine ─► a channel's conversation ─► its orders ─► halves, socket, carrier, log
//!  traffic counters   │
//!  names looked up    │
//!  what others did    │
//!  control socket ────┴─► an answer
//! ```
//! The loop does not wait: what takes time (the kernel's answers, files, look-ups, callers of the control socket) goes on
//! beside it and comes back as an input.

mod asking;
mod change;
mod channel;
mod channels;
mod deadlines;
mod endpoint;
mod facts;
mod going;
mod heal;
mod inputs;
mod journal;
mod missing;
mod mtu;
mod patience;
mod pending;
mod probes;
mod punctuality;
mod reading;
mod reload;
mod reloading;
mod report;
mod rescue;
mod settings;
mod siblings;
mod switching;
mod tidings;
mod underlay;

#[cfg(test)]
mod bench;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    net::IpAddr,
    time::{Duration, Instant, SystemTime},
};

use meshtun_config::{HookEvent, LinkView};
use meshtun_dataplane::{ChannelId, DataPlane, Event, Events};
use meshtun_proto::control::Reason;
use tokio::time::timeout;

use self::{
    change::Change,
    channel::Channel,
    deadlines::Deadlines,
    inputs::Input,
    missing::Missing,
    patience::Patience,
    pending::Then,
    punctuality::Punctuality,
    tidings::{Health, Tidings},
};
pub(crate) use self::{
    inputs::Inputs,
    reading::{Files, Reader},
};
use crate::{
    Gateway,
    carrier::Carriers,
    channels::ChannelParts,
    control::{Asked, Caller, Request},
    hooks::Hooks,
    keeper::{Keeper, Number},
    limiter::Limiter,
    notify::Notifier,
    resolve::{Resolved, Resolver},
    stamps::StampStore,
    surroundings::Surroundings,
    underload::HandshakeLoad,
};

/// The running gateway's state.
pub(crate) struct Engine {
    gateway: Gateway,
    /// In the order of the file.
    links: Vec<LinkState>,
    /// Where in `links` each is, by name.
    places: HashMap<String, usize>,
    channels: BTreeMap<ChannelId, Channel>,
    /// The id of the next channel that is made: none is used twice, so that what a worker said of a channel that is gone
    /// is never taken for another's.
    next_id: u32,
    deadlines: Deadlines,
    /// Channels whose carrier is due.
    rising: BTreeSet<ChannelId>,
    tidings: Tidings,
    hooks: Hooks,
    plane: DataPlane,
    stamps: StampStore,
    load: HandshakeLoad,
    resolver: Resolver,
    keeper: Keeper,
    carriers: Carriers,
    /// Limits what the log is told of a kernel that keeps them waiting.
    held_up: Limiter,
    /// What follows the keeper's answers.
    pending: BTreeMap<Number, Then>,
    patience: Patience,
    reader: Reader,
    punctuality: Punctuality,
    /// What on this machine is likely not meant.
    alarms: Vec<String>,
    surroundings: Surroundings,
    files: Files,
    notifier: Notifier,
    /// Channels that have just lost their carrier.
    fallen: Vec<ChannelId>,
    /// Channels that have just fallen silent.
    silent: Vec<ChannelId>,
    /// Channels whose devices others read, and until when.
    lent: Vec<(ChannelId, Instant)>,
    /// Channels whose paths take longer or shorter packets than before.
    path_news: Vec<ChannelId>,
    /// The MTU of each link that its underlay seemed to leave at first.
    ceilings: BTreeMap<String, u16>,
    /// Limits what the coming and going of devices may cost.
    haste: Limiter,
    /// When it is looked whether a narrow underlay is wide again.
    widen_at: Option<Instant>,
    /// Channels of the file that could not be made.
    missing: Vec<Missing>,
    /// Channels whose peers said goodbye.
    parting: BTreeSet<ChannelId>,
    /// The change that goes on.
    change: Option<Change>,
    /// When the last one began.
    change_began: SystemTime,
    /// Those who wait for its end.
    waiting: VecDeque<Asked>,
    reload_again: bool,
    workers: usize,
    started: SystemTime,
}

/// A link, and which of the channels are its, by number.
#[derive(Debug)]
struct LinkState {
    view: LinkView,
    channels: Vec<ChannelId>,
    health: Health,
    silence: Limiter,
}

/// What an engine is made of.
pub(crate) struct EngineParts {
    pub(crate) gateway: Gateway,
    pub(crate) surroundings: Surroundings,
    pub(crate) channels: Vec<ChannelParts>,
    pub(crate) plane: DataPlane,
    pub(crate) stamps: StampStore,
    pub(crate) resolver: Resolver,
    pub(crate) keeper: Keeper,
    pub(crate) carriers: Carriers,
    pub(crate) reader: Reader,
    pub(crate) files: Files,
    pub(crate) notifier: Notifier,
    pub(crate) workers: usize,
}

/// Why the loop ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// A signal: devices and routes stay, and the peers are told to hold on.
    Restart,
    /// Somebody asked for `down`.
    Down {
        /// Whether the `unreachable` routes go, too.
        unprotect: bool,
        /// Who waits for the end of it.
        caller: Caller,
    },
}

impl Engine {
    pub(crate) fn new(parts: EngineParts, now: Instant) -> Engine {
        let EngineParts { gateway, surroundings, channels, plane, stamps, resolver, .. } = parts;
        let EngineParts { keeper, carriers, reader, files, notifier, workers, .. } = parts;
        let links: Vec<_> = gateway.view.links.iter().cloned().map(|view| LinkState::new(view, now)).collect();
        let mut engine = Engine {
            deadlines: Deadlines::default(),
            rising: BTreeSet::new(),
            tidings: Tidings::new(),
            hooks: Hooks::default(),
            load: HandshakeLoad::new(channels.len(), now),
            channels: BTreeMap::new(),
            next_id: 0,
            gateway,
            places: places(&links),
            links,
            plane,
            stamps,
            resolver,
            keeper,
            carriers,
            held_up: Limiter::new(switching::HELD_UP),
            pending: BTreeMap::new(),
            patience: Patience::default(),
            reader,
            punctuality: Punctuality::new(now),
            alarms: Vec::new(),
            surroundings,
            files,
            notifier,
            fallen: Vec::new(),
            silent: Vec::new(),
            lent: Vec::new(),
            path_news: Vec::new(),
            ceilings: BTreeMap::new(),
            haste: Limiter::new(underlay::HASTE),
            widen_at: None,
            missing: Vec::new(),
            parting: BTreeSet::new(),
            change: None,
            change_began: SystemTime::UNIX_EPOCH,
            waiting: VecDeque::new(),
            reload_again: false,
            workers,
            started: SystemTime::now(),
        };
        channels.into_iter().for_each(|parts| engine.adopt(parts, now));
        engine.hooks.configure(&engine.gateway.view);
        engine
    }

    /// Starts all channels and runs until told to end.
    pub(crate) async fn run(&mut self, events: &Events, inputs: &mut Inputs) -> Ending {
        let now = Instant::now();
        self.hooks.tell_gateway(HookEvent::Up, self.facts());
        self.each_channel(now, |channel| channel.start(now));
        self.want_names(now);
        loop {
            let due = [self.deadlines.first(), self.patience.first()].into_iter().flatten().min();
            let input = inputs.next(due).await;
            let now = Instant::now();
            match input {
                Input::Events => {
                    self.handle_events(events, inputs);
                    // A queue that never empties would keep the runtime from its timers, signals and callers.
                    tokio::task::yield_now().await;
                }
                Input::Deadline => self.handle_deadlines(now),
                Input::Fold => {
                    self.each_channel(now, |channel| channel.fold(now));
                    self.bind_to_devices(now);
                    self.forget_paths(now);
                    self.waive_hold_downs(now);
                    self.links.iter_mut().for_each(|link| note_silence(link, &self.channels, now));
                    self.want_names(now);
                    self.remake_failed(now);
                    self.make_missing(now);
                    self.give_back(now);
                    self.note_held_up(now);
                    self.look_for_width(now);
                }
                Input::Word(word) => self.handle_word(word, now),
                Input::Read(read) => self.handle_read(read),
                Input::Underlay(news) => self.handle_underlay(&news, now),
                Input::Resolved(resolved) => self.handle_resolved(&resolved, now),
                Input::Asked(Asked { request: Request::Down { unprotect }, caller }) => {
                    tracing::info!("asked to go down");
                    return Ending::Down { unprotect, caller };
                }
                Input::Asked(asked) => self.handle_asked(asked, now),
                Input::Terminate(signal) => {
                    tracing::info!("{signal}: stopping; devices and routes stay, without carrier");
                    return Ending::Restart;
                }
                Input::Hangup => self.handle_hangup(),
            }
            self.lose_patience(now);
            self.let_part(now);
            self.raise(now);
            self.take_siblings_along(now);
            self.rescue();
            self.follow_paths();
            self.hear(now);
            self.let_return();
            self.go_on_changing(now);
            self.hear(now);
            // What became due or came in during this turn has waited for its end.
            let end = Instant::now();
            self.punctuality.note((end - now).max(now.saturating_duration_since(due.unwrap_or(now))), end);
        }
    }

    /// Says goodbye on every channel, takes carrier, stops the workers, and leaves the stamp on disk.
    pub(crate) async fn close(mut self, reason: Reason, hold: Duration) {
        // The peers hear of it first: the keeper may be waiting for the kernel.
        self.keeper.dismiss();
        let now = Instant::now();
        self.each_channel(now, |channel| channel.close(now, reason, hold));
        if reason == Reason::Down {
            self.hear(now);
            let facts = self.facts();
            std::mem::take(&mut self.hooks).finish(HookEvent::Down, facts, HOOKS_AT_THE_END).await;
        }
        self.plane.settle();
        self.linger(Instant::now() + self.under_way(reason)).await;
        // The descriptors go with the channels and the workers.
        drop(self.channels);
        self.plane.shutdown();
        self.stamps.close();
        match reason {
            // Nobody puts back what is removed then.
            Reason::Down => self.keeper.stop().await,
            _ => _ = timeout(KEEPER_AT_THE_END, self.keeper.stop()).await,
        }
    }

    /// The gateway in one line.
    pub(crate) fn summary(&self) -> String {
        let (gateway, links, channels) = (&self.gateway.view.gateway, self.links.len(), self.channels.len());
        format!("gateway {gateway}: links {links}, channels {channels}, workers {}", self.workers)
    }

    fn status(&mut self, now: Instant) -> serde_json::Value {
        let control = report::control(&mut self.punctuality, now);
        serde_json::to_value(report::status(self, control, now)).unwrap_or_default()
    }

    /// Gives carrier where it is due, once all halves use the sessions that it stands for: what the kernel then routes
    /// into the device finds a session.
    fn raise(&mut self, now: Instant) {
        if self.rising.is_empty() {
            return;
        }
        self.plane.settle();
        for id in std::mem::take(&mut self.rising) {
            self.take_back(id);
            if let Some(channel) = self.channels.get_mut(&id) {
                channel.raise(now);
                if channel.take_path_news() {
                    self.path_news.push(id);
                }
            }
            self.switch(id);
        }
    }

    fn handle_events(&mut self, events: &Events, inputs: &mut Inputs) {
        // Before the queues are read: what comes later notifies again.
        if let Err(error) = events.acknowledge() {
            tracing::error!("the data plane's event descriptor: {error}");
        }
        inputs.leave_over(true);
        let end = Instant::now() + TURN;
        loop {
            let Some(event) = events.poll_event() else {
                inputs.leave_over(false);
                break;
            };
            let now = Instant::now();
            self.handle_event(event, now);
            if now >= end {
                break;
            }
        }
    }

    fn handle_event(&mut self, event: Event, now: Instant) {
        match event {
            Event::Handshake { channel, from, datagram } => {
                let under_load = self.load.count(now);
                self.with_channel(channel, now, |c, _| c.handle_handshake(now, from, &datagram, under_load));
            }
            Event::Confirmed { channel, session } => {
                self.with_channel(channel, now, |c, _| c.handle_confirmed(now, session));
            }
            Event::Frame { channel, at, session, plaintext } => {
                self.with_channel(channel, now, |c, _| c.handle_frame(now, at, session, &plaintext));
            }
            Event::Moved { channel, session, from } => {
                self.with_channel(channel, now, |c, plane| c.hear_from_elsewhere(session, from, plane));
            }
            Event::UnknownSession { channel, from } => {
                tracing::debug!("channel {}: {from} has an old session", channel.0);
                self.with_channel(channel, now, |c, _| c.handle_unknown_session(now));
            }
            Event::Refused { channel, from, reason, why } => {
                tracing::debug!("channel {}: dropped what {from} sent ({}): {why}", channel.0, reason.label());
            }
            Event::TooBigForUnderlay { channel, datagram } => {
                self.lower_mtu(channel, datagram, now);
            }
            Event::Unsent { channel, error } => {
                tracing::debug!("channel {}: a datagram could not be sent: {error}", channel.0);
            }
            Event::OffloadLost { channel, offload } => {
                self.with_channel(channel, now, |c, _| c.handle_offload_lost(offload));
            }
            Event::Failed { channel, half, error } => {
                self.with_channel(channel, now, |c, _| c.handle_failed(now, half, &error));
            }
        }
    }

    fn handle_deadlines(&mut self, now: Instant) {
        for id in self.deadlines.due(now) {
            let Some(channel) = self.channels.get_mut(&id) else { continue };
            channel.handle_timeout(now, || self.stamps.next(SystemTime::now()));
            self.carry_out(id, now);
            // The others are still due.
            if now.elapsed() > TURN {
                break;
            }
        }
    }

    fn want_names(&mut self, now: Instant) {
        for channel in self.channels.values() {
            match (channel.wanted_name(), channel.endpoint.name()) {
                (Some(host), _) => self.resolver.want(host, now),
                (None, Some((host, _))) => self.resolver.reached(host),
                (None, None) => {}
            }
        }
    }

    fn handle_resolved(&mut self, resolved: &Resolved, now: Instant) {
        self.resolver.finished(resolved, now);
        let found: &[IpAddr] = &resolved.addresses;
        let wants = |channel: &&Channel| channel.wanted_name() == Some(&resolved.host);
        let waiting: Vec<ChannelId> = self.channels.values().filter(wants).map(|channel| channel.id).collect();
        for id in waiting {
            self.with_channel(id, now, |channel, plane| channel.handle_resolved(now, found, plane));
        }
    }
}

impl LinkState {
    fn new(view: LinkView, now: Instant) -> LinkState {
        let silence = Limiter::new(SILENCE_PERIOD);
        LinkState { view, channels: Vec::new(), health: Health::new(now), silence }
    }
}

/// Where each link is, by name.
fn places(links: &[LinkState]) -> HashMap<String, usize> {
    links.iter().enumerate().map(|(place, link)| (link.view.name.clone(), place)).collect()
}

/// Tells the log of a link whose peer does not answer, with what to look at.
fn note_silence(link: &mut LinkState, channels: &BTreeMap<ChannelId, Channel>, now: Instant) {
    let of_link = link.channels.iter().filter_map(|id| channels.get(id));
    let unanswered: Vec<&Channel> = of_link.filter(|channel| channel.is_unanswered(now)).collect();
    let Some(first) = unanswered.first() else { return };
    if link.silence.admit(now).is_none() {
        return;
    }
    let (silent, all) = (unanswered.len(), link.channels.len());
    let advice = if first.is_refused() { String::new() } else { advice(&unanswered) };
    tracing::warn!(
        link = link.view.name,
        "{silent} of {all} channels without a session, the first: {}{advice}",
        first.no_answer(now)
    );
}

fn advice(channels: &[&Channel]) -> String {
    format!(
        "; check that the daemon runs there, that UDP {} here and the ports there are let through, and that both ends \
         have the same file and pre-shared key",
        ports(channels)
    )
}

fn ports(channels: &[&Channel]) -> String {
    let ports: Vec<u16> = channels.iter().map(|channel| channel.view.local.port()).collect();
    match (ports.first(), ports.last()) {
        (Some(first), Some(last)) if first != last => format!("ports {first} to {last}"),
        (first, _) => format!("port {}", first.copied().unwrap_or_default()),
    }
}

/// How often the log repeats that a link's peer does not answer.
const SILENCE_PERIOD: Duration = Duration::from_secs(300);

/// How long the end of a gateway waits for hooks; each has its own limit besides.
const HOOKS_AT_THE_END: Duration = Duration::from_secs(30);

/// How long a daemon that restarts waits for what the keeper is about: devices and routes stay in any case.
const KEEPER_AT_THE_END: Duration = Duration::from_secs(1);

/// How long events are handled before timers and callers get their turn, and the other way about: 20 handshakes.
const TURN: Duration = Duration::from_millis(5);
