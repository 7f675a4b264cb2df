//! What the standard library leaves out of a TCP socket.

use std::{io, os::fd::AsFd};

use rustix::net::sockopt;

/// Chooses how a connection's sender finds its rate (`TCP_CONGESTION`), such as `cubic`; from here on, if it is made
/// already.
///
/// # Errors
/// `ENOENT` if the kernel has no such algorithm; `EPERM` without `CAP_NET_ADMIN` for one that the machine allows to
/// nobody else (`net.ipv4.tcp_allowed_congestion_control`).
pub fn set_congestion_control(socket: impl AsFd, algorithm: &str) -> io::Result<()> {
    Ok(sockopt::set_tcp_congestion(socket, algorithm)?)
}

/// Marks the connection's packets, for policy routing (`SO_MARK`).
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN` or `CAP_NET_RAW`.
pub fn set_mark(socket: impl AsFd, mark: u32) -> io::Result<()> {
    socket2::SockRef::from(&socket).set_mark(mark)
}

/// Whether an IPv6 socket hears IPv6 alone (`IPV6_V6ONLY`), before it is bound.
///
/// # Errors
/// `EINVAL` for one that is bound, `ENOPROTOOPT` for one of IPv4.
pub fn set_only_v6(socket: impl AsFd, only: bool) -> io::Result<()> {
    socket2::SockRef::from(&socket).set_only_v6(only)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_kernel_uses_the_algorithm_that_was_chosen() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        // Every kernel has it, and allows it to everybody.
        set_congestion_control(&socket, "reno").unwrap();
        assert_eq!(sockopt::tcp_congestion(&socket).unwrap(), "reno");
        let unknown = set_congestion_control(&socket, "no-such-one").unwrap_err();
        assert_eq!(unknown.kind(), io::ErrorKind::NotFound, "{unknown}");
        assert_eq!(sockopt::tcp_congestion(&socket).unwrap(), "reno");
    }
}
