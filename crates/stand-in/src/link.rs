//! The link to the peer: names resolved, sockets opened (socket.c, `link_socket_init_phase1`, `…_phase2`).

mod names;
mod stream;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    sync::Arc,
};

use meshtun_openvpn::{
    options::{Family, MtuDiscovery, Options, Protocol},
    text::{Level, link_name, socket_address},
};
use meshtun_sys::udp::{BindError, Discovery, Udp, UdpOptions};

pub(crate) use self::{
    names::{Unresolved, resolve},
    stream::NoConnection,
};
use crate::{
    fatal::Fatal,
    log::{Log, told},
};

/// A link that is ready.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) carrier: Carrier,
    pub(crate) protocol: Protocol,
    /// Where we are, as far as it is known.
    pub(crate) local: SocketAddr,
    /// Who is expected, or was found.
    pub(crate) remote: Option<SocketAddr>,
    /// All addresses of the peer's name: it may answer from each.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The longest datagram that a stream may announce, in bytes.
    pub(crate) longest: u16,
}

/// What carries the packets.
#[derive(Debug)]
pub(crate) enum Carrier {
    Udp(Arc<Udp>),
    Tcp(TcpStream),
}

/// Which addresses a link runs between, before it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) protocol: Protocol,
    pub(crate) local: SocketAddr,
    /// None: whoever authenticates.
    pub(crate) remote: Option<SocketAddr>,
    /// Somebody chose the local port.
    pub(crate) bound: bool,
}

/// Whom a link is to: the remote's address once its name is resolved, and what is known before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) protocol: Protocol,
    pub(crate) family: Family,
    /// None: whoever authenticates.
    pub(crate) address: Option<SocketAddr>,
}

impl Plan {
    /// Resolves the local address, and tells where the link will be.
    ///
    /// # Errors
    /// If there is no such address.
    pub(crate) async fn make(options: &Options, peer: Peer, log: &Log) -> Result<Plan, Unresolved> {
        let Peer { protocol, family, address: to } = peer;
        let family = match (to, family) {
            (Some(SocketAddr::V4(_)), _) => Family::V4,
            (Some(SocketAddr::V6(_)), _) => Family::V6,
            (None, family) => family,
        };
        let port = options.local_port.unwrap_or(0);
        let local = match options.local.as_ref().and_then(|local| local.host.as_deref()) {
            Some(host) => resolve(host, port, family).await?[0],
            None if family == Family::V6 => (IpAddr::V6(Ipv6Addr::UNSPECIFIED), port).into(),
            None => {
                if family == Family::Any {
                    log.info("Could not determine IPv4/IPv6 protocol. Using AF_INET");
                }
                (IpAddr::V4(Ipv4Addr::UNSPECIFIED), port).into()
            }
        };
        Ok(Plan { protocol, local, remote: to, bound: options.local_port.is_some() })
    }

    /// `UDPv4` …
    pub(crate) fn name(&self) -> &'static str {
        link_name(self.protocol, self.local.is_ipv6())
    }

    /// Opens the socket of a UDP link.
    pub(crate) fn open_udp(&self, options: &Options, log: &Log) -> Result<Udp, Fatal> {
        let defaults = UdpOptions::new(self.local);
        if let Some(device) = &options.bind_dev {
            log.info(format_args!("Using bind-dev {device}"));
        }
        let size = |asked: Option<u32>, default: usize| asked.map_or(default, |bytes| bytes as usize);
        let udp = Udp::bind(&UdpOptions {
            device: options.bind_dev.clone(),
            mark: options.mark,
            receive_buffer: size(options.rcvbuf, defaults.receive_buffer),
            send_buffer: size(options.sndbuf, defaults.send_buffer),
            only_v6: options.bind_ipv6_only,
            ..defaults
        });
        let udp = udp.map_err(|error| self.bind_failed(error))?;
        let discovery = match options.mtu_disc {
            Some(MtuDiscovery::No) => Discovery::Never,
            Some(MtuDiscovery::Yes) => Discovery::Always,
            Some(MtuDiscovery::Maybe) | None => Discovery::Wanted,
        };
        udp.set_discovery(discovery)
            .map_err(|error| Fatal::new(format_args!("TCP/UDP: mtu-disc: {}", told(&error))))?;
        if let Ok((receive, send)) = udp.buffers() {
            log.say(Level::BUFFERS, format_args!("Socket Buffers: R=[{receive}->{receive}] S=[{send}->{send}]"));
        }
        Ok(udp)
    }

    fn bind_failed(&self, error: BindError) -> Fatal {
        let address = socket_address(Some(self.local));
        let why = match &error {
            BindError::InUse(_) => "Address already in use (errno=98)".to_owned(),
            BindError::NoAddress(_) => "Cannot assign requested address (errno=99)".to_owned(),
            _ => return Fatal::new(format_args!("TCP/UDP: {error}")),
        };
        let fatal = Fatal::new(format_args!("TCP/UDP: Socket bind failed on local address {address}: {why}: {error}"));
        if matches!(error, BindError::NoAddress(_)) { fatal.passing() } else { fatal }
    }

    /// The two lines that monitoring waits for.
    pub(crate) fn tell(&self, link: &Link, log: &Log) {
        let name = self.name();
        if self.bound {
            log.info(format_args!("{name} link local (bound): {}", socket_address(Some(link.local))));
        } else {
            log.info(format_args!("{name} link local: (not bound)"));
        }
        log.info(format_args!("{name} link remote: {}", socket_address(link.remote)));
    }
}
