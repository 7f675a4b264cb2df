//! Signals by which a session ends (sig.c).

use std::fmt;

/// What ends a session, in the order of what goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// SIGUSR1: begin again with what `persist-…` keeps.
    Usr1,
    /// SIGHUP: begin again with the configuration read again.
    Hup,
    /// SIGTERM: exit.
    Term,
    /// SIGINT: exit.
    Int,
}

impl Signal {
    /// `SIGUSR1` …
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Usr1 => "SIGUSR1",
            Self::Hup => "SIGHUP",
            Self::Term => "SIGTERM",
            Self::Int => "SIGINT",
        }
    }

    /// `sigusr1` …: the variable `signal` of scripts, where nothing else is known.
    #[must_use]
    pub fn lower(self) -> &'static str {
        match self {
            Self::Usr1 => "sigusr1",
            Self::Hup => "sighup",
            Self::Term => "sigterm",
            Self::Int => "sigint",
        }
    }

    /// Whether the process exits.
    #[must_use]
    pub fn is_exit(self) -> bool {
        matches!(self, Self::Term | Self::Int)
    }
}

/// Where a signal came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From outside: a person, another program, the management interface.
    Hard,
    /// From within.
    Soft,
    /// From within: no connection could be made.
    ConnectionFailed,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// What is to be done.
    pub signal: Signal,
    /// Who wants it.
    pub origin: Origin,
    /// `ping-restart`, `remote-exit` …
    pub text: Option<&'static str>,
}

impl Ending {
    /// A signal from outside.
    #[must_use]
    pub fn hard(signal: Signal) -> Self {
        Self { signal, origin: Origin::Hard, text: None }
    }

    /// One from within.
    #[must_use]
    pub fn soft(signal: Signal, text: &'static str) -> Self {
        Self { signal, origin: Origin::Soft, text: Some(text) }
    }

    /// The variable `signal` of scripts.
    #[must_use]
    pub fn description(&self) -> &'static str {
        self.text.unwrap_or_else(|| self.signal.lower())
    }
}

impl fmt::Display for Ending {
    /// `SIGUSR1[soft,ping-restart] received, process restarting`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = match self.origin {
            Origin::Hard => "hard",
            Origin::Soft => "soft",
            Origin::ConnectionFailed => "connection failed(soft)",
        };
        let then = if self.signal.is_exit() { "exiting" } else { "restarting" };
        write!(f, "{}[{origin},{}] received, process {then}", self.signal.name(), self.text.unwrap_or(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_told_as_openvpn_tells_them() {
        let told = |ending: Ending| (ending.to_string(), ending.description());
        assert_eq!(
            told(Ending::hard(Signal::Term)),
            ("SIGTERM[hard,] received, process exiting".to_owned(), "sigterm")
        );
        assert_eq!(
            told(Ending::soft(Signal::Usr1, "ping-restart")),
            ("SIGUSR1[soft,ping-restart] received, process restarting".to_owned(), "ping-restart")
        );
        let failed = Ending { signal: Signal::Usr1, origin: Origin::ConnectionFailed, text: Some("connection-failed") };
        assert_eq!(
            failed.to_string(),
            "SIGUSR1[connection failed(soft),connection-failed] received, process restarting"
        );
    }

    #[test]
    fn interrupts_go_before_terminations_before_restarts() {
        assert!(Signal::Int > Signal::Term && Signal::Term > Signal::Hup && Signal::Hup > Signal::Usr1);
    }
}
