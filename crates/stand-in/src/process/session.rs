//! One session: from a pause to a signal (init.c, `init_instance`; openvpn.c, `tunnel_point_to_point`).

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use meshtun_openvpn::{
    mtu,
    options::{Compression, Inactivity, Options, PingTimeout, Protocol},
    peer::{End, Note, Output, Peer, Traffic},
    text::{Ending, Level, Origin, Signal, Statistics, bad_length, link_name, rejected, socket_address, socket_error},
};
use meshtun_sys::udp;
use tokio::time::{MissedTickBehavior, interval};

use super::{Process, pause::Wish, tunnel::DEVICE_GONE, warnings};
use crate::{
    environment::Environment,
    fatal::Fatal,
    link::{Carrier, Link, NoConnection, Plan},
    management::{Ends, State},
    path::{Event, Manner, Path, Refusal},
    status::StatusFile,
    wire,
};

/// A session on its way.
#[derive(Debug)]
pub(super) struct Session {
    path: Option<Path>,
    peer: Peer,
    /// The peer was heard, and everything is done that waits for that.
    up: bool,
    /// When routes are due.
    routes_at: Option<Instant>,
    /// All routes are there.
    all_routes: bool,
    /// The process is about to exit, for this reason, once the peer has been told.
    leaving: Option<Ending>,
}

/// What is told in the log and to the service runner at the end of a beginning.
const COMPLETED: &str = "Initialization Sequence Completed";

impl Process {
    /// Runs a session and closes what it opened.
    pub(super) async fn session(&mut self, environment: &mut Environment) -> Result<Ending, Fatal> {
        if let Some(ending) = self.startup_pause().await {
            self.close(ending, None, environment).await?;
            return Ok(ending);
        }
        self.count_attempts()?;
        warnings::tell(&self.options, &self.log);
        self.scripts.note_security(self.has_scripts());
        if self.status.is_none() {
            self.status = self.options.status.as_ref().and_then(|status| StatusFile::open(status, &self.log));
        }
        if std::mem::take(&mut self.keeps_key) {
            self.log.info("Re-using pre-shared static key");
        }
        self.tell_ciphers();
        let mut session = Session {
            path: None,
            peer: Peer::new(&self.options, self.options.protocol, Instant::now()),
            up: false,
            routes_at: None,
            all_routes: true,
            leaving: None,
        };
        let ending = match self.converse(&mut session, environment).await {
            Ok(ending) => ending,
            Err(fatal) => {
                self.keep(session.path.take());
                return Err(fatal);
            }
        };
        self.failures = if session.up { 0 } else { self.failures.saturating_add(1) };
        if ending.signal == Signal::Usr1 {
            self.remotes.advance(ending);
        }
        if let Some(path) = &session.path {
            self.write_status(&path.statistics(), Instant::now());
        }
        self.close(ending, session.path, environment).await?;
        Ok(ending)
    }

    /// `connect-retry-max` (init.c, `next_connection_entry`).
    fn count_attempts(&self) -> Result<(), Fatal> {
        let Some(most) = self.options.connect_attempts else { return Ok(()) };
        let remotes = u32::try_from(self.options.remotes.len().max(1)).unwrap_or(u32::MAX);
        if self.failures < most.saturating_mul(remotes) {
            return Ok(());
        }
        Err(Fatal::new(format_args!(
            "All connections have been connect-retry-max ({most}) times unsuccessful, exiting"
        )))
    }

    async fn converse(&mut self, session: &mut Session, environment: &mut Environment) -> Result<Ending, Fatal> {
        let early = match self.find_early().await? {
            Ok(plan) => plan,
            Err(ending) => return Ok(ending),
        };
        if !self.options.up_delay {
            // `remote_host` in routes.
            let remote = early.as_ref().and_then(|plan| plan.remote).map(|remote| remote.ip());
            session.all_routes = self.open_tunnel(remote, environment).await?;
        }
        let plan = match early {
            Some(plan) => plan,
            None => match self.find_late().await? {
                Ok(plan) => plan,
                Err(ending) => return Ok(ending),
            },
        };
        let link = match self.connect(plan).await? {
            Ok(link) => link,
            Err(ending) => return Ok(ending),
        };
        let (protocol, is_ipv6) = (link.protocol, link.local.is_ipv6());
        let wire = wire::make(&self.options, &self.key, &link, &self.memory)?;
        let anybody = self.options.float || link.remote.is_none();
        let mut path = Path::new(link, wire, anybody)?;
        if let Some(tunnel) = self.tunnel.as_ref().filter(|_| !self.options.up_delay) {
            path = path.carry(&tunnel.device, self.manner(protocol, is_ipv6))?;
        }
        session.path = Some(path);
        if self.first && self.is_daemon && self.options.cd.is_none() {
            // A program in the background is in nobody's way (init.c, `do_init_first_time`).
            let _stays = std::env::set_current_dir("/");
        }
        if self.options.up_delay {
            if self.first {
                self.privileges.note_delay(&self.log);
            }
        } else {
            self.privileges.drop_now(&self.log)?;
        }
        session.peer = Peer::new(&self.options, protocol, Instant::now());
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let path = session.path.as_mut();
            let event = async {
                match path {
                    Some(path) => path.event().await,
                    None => std::future::pending().await,
                }
            };
            let ending = tokio::select! {
                biased;
                wish = self.next_wish() => self.grant(wish, session),
                _ = tick.tick() => self.tick(session, environment).await?,
                event = event => self.take(event, session, environment).await?,
            };
            if let Some(ending) = ending {
                return Ok(ending);
            }
        }
    }

    /// A socket opened, for TCP a connection made.
    async fn connect(&mut self, plan: Plan) -> Result<Result<Link, Ending>, Fatal> {
        let (options, log) = (self.options.clone(), self.log.clone());
        if plan.remote.is_some() {
            let to = socket_address(plan.remote);
            log.info(format_args!("TCP/UDP: Preserving recently used remote address: {to}"));
        }
        let protocol = plan.protocol;
        let addresses = self.remotes.addresses().to_vec();
        let longest = u16::try_from(mtu::longest_packet(&self.options, protocol)).unwrap_or(u16::MAX);
        let link = if protocol == Protocol::Udp {
            let udp = match plan.open_udp(&self.options, &self.log) {
                Err(fatal) if self.may_wait(&fatal) => return Ok(Err(self.soft(Signal::Usr1, "bind-failed"))),
                opened => opened?,
            };
            let local = udp.local_addr();
            Link { carrier: Carrier::Udp(Arc::new(udp)), protocol, local, remote: plan.remote, addresses, longest }
        } else {
            self.tell_state(State::TcpConnect, "", &Ends::default());
            let stream = match self.unless_interrupted(plan.open_tcp(&options, &log)).await {
                Err(ending) => return Ok(Err(ending)),
                Ok(Err(NoConnection::Failed)) => return Ok(Err(self.soft(Signal::Usr1, "connection-failed"))),
                Ok(Err(NoConnection::Fatal(fatal))) if self.may_wait(&fatal) => {
                    return Ok(Err(self.soft(Signal::Usr1, "bind-failed")));
                }
                Ok(Err(NoConnection::Fatal(fatal))) => return Err(fatal),
                Ok(Ok(stream)) => stream,
            };
            let local = stream.local_addr().unwrap_or(plan.local);
            let remote = stream.peer_addr().ok().or(plan.remote);
            Link { carrier: Carrier::Tcp(stream), protocol, local, remote, addresses, longest }
        };
        plan.tell(&link, &self.log);
        Ok(Ok(link))
    }

    /// Whether a link that could be opened once, and cannot now, may be tried again after a pause.
    fn may_wait(&self, fatal: &Fatal) -> bool {
        let waits = !self.first && fatal.passes();
        if waits {
            self.log.say(Level::LINK, format_args!("{fatal}: trying again until it is there"));
        }
        waits
    }

    /// Does what a signal or a client of the management interface wants.
    fn grant(&mut self, wish: Wish, session: &mut Session) -> Option<Ending> {
        match wish {
            Wish::End(ending) => self.leave(ending, session),
            wish => {
                let counted = session.path.as_ref().map(Path::statistics).unwrap_or_default();
                self.answer(wish, &counted);
                None
            }
        }
    }

    /// Before the process exits the peer is told, if `explicit-exit-notify` says so.
    fn leave(&mut self, ending: Ending, session: &mut Session) -> Option<Ending> {
        if !ending.signal.is_exit() || session.path.is_none() {
            return Some(ending);
        }
        session.leaving = Some(ending);
        session.peer.handle_exit(Instant::now());
        self.act(session)
    }

    /// Once a second: timers, the status file, the management interface, what is to be kept.
    async fn tick(&mut self, session: &mut Session, environment: &mut Environment) -> Result<Option<Ending>, Fatal> {
        let now = Instant::now();
        let Some(path) = &mut session.path else { return Ok(None) };
        let counted = path.statistics();
        let (newest, sent) = path.memory();
        self.memory.keep(newest, sent, &self.log);
        if let Some(management) = &mut self.management {
            management.count(&counted, now);
        }
        if self.status.as_ref().is_some_and(|status| status.is_due(now)) {
            self.write_status(&counted, now);
        }
        let (sent, heard) = path.said_and_heard();
        session.peer.handle_traffic(
            now,
            Traffic {
                sent,
                heard,
                inner_bytes: counted.tun_read + counted.tun_write,
                received_bytes: counted.link_read,
                authentic_bytes: counted.auth_read,
                // An MTU test's are longer than any other, and told with the message.
                longest_received: 0,
                longest_sent: 0,
            },
        );
        session.peer.handle_timeout(now);
        let ending = self.act(session);
        if ending.is_none() && session.routes_at.is_some_and(|at| now >= at) {
            session.routes_at = None;
            session.all_routes &= self.add_routes(environment).await?;
            self.complete(session)?;
        }
        Ok(ending)
    }

    /// Does what the conversation with the peer asks for.
    fn act(&mut self, session: &mut Session) -> Option<Ending> {
        while let Some(output) = session.peer.poll_output() {
            match output {
                Output::Send(frame) => {
                    if let Some(path) = &mut session.path {
                        path.send(frame);
                    }
                }
                // Done where the address is known: `meet`.
                Output::Established => {}
                Output::Note(Note::SayingGoodbye) => {
                    let signal = session.leaving.map_or(Signal::Term, |ending| ending.signal);
                    self.log.info(format_args!("{} received, sending exit notification to peer", signal.name()));
                }
                Output::Note(note) if note.is_warning() => self.log.warning(note),
                Output::Note(note) => self.log.info(note),
                Output::End(End::Restart(why)) => return Some(self.soft(Signal::Usr1, why)),
                Output::End(End::Exit("")) => return session.leaving.or(Some(self.hard(Signal::Term))),
                Output::End(End::Exit(why)) => {
                    let signal = session.leaving.map_or(Signal::Term, |ending| ending.signal);
                    return Some(Ending { signal, origin: Origin::Soft, text: Some(why) });
                }
            }
        }
        None
    }

    /// Something happened on the way of packets.
    async fn take(
        &mut self,
        event: Event,
        session: &mut Session,
        environment: &mut Environment,
    ) -> Result<Option<Ending>, Fatal> {
        match event {
            Event::Heard(from) => self.meet(from, session, environment).await?,
            Event::Frame(payload) => {
                let protocol = self.remote().map_or(self.options.protocol, |remote| remote.protocol);
                let is_ipv6 = session.path.as_ref().is_some_and(|path| path.ends().0.is_ipv6());
                let datagram = mtu::Datagrams::new(&self.options, protocol, is_ipv6).longest(payload.len());
                session.peer.handle_message(Instant::now(), &payload, datagram);
                return Ok(self.act(session));
            }
            Event::Refused(refusal) => self.tell_refusal(refusal, session),
            Event::TooBig(length) => self.tell_too_big(length, session),
            Event::Unsent(error) => self.log.say(Level::LINK, socket_error("write", link_of(session), "", &error)),
            Event::Trouble(error) => self.log.say(Level::LINK, socket_error("read", link_of(session), "", &error)),
            Event::Reset(code) => {
                self.log.say(Level::STREAM, format_args!("Connection reset, restarting [{code}]"));
                return Ok(Some(self.soft(Signal::Usr1, "connection-reset")));
            }
            Event::BadLength { length, longest } => {
                self.log.warning(bad_length(length, longest));
                self.log.say(Level::STREAM, "Connection reset, restarting [0]");
                return Ok(Some(self.soft(Signal::Usr1, "connection-reset")));
            }
            Event::Unreadable => {
                session.peer.handle_open_failed();
                return Ok(self.act(session));
            }
            Event::DeviceGone => {
                let name = self.tunnel.as_ref().map_or("", |tunnel| tunnel.device.name());
                self.log.say(
                    Level::ERROR,
                    format_args!(
                        "ERROR: the device {name} was deleted by somebody else: it is made anew, with a restart"
                    ),
                );
                return Ok(Some(self.soft(Signal::Usr1, DEVICE_GONE)));
            }
            Event::Broken(why) => {
                self.log.say(Level::ERROR, format_args!("ERROR: the tunnel is broken, restarting: {why}"));
                return Ok(Some(self.soft(Signal::Usr1, "error")));
            }
        }
        Ok(None)
    }

    fn write_status(&mut self, counted: &Statistics, now: Instant) {
        let lines = self.statistics(counted);
        if let Some(status) = &mut self.status {
            status.write(&lines, now, &self.log);
        }
    }

    /// A datagram was longer than the path takes, as far as the kernel knows.
    fn tell_too_big(&self, length: usize, session: &Session) {
        let remote = session.path.as_ref().and_then(|path| path.ends().1);
        let hint = match remote.map(udp::path_mtu) {
            Some(Ok(mtu)) => format!("EMSGSIZE Path-MTU={mtu}"),
            _ => "EMSGSIZE".to_owned(),
        };
        let line = socket_error("write", link_of(session), &hint, &io::Error::from_raw_os_error(TOO_LONG));
        self.log.say(Level::LINK, format_args!("{line}: {length} bytes; use --mssfix or --fragment"));
    }

    fn tell_refusal(&self, refusal: Refusal, session: &Session) {
        match refusal {
            Refusal::Source(from) => {
                let expected = session.path.as_ref().and_then(|path| path.ends().1);
                self.log.say(Level::LINK, rejected(from, expected));
            }
            Refusal::Packet(why) => self.log.say(Level::CRYPT, why),
            Refusal::Replay(why) => self.log.say(Level::REPLAY, why),
        }
    }

    /// The peer was heard for the first time, or from another address.
    async fn meet(
        &mut self,
        from: SocketAddr,
        session: &mut Session,
        environment: &mut Environment,
    ) -> Result<(), Fatal> {
        self.heard_at = Some(from);
        session.peer.handle_authenticated(Instant::now());
        self.log.info(format_args!("Peer Connection Initiated with {}", socket_address(Some(from))));
        self.run_ipchange(from, environment).await?;
        if std::mem::replace(&mut session.up, true) {
            return Ok(());
        }
        if self.options.up_delay {
            session.all_routes = self.open_tunnel(Some(from.ip()), environment).await?;
            if let (Some(path), Some(tunnel)) = (session.path.take(), &self.tunnel) {
                let protocol = self.remote().map_or(self.options.protocol, |remote| remote.protocol);
                let manner = self.manner(protocol, from.is_ipv6());
                session.path = Some(path.carry(&tunnel.device, manner)?);
            }
        }
        match self.options.route_delay {
            Some(delay) => session.routes_at = Some(Instant::now() + delay.delay),
            None => self.complete(session)?,
        }
        self.tell_session();
        Ok(())
    }

    /// How packets are carried over a link of this kind.
    fn manner(&self, protocol: Protocol, is_ipv6: bool) -> Manner {
        /// Of IPv4 and TCP, without options: `mssfix` holds over IPv4 at least.
        const HEADERS: u16 = 40;
        let segment = mtu::max_segment(&self.options, protocol, is_ipv6);
        // socket_util.h, `datagram_overhead`.
        let overhead = if protocol == Protocol::Udp { 8 } else { 20 } + if is_ipv6 { 40 } else { 20 };
        if let Some(rate) = self.options.shaper {
            self.log.info(format_args!("Output Traffic Shaping initialized at {rate} bytes per second"));
        }
        Manner {
            longest: segment.map(|segment| segment.saturating_add(HEADERS)),
            rate: self.options.shaper.map(|rate| (rate, overhead)),
            copies_class: self.options.passtos,
        }
    }

    /// All is set up.
    fn complete(&mut self, session: &Session) -> Result<(), Fatal> {
        self.privileges.drop_now(&self.log)?;
        if session.all_routes {
            self.remotes.established();
            self.notifier.tell(&format!("STATUS={COMPLETED}"));
            self.log.info(COMPLETED);
        } else {
            self.notifier.tell(&format!("STATUS=Failed to start up: {COMPLETED} With Errors\nERRNO=1"));
            self.log.info(format_args!("{COMPLETED} With Errors"));
        }
        let mut ends = self.tunnel_ends();
        if let Some((local, remote)) = session.path.as_ref().map(Path::ends) {
            (ends.local, ends.remote) = (Some(local), remote);
        }
        let detail = if session.all_routes { "SUCCESS" } else { "ROUTE_ERROR" };
        self.tell_state(State::Connected, detail, &ends);
        Ok(())
    }

    /// Keeps what must outlive a session, and ends the way of its packets.
    pub(super) fn keep(&mut self, path: Option<Path>) {
        if let Some(path) = path {
            let (newest, sent) = path.memory();
            self.memory.keep(newest, sent, &self.log);
        }
    }

    fn tell_ciphers(&self) {
        let Options { cipher, digest, .. } = &self.options;
        for way in ["Outgoing", "Incoming"] {
            let (name, bits) = (cipher.name(), cipher.key_len() * 8);
            let line = format!("{way} Static Key Encryption: Cipher '{name}' initialized with {bits} bit key");
            self.log.say(Level::LOW, line);
            let (name, bits) = (digest.name(), digest.len() * 8);
            let line =
                format!("{way} Static Key Encryption: Using {bits} bit message hash '{name}' for HMAC authentication");
            self.log.say(Level::LOW, line);
        }
    }

    /// What is in force (init.c, `do_print_data_channel_mtu_parms` and after).
    fn tell_session(&self) {
        let Options { cipher, digest, ping, ping_timeout, .. } = &self.options;
        let compression = match self.options.compression {
            Compression::None => "",
            _ => ", compression: stub only, nothing is compressed",
        };
        let line = format!("Data Channel: cipher '{}', auth '{}'{compression}", cipher.name(), digest.name());
        self.log.say(Level::HANDSHAKE, line);
        let mut timers: Vec<String> = ping.map(|every| format!("ping {}", every.as_secs())).into_iter().collect();
        timers.extend(ping_timeout.map(|timeout| match timeout {
            PingTimeout::Restart(after) => format!("ping-restart {}", after.as_secs()),
            PingTimeout::Exit(after) => format!("ping-exit {}", after.as_secs()),
        }));
        timers.extend(self.options.inactive.map(|Inactivity { time, bytes }| match bytes {
            0 => format!("inactive {}", time.as_secs()),
            bytes => format!("inactive {} {bytes}", time.as_secs()),
        }));
        timers.extend(self.options.session_timeout.map(|time| format!("session-timeout {}", time.as_secs())));
        if !timers.is_empty() {
            self.log.say(Level::HANDSHAKE, format_args!("Timers: {}", timers.join(", ")));
        }
        if let Some(notices) = self.options.explicit_exit_notify {
            self.log.say(Level::HANDSHAKE, format_args!("Protocol options: explicit-exit-notify {notices}"));
        }
    }
}

/// `EMSGSIZE`.
const TOO_LONG: i32 = 90;

/// `UDPv4` or `UDPv6`.
fn link_of(session: &Session) -> &'static str {
    link_name(Protocol::Udp, session.path.as_ref().is_some_and(|path| path.ends().0.is_ipv6()))
}
