//! The configuration files of a case's two ends: the same for every program.

use std::{fmt::Write as _, net::IpAddr, path::Path};

use super::{
    DEVICE,
    matrix::{Case, Side, Transport},
};

/// The port of both ends.
pub(super) const PORT: u16 = 1194;

/// Addresses inside the tunnel, of the first end and the second.
pub(super) const INSIDE: [[&str; 2]; 2] = [["10.8.0.1", "10.8.0.2"], ["fd08::1", "fd08::2"]];

/// The file of one end.
pub(super) fn of(case: &Case, side: Side, underlay: [IpAddr; 2], key: &Path) -> String {
    let (here, there) = (side.index(), 1 - side.index());
    let mut text = format!("dev {DEVICE}\ndev-type tun\nproto {}\n", proto(case.transport, side));
    let mut line = |text_of_line: String| {
        // Writing to a string cannot fail.
        let _written = writeln!(text, "{text_of_line}");
    };
    // Who moves has no address of its own.
    if !case.float || side == Side::A {
        line(format!("local {}", underlay[here]));
    }
    line(format!("lport {PORT}\nremote {} {PORT}", underlay[there]));
    line(format!("ifconfig {} {}", INSIDE[0][here], INSIDE[0][there]));
    if case.ipv6 {
        line(format!("ifconfig-ipv6 {}/64 {}", INSIDE[1][here], INSIDE[1][there]));
    }
    let direction = if case.key_direction { format!(" {here}") } else { String::new() };
    line(format!("secret {}{direction}\ncipher {}\nauth {}", key.display(), case.cipher, case.auth));
    if case.cipher.starts_with("BF-") {
        line("providers legacy default".into());
    }
    for (name, value) in [("fragment", case.fragment), ("mssfix", case.mssfix)] {
        if value > 0 {
            line(format!("{name} {value}"));
        }
    }
    if case.float && side == Side::A {
        line("float".into());
    }
    if case.comp_lzo_no {
        line("comp-lzo no".into());
    }
    line("keepalive 1 5\npersist-tun\nconnect-retry 1\nverb 4".into());
    line("ignore-unknown-option disable-dco allow-deprecated-insecure-static-crypto providers".into());
    line("disable-dco\nallow-deprecated-insecure-static-crypto".into());
    text
}

fn proto(transport: Transport, side: Side) -> &'static str {
    match (transport, side) {
        (Transport::Udp4, _) => "udp4",
        (Transport::Udp6, _) => "udp6",
        (Transport::TcpServer, Side::A) | (Transport::TcpClient, Side::B) => "tcp4-server",
        (Transport::TcpServer, Side::B) | (Transport::TcpClient, Side::A) => "tcp4-client",
    }
}
