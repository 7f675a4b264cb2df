//! What becomes of datagrams that are longer than the path's MTU.

use std::{
    ffi::c_int,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::atomic::Ordering,
};

use super::Udp;
use crate::option;

/// Path MTU discovery of a socket (`IP_MTU_DISCOVER`, ip(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// Never: routers may cut every datagram.
    Never,
    /// The kernel cuts what is longer than the path's MTU, as far as it knows it.
    Wanted,
    /// What is longer than the path's MTU, as far as the kernel knows it, is refused.
    Always,
}

/// The MTU of the path to a host in bytes, IP's header included, as far as the kernel knows it.
///
/// # Errors
/// The kernel's, if there is no way there.
pub fn path_mtu(to: SocketAddr) -> io::Result<u32> {
    let (from, level, name) = match to {
        SocketAddr::V4(_) => (IpAddr::V4(Ipv4Addr::UNSPECIFIED), libc::IPPROTO_IP, libc::IP_MTU),
        SocketAddr::V6(_) => (IpAddr::V6(Ipv6Addr::UNSPECIFIED), libc::IPPROTO_IPV6, libc::IPV6_MTU),
    };
    // Only a connected socket tells it; nothing is sent.
    let socket = UdpSocket::bind((from, 0))?;
    socket.connect(to)?;
    Ok(option::get_int(&socket, level, name)?.unsigned_abs())
}

impl Udp {
    /// Chooses what [`Udp::bind`] has chosen otherwise.
    ///
    /// # Errors
    /// The kernel's; none is expected.
    pub fn set_discovery(&self, discovery: Discovery) -> io::Result<()> {
        let (four, six) = match discovery {
            Discovery::Never => (libc::IP_PMTUDISC_DONT, libc::IPV6_PMTUDISC_DONT),
            Discovery::Wanted => (libc::IP_PMTUDISC_WANT, libc::IPV6_PMTUDISC_WANT),
            Discovery::Always => (libc::IP_PMTUDISC_DO, libc::IPV6_PMTUDISC_DO),
        };
        self.set_both((libc::IP_MTU_DISCOVER, four), (libc::IPV6_MTU_DISCOVER, six))?;
        self.cuts.store(discovery != Discovery::Always, Ordering::Relaxed);
        Ok(())
    }

    /// Whether the kernel cuts lone datagrams that are longer than the path's MTU.
    pub fn cuts(&self) -> bool {
        self.cuts.load(Ordering::Relaxed)
    }

    /// An option of IPv4, and its like of IPv6 where the socket has that too.
    fn set_both(&self, four: (c_int, c_int), six: (c_int, c_int)) -> io::Result<()> {
        option::set_int(&self.socket, libc::IPPROTO_IP, four.0, four.1)?;
        match self.local {
            SocketAddr::V6(_) => option::set_int(&self.socket, libc::IPPROTO_IPV6, six.0, six.1),
            SocketAddr::V4(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_oneself_has_the_loopback_devices_mtu() {
        let mtu = std::fs::read_to_string("/sys/class/net/lo/mtu").unwrap();
        // No packet is longer than 65535 bytes.
        let mtu = mtu.trim().parse::<u32>().unwrap().min(65_535);
        assert_eq!(path_mtu("127.0.0.1:9".parse().unwrap()).unwrap(), mtu);
    }
}
