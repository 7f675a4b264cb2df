//! What systemd is told, by the protocol of sd_notify(3): that the gateway is ready, reloads or stops, and which sockets
//! live on across a restart.
//!
//! Of descriptors only UDP sockets are given away, never a tun device's: its carrier stays as long as anybody holds it, and
//! a gateway that is gone would look alive.

use std::{
    ffi::OsString,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::mpsc,
    thread,
    time::Duration,
};

use meshtun_sys::{service, udp::Udp};

/// The service's notification socket, if the service runner has one. Clones share it.
///
/// A service runner that is busy lets who writes to it wait: a thread does that, in the order in which things are told.
#[derive(Clone, Debug)]
pub(crate) struct Notifier {
    post: Option<mpsc::Sender<Letter>>,
}

/// What waits to be told.
#[derive(Debug)]
enum Letter {
    Message {
        text: String,
        descriptor: Option<OwnedFd>,
    },
    /// All before it have been told: who waits for that.
    Last(mpsc::Sender<()>),
}

impl Notifier {
    /// From `$NOTIFY_SOCKET`; without it nothing is told.
    pub(crate) fn from_environment() -> Notifier {
        let socket = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        socket.map_or(Notifier { post: None }, Notifier::at)
    }

    fn at(socket: OsString) -> Notifier {
        let (post, letters) = mpsc::channel();
        let thread = thread::Builder::new().name("meshtun-notify".into());
        match thread.spawn(move || deliver(&socket, &letters)) {
            Ok(_runs_as_long_as_somebody_tells) => Notifier { post: Some(post) },
            Err(error) => {
                tracing::error!("the service runner is told nothing, for want of a thread: {error}");
                Notifier { post: None }
            }
        }
    }

    /// The gateway carries packets as soon as its peers answer.
    pub(crate) fn ready(&self, status: &str) {
        self.tell(format!("READY=1\nSTATUS={status}\n"));
    }

    /// The gateway is on its way out.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1\n".into());
    }

    /// The gateway reads its file again; [`Notifier::ready`] ends it.
    pub(crate) fn reloading(&self) {
        self.tell(format!("RELOADING=1\nMONOTONIC_USEC={}\n", service::monotonic_micros()));
    }

    /// This socket shall live on across a restart, under this name.
    pub(crate) fn keep(&self, name: &str, udp: &Udp) {
        if self.post.is_none() {
            return;
        }
        match udp.as_fd().try_clone_to_owned() {
            Ok(descriptor) => {
                self.post(Letter::Message {
                    text: format!("FDSTORE=1\nFDPOLL=0\nFDNAME={name}\n"),
                    descriptor: Some(descriptor),
                });
            }
            Err(error) => tracing::warn!("the socket {name} is not kept across a restart: {error}"),
        }
    }

    /// The sockets of this name are of no use any more.
    pub(crate) fn forget(&self, name: &str) {
        self.tell(format!("FDSTOREREMOVE=1\nFDNAME={name}\n"));
    }

    /// Waits until everything has been told, but no longer than this.
    pub(crate) fn finish(&self, limit: Duration) {
        let (done, told) = mpsc::channel();
        self.post(Letter::Last(done));
        // Nobody has to be told, or it takes too long.
        let _told = told.recv_timeout(limit);
    }

    fn tell(&self, text: String) {
        self.post(Letter::Message { text, descriptor: None });
    }

    fn post(&self, letter: Letter) {
        // The thread lives as long as this does.
        let _posted = self.post.as_ref().map(|post| post.send(letter));
    }
}

fn deliver(socket: &OsString, letters: &mpsc::Receiver<Letter>) {
    for letter in letters {
        match letter {
            Letter::Message { text, descriptor } => {
                let descriptors: Vec<BorrowedFd<'_>> = descriptor.iter().map(AsFd::as_fd).collect();
                complain(socket, service::notify(socket, text.as_bytes(), &descriptors));
            }
            Letter::Last(done) => _ = done.send(()),
        }
    }
}

fn complain(socket: &OsString, told: io::Result<()>) {
    if let Err(error) = told {
        tracing::warn!("cannot notify the service runner at {}: {error}", socket.display());
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
        Notifier::at(path.into()).ready("2 links");
        let mut buffer = [0; 64];
        let length = receiver.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1\nSTATUS=2 links\n");
    }

    #[test]
    fn an_abstract_socket_is_written_with_an_at_sign() {
        let name = format!("meshtun-notify-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let receiver = UnixDatagram::bind_addr(&address).unwrap();
        Notifier::at(format!("@{name}").into()).stopping();
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
        Notifier::at(path.into()).reloading();
        let mut buffer = [0; 64];
        let length = receiver.recv(&mut buffer).unwrap();
        let said = String::from_utf8(buffer[..length].to_vec()).unwrap();
        let time = said.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").and_then(|rest| rest.trim().parse().ok());
        assert!((before..=service::monotonic_micros()).contains(&time.unwrap()), "{said}");
    }

    #[test]
    fn a_socket_that_is_gone_ends_nothing() {
        let notifier = Notifier::at("/nonexistent/notify".into());
        notifier.ready("");
        notifier.finish(Duration::from_secs(10));
    }

    #[test]
    fn a_service_runner_that_does_not_read_holds_up_nobody_and_is_told_all_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::at(path.into());
        // Far more than the socket holds (net.unix.max_dgram_qlen).
        for number in 0..5000 {
            notifier.ready(&number.to_string());
        }
        notifier.finish(Duration::from_millis(1));
        let mut buffer = [0; 64];
        for number in 0..5000 {
            let length = receiver.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..length], *format!("READY=1\nSTATUS={number}\n").as_bytes());
        }
    }
}
