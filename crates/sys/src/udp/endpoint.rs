//! A socket address as the kernel wants it.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
};

/// `sizeof(struct sockaddr_in)` and `sizeof(struct sockaddr_in6)`.
const V4_LEN: usize = size_of::<libc::sockaddr_in>();
const V6_LEN: usize = size_of::<libc::sockaddr_in6>();

/// Where a datagram goes or came from: a prebuilt `sockaddr_in` or `sockaddr_in6`.
///
/// Each address has one form: an IPv4-mapped IPv6 address is kept as IPv4, and flow labels as zero. So two are equal
/// when they are the same peer, whatever family the socket has. A socket bound to `[::]` sends to both.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C, align(4))]
pub struct Endpoint {
    bytes: [u8; V6_LEN],
    len: u8,
}

impl Endpoint {
    /// The `sockaddr`, for the kernel.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// From the `sockaddr` that the kernel wrote; the unspecified IPv4 address if it is of neither family.
    pub(super) fn from_kernel(bytes: &[u8; V6_LEN]) -> Endpoint {
        match libc::c_int::from(u16::from_ne_bytes([bytes[0], bytes[1]])) {
            libc::AF_INET => {
                let mut canonical = [0; V6_LEN];
                canonical[..8].copy_from_slice(&bytes[..8]);
                Endpoint { bytes: canonical, len: V4_LEN as u8 }
            }
            libc::AF_INET6 => Endpoint::from_kernel_v6(bytes),
            _ => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into(),
        }
    }

    fn from_kernel_v6(bytes: &[u8; V6_LEN]) -> Endpoint {
        let mut canonical = *bytes;
        canonical[4..8].fill(0);
        if canonical[8..20] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff] {
            return Endpoint::v4([bytes[2], bytes[3]], [bytes[20], bytes[21], bytes[22], bytes[23]]);
        }
        Endpoint { bytes: canonical, len: V6_LEN as u8 }
    }

    fn v4(port: [u8; 2], address: [u8; 4]) -> Endpoint {
        let mut bytes = [0; V6_LEN];
        bytes[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
        bytes[2..4].copy_from_slice(&port);
        bytes[4..8].copy_from_slice(&address);
        Endpoint { bytes, len: V4_LEN as u8 }
    }

    fn v6(address: SocketAddrV6) -> Endpoint {
        let mut bytes = [0; V6_LEN];
        bytes[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
        bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
        bytes[8..24].copy_from_slice(&address.ip().octets());
        bytes[24..28].copy_from_slice(&address.scope_id().to_ne_bytes());
        Endpoint { bytes, len: V6_LEN as u8 }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Endpoint {
        match (address, address.ip().to_canonical()) {
            (_, std::net::IpAddr::V4(ip)) => Endpoint::v4(address.port().to_be_bytes(), ip.octets()),
            (SocketAddr::V6(address), _) => Endpoint::v6(address),
            (SocketAddr::V4(address), _) => Endpoint::v4(address.port().to_be_bytes(), address.ip().octets()),
        }
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(endpoint: Endpoint) -> SocketAddr {
        let b = &endpoint.bytes;
        let port = u16::from_be_bytes([b[2], b[3]]);
        if usize::from(endpoint.len) == V4_LEN {
            return SocketAddrV4::new(Ipv4Addr::new(b[4], b[5], b[6], b[7]), port).into();
        }
        let mut ip = [0; 16];
        ip.copy_from_slice(&b[8..24]);
        SocketAddrV6::new(Ipv6Addr::from(ip), port, 0, u32::from_ne_bytes([b[24], b[25], b[26], b[27]])).into()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESSES: [&str; 6] = [
        "0.0.0.0:0",
        "198.51.100.7:6001",
        "255.255.255.255:65535",
        "[::]:1",
        "[fd00:207::1]:16384",
        "[fe80::1%7]:6001",
    ];

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_endpoint_is_the_address_it_was_made_of() {
        for text in ADDRESSES {
            assert_eq!(SocketAddr::from(Endpoint::from(address(text))), address(text));
            assert_eq!(Endpoint::from(address(text)).to_string(), address(text).to_string());
        }
    }

    #[test]
    fn endpoints_of_different_addresses_differ() {
        let endpoints = ADDRESSES.map(|text| Endpoint::from(address(text)));
        for (at, one) in endpoints.iter().enumerate() {
            assert!(endpoints.iter().enumerate().all(|(other_at, other)| (one == other) == (at == other_at)));
        }
        assert_ne!(Endpoint::from(address("[fe80::1%7]:1")), Endpoint::from(address("[fe80::1%8]:1")));
    }

    #[test]
    fn an_ipv4_mapped_address_is_the_ipv4_address() {
        assert_eq!(Endpoint::from(address("[::ffff:192.0.2.1]:5")), Endpoint::from(address("192.0.2.1:5")));
        assert_ne!(Endpoint::from(address("[::192.0.2.1]:5")), Endpoint::from(address("192.0.2.1:5")));
    }

    #[test]
    fn what_the_kernel_writes_becomes_the_same_endpoint_whatever_else_it_holds() {
        for text in ADDRESSES {
            let endpoint = Endpoint::from(address(text));
            let mut written = [0xee; V6_LEN];
            written[..endpoint.as_bytes().len()].copy_from_slice(endpoint.as_bytes());
            if endpoint.as_bytes().len() == V6_LEN {
                // A flow label.
                written[4..8].copy_from_slice(&[0, 1, 2, 3]);
            }
            assert_eq!(Endpoint::from_kernel(&written), endpoint, "{text}");
        }
    }

    #[test]
    fn an_ipv4_peer_of_an_ipv6_socket_becomes_an_ipv4_endpoint() {
        let mut written = [0; V6_LEN];
        written[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
        written[2..4].copy_from_slice(&6001_u16.to_be_bytes());
        written[18..24].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 1]);
        assert_eq!(Endpoint::from_kernel(&written), Endpoint::from(address("192.0.2.1:6001")));
    }

    #[test]
    fn an_address_of_no_internet_family_is_unspecified() {
        assert_eq!(Endpoint::from_kernel(&[0; V6_LEN]), Endpoint::from(address("0.0.0.0:0")));
    }
}
