//! The conversation with the peer: pings, time-outs, options compared, goodbyes (ping.c, occ.c, forward.c). Pure: time comes in
//! as an argument.

use std::time::{Duration, Instant};

use meshtun_openvpn::{
    options::{Options, PingTimeout},
    text::{Level, Signal},
};

/// A sign of life (ping.c, `ping_string`).
pub(crate) const PING: [u8; 16] =
    [0x2a, 0x18, 0x7b, 0xf3, 0x64, 0x1e, 0xb4, 0xcb, 0x07, 0xed, 0x2d, 0x0a, 0x98, 0x1f, 0xc7, 0x48];

/// What every message about options begins with (occ.c, `occ_magic`).
pub(crate) const OCC: [u8; 16] =
    [0x28, 0x7f, 0x34, 0x6b, 0xd4, 0xef, 0x7a, 0x81, 0x2d, 0x56, 0xb8, 0xd3, 0xaf, 0xc5, 0x45, 0x9c];

const REQUEST: u8 = 0;
const REPLY: u8 = 1;
const EXIT: u8 = 6;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Send(Vec<u8>),
    Say(Level, String),
    End(Signal, &'static str),
}

/// What is known of the peer.
#[derive(Debug)]
pub(crate) struct Peer {
    ping: Option<Duration>,
    timeout: Option<PingTimeout>,
    began: Instant,
    asked: Option<Instant>,
    answered: bool,
    tries: u32,
}

impl Peer {
    pub(crate) fn new(options: &Options, now: Instant) -> Peer {
        Peer {
            ping: options.ping,
            timeout: options.ping_timeout,
            began: now,
            asked: None,
            answered: !options.occ,
            tries: 0,
        }
    }

    /// To be called about once a second. `said`, `heard`: when something was last sent, and authentically received.
    pub(crate) fn tick(&mut self, now: Instant, said: Option<Instant>, heard: Option<Instant>) -> Vec<Action> {
        let mut actions = Vec::new();
        let silent = now.saturating_duration_since(heard.unwrap_or(self.began).max(self.began));
        match self.timeout {
            Some(PingTimeout::Restart(after)) if silent >= after => {
                actions.push(Action::Say(Level::INFO, "Inactivity timeout (--ping-restart), restarting".to_owned()));
                actions.push(Action::End(Signal::Usr1, "ping-restart"));
                return actions;
            }
            Some(PingTimeout::Exit(after)) if silent >= after => {
                actions.push(Action::Say(Level::INFO, "Inactivity timeout (--ping-exit), exiting".to_owned()));
                actions.push(Action::End(Signal::Term, "ping-exit"));
                return actions;
            }
            _ => {}
        }
        let quiet = now.saturating_duration_since(said.unwrap_or(self.began).max(self.began));
        if self.ping.is_some_and(|after| quiet >= after) {
            actions.push(Action::Send(PING.to_vec()));
        }
        if !self.answered
            && self.tries < 12
            && now.duration_since(self.asked.unwrap_or(self.began)) >= Duration::from_secs(10)
        {
            self.asked = Some(now);
            self.tries += 1;
            actions.push(Action::Send(message(REQUEST, b"")));
        }
        actions
    }

    /// A message about options came.
    pub(crate) fn frame(&mut self, payload: &[u8]) -> Vec<Action> {
        match payload.get(OCC.len()) {
            Some(&REPLY) => {
                self.answered = true;
                Vec::new()
            }
            Some(&EXIT) => vec![
                Action::Say(Level::INFO, "OCC exit message received by peer".to_owned()),
                Action::End(Signal::Usr1, "remote-exit"),
            ],
            _ => Vec::new(),
        }
    }

    /// The message that tells the peer of our exit.
    pub(crate) fn goodbye() -> Vec<u8> {
        message(EXIT, b"")
    }
}

fn message(code: u8, rest: &[u8]) -> Vec<u8> {
    [&OCC[..], &[code], rest].concat()
}
