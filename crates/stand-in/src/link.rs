//! The link to the peer: names resolved, sockets opened (socket.c, `link_socket_init_phase1`, `…_phase2`).

mod names;
mod stream;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    sync::Arc,
};

use meshtun_openvpn::{
    options::{Family, MtuDiscovery, Options, Protocol, Remote},
    text::{Level, link_name, socket_address},
};
use meshtun_sys::udp::{BindError, Discovery, Udp, UdpOptions};

use self::names::resolve;
pub(crate) use self::stream::NoConnection;
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

/// Why there is no plan.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoPlan {
    /// A name of the peer's does not resolve: again after a pause.
    Remote,
    /// The address to bind to does not resolve.
    Local(String),
}

impl Plan {
    /// Resolves the remote of this connection, if there is one, and the local address. `kept` is where the peer was heard in
    /// an earlier session, if that is to be used again.
    pub(crate) async fn make(
        options: &Options,
        remote: Option<&Remote>,
        kept: Option<SocketAddr>,
        log: &Log,
    ) -> Result<Plan, NoPlan> {
        let (protocol, family) = match remote {
            Some(remote) => (remote.protocol, remote.family),
            None => (options.protocol, options.family),
        };
        let to = match (kept, remote) {
            (Some(kept), _) => Some(kept),
            (None, Some(remote)) => Some(resolve(&remote.host, remote.port, family, log).await.ok_or(NoPlan::Remote)?),
            (None, None) => None,
        };
        if to.is_some() {
            log.info(format_args!("TCP/UDP: Preserving recently used remote address: {}", socket_address(to)));
        }
        let family = match (to, family) {
            (Some(SocketAddr::V4(_)), _) => Family::V4,
            (Some(SocketAddr::V6(_)), _) => Family::V6,
            (None, family) => family,
        };
        let port = options.local_port.unwrap_or(0);
        let local = match options.local.as_ref().and_then(|local| local.host.as_deref()) {
            Some(host) => resolve(host, port, family, log).await.ok_or_else(|| NoPlan::Local(host.to_owned()))?,
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
        let size = |asked: Option<u32>, default: usize| asked.map_or(default, |bytes| bytes as usize);
        let udp = Udp::bind(&UdpOptions {
            device: options.bind_dev.clone(),
            mark: options.mark,
            receive_buffer: size(options.rcvbuf, defaults.receive_buffer),
            send_buffer: size(options.sndbuf, defaults.send_buffer),
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
        Fatal::new(format_args!("TCP/UDP: Socket bind failed on local address {address}: {why}: {error}"))
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
