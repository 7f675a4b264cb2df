//! `daemon`, `log`, `status`, `remap-usr1`.

use std::time::Duration;

/// `daemon`: go into the background. Unless a log file is named, messages go to syslog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Daemon {
    /// The name in syslog, `openvpn` unless given.
    pub name: Option<String>,
}

/// `log`, `log-append`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// As it was written.
    pub path: String,
    /// `log-append`: what it holds stays.
    pub append: bool,
}

/// `status`, `status-version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// As it was written.
    pub path: String,
    /// How often it is written, 60 s unless given. Zero: only on SIGUSR2.
    pub every: Duration,
    /// 1 to 3; the file of a point-to-point process is the same for all.
    pub version: u8,
}

/// `remap-usr1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserSignal {
    /// `SIGHUP`: restart, with the configuration read again.
    Hup,
    /// `SIGTERM`: exit.
    Term,
}
