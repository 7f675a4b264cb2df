//! The life of a connection between two processes, without its packets: when to ping, when the other end is dead, what is said
//! about options, and how either end says goodbye (init.c `do_init_timers`, forward.c `process_coarse_timers`, ping.c, occ.c,
//! sig.c).
//!
//! It is asked and told in a fixed order. Whenever something happened ([`Peer::handle_authenticated`],
//! [`Peer::handle_message`], …), and when [`Peer::poll_timeout`] has passed ([`Peer::handle_traffic`], then
//! [`Peer::handle_timeout`]), everything that [`Peer::poll_output`] has is to be done. After [`Output::End`] nothing more comes:
//! a restart makes a new peer.

mod mtu_test;
mod note;
mod timer;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use mtu_test::MtuTest;
pub use note::Note;
use timer::Timer;

use crate::{
    occ::{self, Message, Whose},
    options::{Options, PingTimeout, Protocol},
    ping::PING,
};

/// Between two questions for the peer's options (`OCC_INTERVAL_SECONDS`).
const ASK_EVERY: Duration = Duration::from_secs(10);

/// After so many times ten seconds without an answer nothing more is asked (`OCC_N_TRIES`).
const ASK_TIMES: u32 = 12;

/// Between two goodbyes.
const GOODBYE_EVERY: Duration = Duration::from_secs(1);

/// How often traffic is looked at where too little of it ends the process.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the data plane has counted, since the peer was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// When a datagram was sent last, of whatever kind.
    pub sent: Option<Instant>,
    /// When an authentic datagram was received last.
    pub heard: Option<Instant>,
    /// Bytes of inner packets, of both ways.
    pub inner_bytes: u64,
    /// Bytes of all datagrams received.
    pub received_bytes: u64,
    /// Bytes of the payloads of authentic datagrams.
    pub authentic_bytes: u64,
    /// The longest datagram received, in bytes; zero if nobody looks.
    pub longest_received: u16,
    /// The longest datagram sent, in bytes; zero if nobody looks.
    pub longest_sent: u16,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Seal this payload and send it, if it is known where to.
    Send(Vec<u8>),
    /// The first authentic datagram came: "Peer Connection Initiated", then all that waits for it.
    Established,
    /// Something to say.
    Note(Note),
    /// The connection is over.
    End(End),
}

/// How a connection ends; the words are those of OpenVPN's log ("SIGUSR1[soft,ping-restart] received, process restarting").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As if SIGUSR1 had come.
    Restart(&'static str),
    /// As if SIGTERM had come.
    Exit(&'static str),
}

/// One end's view of the connection.
#[derive(Debug)]
pub struct Peer {
    protocol: Protocol,
    ours: String,
    theirs: String,
    /// Whether the options name a remote: only then is it worth a word that it does not answer.
    has_remote: bool,
    is_remote_known: bool,
    ping_timer_remote: bool,
    is_established: bool,
    traffic: Traffic,
    ping: Timer,
    timeout: Option<(Timer, PingTimeout)>,
    /// With the least number of bytes, and the bytes at the last time there were that many.
    inactive: Option<(Timer, u64, u64)>,
    look: Timer,
    session: Timer,
    asking: Timer,
    asked: u32,
    mtu_test: MtuTest,
    goodbyes: u32,
    /// The goodbyes that have been said, once there is one to be said.
    leaving: Option<u32>,
    goodbye: Timer,
    outputs: VecDeque<Output>,
    is_over: bool,
}

impl Peer {
    /// A connection that begins now, over what carries it.
    #[must_use]
    pub fn new(options: &Options, protocol: Protocol, now: Instant) -> Self {
        let timeout = options.ping_timeout.map(|timeout| {
            let (PingTimeout::Restart(time) | PingTimeout::Exit(time)) = timeout;
            (Timer::every(time, now), timeout)
        });
        let inactive = options.inactive.map(|rule| (Timer::every(rule.time, now), rule.bytes.max(1), 0));
        Self {
            protocol,
            ours: occ::options_string(options, protocol, Whose::Ours),
            theirs: occ::options_string(options, protocol, Whose::Theirs),
            has_remote: !options.remotes.is_empty(),
            is_remote_known: !options.remotes.is_empty(),
            ping_timer_remote: options.ping_timer_remote,
            is_established: false,
            traffic: Traffic::default(),
            // The first ping goes at once.
            ping: options.ping.map_or(Timer::never(), |every| Timer::at_once(every, now)),
            timeout,
            look: if inactive.is_some() { Timer::every(LOOK_EVERY, now) } else { Timer::never() },
            inactive,
            session: options.session_timeout.map_or(Timer::never(), |time| Timer::every(time, now)),
            asking: if options.occ { Timer::every(ASK_EVERY, now) } else { Timer::never() },
            asked: 0,
            mtu_test: MtuTest::new(options, protocol, now),
            goodbyes: options.explicit_exit_notify.filter(|_| protocol == Protocol::Udp).unwrap_or(0),
            leaving: None,
            goodbye: Timer::never(),
            outputs: VecDeque::new(),
            is_over: false,
        }
    }

    /// Whether an authentic datagram ever came.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.is_established
    }

    /// An authentic datagram that was more than nothing came: the first one must be told, of others the data plane's counters
    /// tell soon enough.
    pub fn handle_authenticated(&mut self, now: Instant) {
        self.is_remote_known = true;
        self.traffic.heard = self.traffic.heard.max(Some(now));
        if !std::mem::replace(&mut self.is_established, true) {
            self.put(Output::Established);
        }
    }

    /// What the data plane has counted so far: to be told before [`Self::handle_timeout`], and as often as one likes.
    pub fn handle_traffic(&mut self, now: Instant, traffic: Traffic) {
        let before = std::mem::replace(&mut self.traffic, traffic);
        self.traffic.heard = self.traffic.heard.max(before.heard);
        self.mtu_test.note_lengths(traffic.longest_received, traffic.longest_sent);
        if let Some((timer, least, counted)) = &mut self.inactive
            && traffic.inner_bytes.saturating_sub(*counted) >= *least
        {
            *counted = traffic.inner_bytes;
            timer.restart(now);
        }
    }

    /// A message came ([`occ::is_message`]), in a datagram of so many bytes.
    pub fn handle_message(&mut self, now: Instant, payload: &[u8], datagram: usize) {
        self.handle_authenticated(now);
        self.mtu_test.note_lengths(u16::try_from(datagram).unwrap_or(u16::MAX), 0);
        match Message::decode(payload) {
            Some(Message::Request) => self.say(&Message::Reply(self.ours.clone().into_bytes())),
            Some(Message::Reply(theirs)) => self.compare(&theirs),
            Some(Message::MtuLoadRequest(length)) => {
                let load = self.mtu_test.load_of(length.into());
                self.say(&load);
            }
            Some(Message::MtuRequest) => {
                let reply = self.mtu_test.reply();
                self.say(&reply);
            }
            Some(Message::MtuReply { received, sent }) => {
                let notes = self.mtu_test.finish(received, sent, self.protocol);
                notes.into_iter().for_each(|note| self.note(note));
            }
            Some(Message::Exit) => {
                self.note(Note::RemoteExit);
                self.end(End::Restart("remote-exit"));
            }
            Some(Message::MtuLoad(_)) | None => {}
        }
    }

    /// A datagram did not open. In a stream nothing that follows would, either.
    pub fn handle_open_failed(&mut self) {
        if self.protocol != Protocol::Udp {
            self.note(Note::FatalDecryptionError);
            self.end(End::Restart("decryption-error"));
        }
    }

    /// The stream was closed or reset.
    pub fn handle_connection_reset(&mut self) {
        if self.leaving.is_none() {
            self.end(End::Restart("connection-reset"));
        }
    }

    /// The process is told to exit (SIGTERM, SIGINT): after as many goodbyes as `explicit-exit-notify` says, one a second, or at
    /// once. The second time it is at once.
    pub fn handle_exit(&mut self, now: Instant) {
        if self.goodbyes == 0 || self.leaving.is_some() {
            return self.end(End::Exit(""));
        }
        self.note(Note::SayingGoodbye);
        self.leaving = Some(0);
        self.goodbye = Timer::at_once(GOODBYE_EVERY, now);
        self.handle_timeout(now);
    }

    /// When [`Self::handle_timeout`] is to be called; `None`: not before something happens.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.is_over {
            return None;
        }
        let timeout = self.timeout.as_ref().filter(|_| self.is_timeout_running()).and_then(|(timer, _)| timer.due());
        let inactive = self.inactive.as_ref().and_then(|(timer, ..)| timer.due());
        let timers = [&self.ping, &self.look, &self.session, &self.asking, &self.goodbye];
        let timers = timers.into_iter().filter_map(Timer::due);
        timers.chain(timeout).chain(inactive).chain(self.mtu_test.due(self.is_established)).min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.is_over {
            return;
        }
        self.look.fire(now);
        if self.inactive.as_mut().is_some_and(|(timer, ..)| timer.fire(now)) {
            self.note(Note::Inactive);
            return self.end(End::Exit("inactive"));
        }
        if self.session.fire(now) {
            self.note(Note::SessionTimeout);
            return self.end(End::Exit("session-timeout"));
        }
        if self.is_timed_out(now) {
            return;
        }
        self.ask(now);
        let (messages, notes) = self.mtu_test.turn(now, self.is_established);
        messages.iter().for_each(|message| self.say(message));
        notes.into_iter().for_each(|note| self.note(note));
        self.say_goodbye(now);
        if let Some(sent) = self.traffic.sent {
            self.ping.restart_after(sent);
        }
        if self.ping.fire(now) {
            self.put(Output::Send(PING.to_vec()));
        }
    }

    /// What is to be done next, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn is_timeout_running(&self) -> bool {
        !self.ping_timer_remote || self.is_remote_known
    }

    fn is_timed_out(&mut self, now: Instant) -> bool {
        let is_running = self.is_timeout_running();
        let Some((timer, timeout)) = &mut self.timeout else { return false };
        if let Some(heard) = self.traffic.heard {
            timer.restart_after(heard);
        }
        if !is_running || !timer.fire(now) {
            return false;
        }
        let (note, end) = match timeout {
            PingTimeout::Restart(_) => (Note::PingRestart, End::Restart("ping-restart")),
            PingTimeout::Exit(_) => (Note::PingExit, End::Exit("ping-exit")),
        };
        self.note(note);
        self.end(end);
        true
    }

    fn ask(&mut self, now: Instant) {
        if !self.asking.fire(now) {
            return;
        }
        self.asked += 1;
        if self.asked < ASK_TIMES {
            return self.say(&Message::Request);
        }
        self.asking = Timer::never();
        if self.has_remote {
            let Traffic { received_bytes, authentic_bytes, .. } = self.traffic;
            self.note(Note::NoOptions { received_bytes, authentic_bytes });
        }
    }

    fn compare(&mut self, theirs: &[u8]) {
        self.asking = Timer::never();
        if theirs.get(..2) != self.theirs.as_bytes().get(..2) {
            self.note(Note::OtherVersion);
        }
        for difference in occ::differences(&self.theirs, theirs) {
            self.note(Note::Difference(difference));
        }
    }

    fn say_goodbye(&mut self, now: Instant) {
        let Some(said) = self.leaving else { return };
        if !self.goodbye.fire(now) {
            return;
        }
        if said == self.goodbyes {
            return self.end(End::Exit("exit-with-notification"));
        }
        self.leaving = Some(said + 1);
        self.say(&Message::Exit);
    }

    fn say(&mut self, message: &Message) {
        self.put(Output::Send(message.encode()));
    }

    fn note(&mut self, note: Note) {
        self.put(Output::Note(note));
    }

    /// An end is the last word.
    fn put(&mut self, output: Output) {
        if !self.is_over {
            self.outputs.push_back(output);
        }
    }

    /// Whoever is leaving does not start again.
    fn end(&mut self, end: End) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let end = match end {
            End::Restart(_) if self.leaving.is_some() => End::Exit("exit-with-notification"),
            end => end,
        };
        self.outputs.push_back(Output::End(end));
    }
}

#[cfg(test)]
mod tests;
