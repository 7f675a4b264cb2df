//! The traffic class of what a socket sends (RFC 2474; ip(7), ipv6(7)).

use std::{ffi::c_int, io, os::fd::AsFd};

use crate::option;

/// Gives what the socket sends from here on this type of service (IPv4) or traffic class (IPv6), in the eight bits of the
/// packet's header. The kernel leaves the lowest two alone for TCP.
///
/// # Errors
/// The kernel's; none is expected of an IPv4 or IPv6 socket.
pub fn set(socket: impl AsFd, class: u8) -> io::Result<()> {
    let class = c_int::from(class);
    let for_v4 = option::set_int(&socket, libc::IPPROTO_IP, libc::IP_TOS, class);
    // A socket of both families keeps one for each; one of IPv4 alone knows nothing of IPv6.
    match option::set_int(&socket, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, class) {
        Ok(()) => Ok(()),
        Err(_) => for_v4,
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn sockets_of_either_family_take_a_class() {
        let four = UdpSocket::bind("127.0.0.1:0").unwrap();
        set(&four, 0xb8).unwrap();
        assert_eq!(option::get_int(&four, libc::IPPROTO_IP, libc::IP_TOS).unwrap(), 0xb8);
        // Where there is IPv6.
        if let Ok(six) = UdpSocket::bind("[::1]:0") {
            set(&six, 0x28).unwrap();
            assert_eq!(option::get_int(&six, libc::IPPROTO_IPV6, libc::IPV6_TCLASS).unwrap(), 0x28);
        }
    }
}
