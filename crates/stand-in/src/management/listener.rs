//! Where clients of the management interface come in.

use std::{io, net::SocketAddr, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

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
        // As OpenVPN's: whoever may come in is asked for its user and its group, or for the password.
        let open_to_all = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(path, open_to_all).map_err(|error| failed("cannot open to all", error))?;
        if user.is_none() && group.is_none() && settings.password_file.is_none() {
            log.warning(format_args!(
                "WARNING: every user of this machine who can reach {path} may command this process: add \
                 `management-client-user` or `management-client-group`"
            ));
        }
        log.say(Level::MANAGEMENT, format_args!("MANAGEMENT: unix domain socket listening on {path}"));
        let path = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
        Ok(Listener::Unix { listener, path, user, group })
    }

    /// The next client, and what to call it.
    pub(super) async fn accept(&self, log: &Log) -> (Box<dyn Stream>, String) {
        loop {
            let accepted = match self {
                Listener::Tcp(listener) => listener.accept().await.map(tcp_client),
                Listener::Unix { listener, user, group, path } => match listener.accept().await {
                    Ok((stream, _)) => match refused(&stream, *user, *group) {
                        None => Ok((Box::new(stream) as Box<dyn Stream>, path.display().to_string())),
                        Some(why) => {
                            log.say(
                                Level::MANAGEMENT,
                                format_args!("MANAGEMENT: unix domain socket client connection rejected -- {why}"),
                            );
                            continue;
                        }
                    },
                    Err(error) => Err(error),
                },
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

/// Why a client may not come in (`management-client-user`, `management-client-group`); the group is the first of its groups.
fn refused(stream: &UnixStream, user: Option<u32>, group: Option<u32>) -> Option<String> {
    let Ok(peer) = stream.peer_cred() else { return Some("who it is cannot be told".to_owned()) };
    let wrong = |what: &str, is: u32, wanted: u32, option: &str| {
        let differs = is != wanted;
        differs.then(|| {
            format!("{what} of socket peer ({is}) doesn't match required value ({wanted}) as given by {option}")
        })
    };
    let user = user.and_then(|user| wrong("UID", peer.uid(), user, "--management-client-user"));
    user.or_else(|| group.and_then(|group| wrong("GID", peer.gid(), group, "--management-client-group")))
}
