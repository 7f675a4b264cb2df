//! What systemd is told, by the protocol of sd_notify(3): that the gateway is ready, reloads or stops, and which sockets
//! live on across a restart.
//!
//! Of descriptors only UDP sockets are given away, never a tun device's: its carrier stays as long as anybody holds it, and
//! a gateway that is gone would look alive.

use std::{ffi::OsString, io, os::fd::AsFd};

use meshtun_sys::{service, udp::Udp};

/// The service's notification socket, if the service runner has one.
#[derive(Clone, Debug)]
pub(crate) struct Notifier {
    socket: Option<OsString>,
}

impl Notifier {
    /// From `$NOTIFY_SOCKET`; without it nothing is told.
    pub(crate) fn from_environment() -> Notifier {
        Notifier { socket: std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) }
    }

    /// The gateway carries packets as soon as its peers answer.
    pub(crate) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}\n"));
    }

    /// The gateway is on its way out.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1\n");
    }

    /// The gateway reads its file again; [`Notifier::ready`] ends it.
    pub(crate) fn reloading(&self) {
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}\n", service::monotonic_micros()));
    }

    /// This socket shall live on across a restart, under this name.
    pub(crate) fn keep(&self, name: &str, udp: &Udp) {
        let Some(socket) = &self.socket else { return };
        let message = format!("FDSTORE=1\nFDPOLL=0\nFDNAME={name}\n");
        self.complain(service::notify(socket, message.as_bytes(), &[udp.as_fd()]));
    }

    /// The sockets of this name are of no use any more.
    pub(crate) fn forget(&self, name: &str) {
        self.tell(&format!("FDSTOREREMOVE=1\nFDNAME={name}\n"));
    }

    fn tell(&self, message: &str) {
        if let Some(socket) = &self.socket {
            self.complain(service::notify(socket, message.as_bytes(), &[]));
        }
    }

    fn complain(&self, told: io::Result<()>) {
        if let (Err(error), Some(socket)) = (told, &self.socket) {
            tracing::warn!("cannot notify the service runner at {}: {error}", socket.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    };

    use super::*;

    #[test]
    fn readiness_reaches_the_notification_socket() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let receiver = UnixDatagram::bind(&path).unwrap();
        Notifier { socket: Some(path.into()) }.ready("2 links");
        let mut buffer = [0; 64];
        let length = receiver.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1\nSTATUS=2 links\n");
    }

    #[test]
    fn an_abstract_socket_is_written_with_an_at_sign() {
        let name = format!("meshtun-notify-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let receiver = UnixDatagram::bind_addr(&address).unwrap();
        Notifier { socket: Some(format!("@{name}").into()) }.stopping();
        let mut buffer = [0; 64];
        let length = receiver.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"STOPPING=1\n");
    }

    #[test]
    fn a_reload_is_told_with_its_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let before = service::monotonic_micros();
        Notifier { socket: Some(path.into()) }.reloading();
        let mut buffer = [0; 64];
        let length = receiver.recv(&mut buffer).unwrap();
        let said = String::from_utf8(buffer[..length].to_vec()).unwrap();
        let time = said.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").and_then(|rest| rest.trim().parse().ok());
        assert!((before..=service::monotonic_micros()).contains(&time.unwrap()), "{said}");
    }

    #[test]
    fn a_socket_that_is_gone_ends_nothing() {
        Notifier { socket: Some("/nonexistent/notify".into()) }.ready("");
    }
}
