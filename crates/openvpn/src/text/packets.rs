//! What is said of packets that are dropped (crypto.c, socket.c, packet_id.c).

use std::{io, net::SocketAddr};

use super::socket_address;
use crate::packet_id::PacketId;

/// A packet whose id was refused; `time` is the id's time as [`stamp`](super::stamp()) has it, without microseconds.
#[must_use]
pub fn replayed(id: PacketId, time: &str) -> String {
    let number = id.id;
    let at = if id.time == 0 { String::new() } else { format!(" / time = ({}) {time}", id.time) };
    format!(
        "Authenticate/Decrypt packet error: bad packet ID (may be a replay): [ #{number}{at} ] -- see the man page entry for \
         --replay-window for more info or silence this warning with --mute-replay-warnings"
    )
}

/// A packet that came from somebody else.
#[must_use]
pub fn rejected(from: SocketAddr, expected: Option<SocketAddr>) -> String {
    format!(
        "TCP/UDP: Incoming packet rejected from {}[{}], expected peer address: {} (allow this incoming source address/port by \
         removing --remote or adding --float)",
        socket_address(Some(from)),
        // AF_INET, AF_INET6.
        if from.is_ipv4() { 2 } else { 10 },
        socket_address(expected)
    )
}

/// A stream that announces a datagram longer than there may be.
#[must_use]
pub fn bad_length(length: u16, longest: u16) -> String {
    format!(
        "WARNING: Bad encapsulated packet length from peer ({length}), which must be > 0 and <= {longest} -- please ensure that \
         --tun-mtu or --link-mtu is equal on both peers -- this condition could also indicate a possible active attack on the TCP \
         link -- [Attempting restart...]"
    )
}

/// A datagram that could not be read or written (error.c, `x_check_status`): `what` is `read` or `write`, `link` `UDPv4` …,
/// `hint` what the kernel says beyond the error.
#[must_use]
pub fn socket_error(what: &str, link: &str, hint: &str, error: &io::Error) -> String {
    let code = error.raw_os_error().unwrap_or(0);
    let text = error.to_string();
    let text = text.strip_suffix(&format!(" (os error {code})")).unwrap_or(&text);
    format!("{what} {link} [{hint}]: {text} (fd=-1,code={code})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_refused_in_openvpns_words() {
        let line = replayed(PacketId { time: 1_795_290_981, id: 7 }, "2026-11-21 19:56:21");
        assert!(
            line.contains("(may be a replay): [ #7 / time = (1795290981) 2026-11-21 19:56:21 ] -- see the man page")
        );
        let line = rejected("10.99.0.2:6001".parse().unwrap(), "10.99.0.2:6002".parse().ok());
        assert!(line.starts_with(
            "TCP/UDP: Incoming packet rejected from [AF_INET]10.99.0.2:6001[2], expected peer address: \
             [AF_INET]10.99.0.2:6002 (allow this"
        ));
        let line = socket_error("write", "UDPv4", "", &io::Error::from_raw_os_error(101));
        assert_eq!(line, "write UDPv4 []: Network is unreachable (fd=-1,code=101)");
        let line = bad_length(18_245, 1_768);
        assert!(line.starts_with(
            "WARNING: Bad encapsulated packet length from peer (18245), which must be > 0 and <= 1768 -- "
        ));
    }
}
