//! Where clients of the management interface come in.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use meshtun_openvpn::{
    options::{Management as Settings, ManagementAddress},
    text::{Level, socket_address},
};
use meshtun_sys::identity;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener, UnixStream},
};

use crate::{
    fatal::Fatal,
    log::{Log, told},
};

/// A connection of either kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + std::fmt::Debug + Unpin {}

impl<T: AsyncRead + AsyncWrite + std::fmt::Debug + Unpin> Stream for T {}

/// A socket that listens.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix { listener: UnixListener, path: PathBuf, user: Option<u32>, group: Option<u32> },
}

impl Listener {
    pub(super) fn open(settings: &Settings, log: &Log) -> Result<Listener, Fatal> {
        match &settings.address {
            ManagementAddress::Tcp(host, port) => {
                Listener::open_tcp(host, *port, settings.password_file.is_none(), log)
            }
            ManagementAddress::Unix(path) => Listener::open_unix(path, settings, log),
        }
    }

    fn open_tcp(host: &str, port: u16, open: bool, log: &Log) -> Result<Listener, Fatal> {
        if open {
            log.warning(
                "WARNING: Using --management on a TCP port WITHOUT passwords is STRONGLY discouraged and considered insecure: \
                 take `management PATH unix`, or name a file with a password",
            );
        }
        let failed = |error: io::Error| {
            Fatal::new(format_args!("MANAGEMENT: Socket bind failed on local address {host}:{port}: {}", told(&error)))
        };
        // Before any connection, and of a name that is nearly always a number: resolving may take its time.
        let listener = std::net::TcpListener::bind((host, port)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let local = listener.local_addr().ok();
        log.say(Level::MANAGEMENT, format_args!("MANAGEMENT: TCP Socket listening on {}", socket_address(local)));
        Ok(Listener::Tcp(TcpListener::from_std(listener).map_err(failed)?))
    }

    fn open_unix(path: &str, settings: &Settings, log: &Log) -> Result<Listener, Fatal> {
        let failed =
            |what: &str, error: io::Error| Fatal::new(format_args!("MANAGEMENT: {what} {path}: {}", told(&error)));
        let id = |find: fn(&str) -> io::Result<u32>, name: &Option<String>| {
            name.as_deref()
                .map(|name| find(name).map_err(|error| failed(&format!("no user or group {name} for"), error)))
        };
        let user = id(identity::user_id, &settings.client_user).transpose()?;
        let group = id(identity::group_id, &settings.client_group).transpose()?;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("cannot replace", error)),
            _ => {}
        }
        let listener = UnixListener::bind(path).map_err(|error| failed("Cannot bind unix domain socket", error))?;
        log.say(Level::MANAGEMENT, format_args!("MANAGEMENT: unix domain socket listening on {path}"));
        Ok(Listener::Unix { listener, path: PathBuf::from(path), user, group })
    }

    /// The next client, and what to call it.
    pub(super) async fn accept(&self) -> (Box<dyn Stream>, String) {
        loop {
            let accepted = match self {
                Listener::Tcp(listener) => listener.accept().await.map(tcp_client),
                Listener::Unix { listener, user, group, path } => {
                    match listener.accept().await {
                        // Who may not come in is shown the door.
                        Ok((stream, _)) if !may_enter(&stream, *user, *group) => continue,
                        Ok((stream, _)) => Ok((Box::new(stream) as Box<dyn Stream>, path.display().to_string())),
                        Err(error) => Err(error),
                    }
                }
            };
            match accepted {
                Ok(client) => return client,
                // Out of descriptors, most likely: not at once again.
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix { path, .. } = self {
            // It may be out of reach, with `chroot` or another user's rights.
            let _left_behind = std::fs::remove_file(path);
        }
    }
}

fn tcp_client((stream, from): (tokio::net::TcpStream, SocketAddr)) -> (Box<dyn Stream>, String) {
    let _slower = stream.set_nodelay(true);
    (Box::new(stream), socket_address(Some(from)))
}

/// `management-client-user`, `management-client-group`.
fn may_enter(stream: &UnixStream, user: Option<u32>, group: Option<u32>) -> bool {
    let Ok(peer) = stream.peer_cred() else { return false };
    user.is_none_or(|user| user == peer.uid()) && group.is_none_or(|group| group == peer.gid())
}
