//! What the service runner is told (sd_notify(3); init.c, `possibly_become_daemon`, `initialization_sequence_completed`).

use std::ffi::OsString;

use meshtun_sys::service;

/// The socket of the service runner, if there is one.
#[derive(Debug)]
pub(crate) struct Notifier(Option<OsString>);

impl Notifier {
    pub(crate) fn new() -> Notifier {
        Notifier(std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()))
    }

    /// Whether somebody heard it.
    pub(crate) fn tell(&self, message: &str) -> bool {
        // Whoever runs the service may have no ear for it: no reason to end.
        self.0.as_ref().is_some_and(|socket| service::notify(socket, message.as_bytes(), &[]).is_ok())
    }
}
