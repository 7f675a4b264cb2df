//! Addresses as log lines have them (socket_util.c, `print_sockaddr_ex`).

use std::net::SocketAddr;

use crate::options::Protocol;

/// `[AF_INET]192.0.2.1:1194`, `[AF_INET6]2001:db8::1:1194`; `[AF_UNSPEC]` for none.
#[must_use]
pub fn socket_address(address: Option<SocketAddr>) -> String {
    let Some(address) = address else { return "[AF_UNSPEC]".to_owned() };
    let family = if address.is_ipv4() { "[AF_INET]" } else { "[AF_INET6]" };
    if address.ip().is_unspecified() {
        return format!("{family}[undef]:{}", address.port());
    }
    format!("{family}{}:{}", address.ip(), address.port())
}

/// `[AF_INET]192.0.2.1 1194`: the one argument that `ipchange` gets (release 2.6).
#[must_use]
pub fn ip_and_port(address: SocketAddr) -> String {
    let family = if address.is_ipv4() { "[AF_INET]" } else { "[AF_INET6]" };
    format!("{family}{} {}", address.ip(), address.port())
}

/// `UDPv4`, `TCPv6_SERVER` … (socket_util.c, `proto_names`).
#[must_use]
pub fn link_name(protocol: Protocol, ipv6: bool) -> &'static str {
    match (protocol, ipv6) {
        (Protocol::Udp, false) => "UDPv4",
        (Protocol::Udp, true) => "UDPv6",
        (Protocol::TcpServer, false) => "TCPv4_SERVER",
        (Protocol::TcpServer, true) => "TCPv6_SERVER",
        (Protocol::TcpClient, false) => "TCPv4_CLIENT",
        (Protocol::TcpClient, true) => "TCPv6_CLIENT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_printed_with_their_family() {
        let text = |address: &str| socket_address(Some(address.parse().unwrap()));
        assert_eq!(text("192.0.2.1:1194"), "[AF_INET]192.0.2.1:1194");
        assert_eq!(text("[2001:db8::1]:1194"), "[AF_INET6]2001:db8::1:1194");
        assert_eq!(text("0.0.0.0:1194"), "[AF_INET][undef]:1194");
        assert_eq!(text("[::]:1194"), "[AF_INET6][undef]:1194");
        assert_eq!(socket_address(None), "[AF_UNSPEC]");
        assert_eq!(ip_and_port("192.0.2.1:6001".parse().unwrap()), "[AF_INET]192.0.2.1 6001");
        assert_eq!(link_name(Protocol::TcpClient, true), "TCPv6_CLIENT");
    }
}
