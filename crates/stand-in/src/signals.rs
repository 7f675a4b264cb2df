//! Signals from outside (sig.c).

use std::io;

use meshtun_openvpn::{
    options::{Options, UserSignal},
    text::{Ending, Signal, Thrown},
};
use tokio::signal::unix::{self, SignalKind};

/// The signals that the process listens for, from the moment this is made.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hangup: unix::Signal,
    user1: unix::Signal,
    user2: unix::Signal,
}

impl Signals {
    pub(crate) fn new() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: unix::signal(SignalKind::interrupt())?,
            terminate: unix::signal(SignalKind::terminate())?,
            hangup: unix::signal(SignalKind::hangup())?,
            user1: unix::signal(SignalKind::user_defined1())?,
            user2: unix::signal(SignalKind::user_defined2())?,
        })
    }

    /// The next one; of several that wait, the one that goes first.
    pub(crate) async fn next(&mut self) -> Thrown {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => Thrown::Ending(Signal::Int),
            _ = self.terminate.recv() => Thrown::Ending(Signal::Term),
            _ = self.hangup.recv() => Thrown::Ending(Signal::Hup),
            _ = self.user1.recv() => Thrown::Ending(Signal::Usr1),
            _ = self.user2.recv() => Thrown::Usr2,
        }
    }
}

/// `remap-usr1`: what a SIGUSR1 of whatever origin becomes (sig.c, `remap_signal`).
pub(crate) fn remapped(ending: Ending, options: &Options) -> Ending {
    let signal = match (ending.signal, options.remap_usr1) {
        (Signal::Usr1, Some(UserSignal::Hup)) => Signal::Hup,
        (Signal::Usr1, Some(UserSignal::Term)) => Signal::Term,
        (signal, _) => signal,
    };
    Ending { signal, ..ending }
}
