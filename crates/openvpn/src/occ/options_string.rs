//! The options that both ends must agree on, as one line (options_string.c, `options_string`).

use std::fmt::Write;

use crate::{
    mtu,
    options::{Cipher, Compression, Ifconfig, KeyDirection, Options, Protocol},
};

/// Whose options a string tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Ours: what we answer.
    Ours,
    /// The peer's, as they should be to match ours.
    Theirs,
}

/// The options string, exactly as OpenVPN 2.6 composes it: the peer compares it with its own idea of ours, letter by letter.
#[must_use]
pub fn options_string(options: &Options, protocol: Protocol, whose: Whose) -> String {
    let mut text = String::from("V4,dev-type tun");
    let link_mtu = mtu::told_link_mtu(options, protocol);
    let tun_mtu = options.occ_mtu.unwrap_or_else(|| mtu::tun_mtu(options, protocol));
    push(&mut text, format_args!("link-mtu {link_mtu},tun-mtu {tun_mtu},proto {}", proto(protocol, whose)));
    if options.ifconfig_ipv6.is_some() {
        push(&mut text, format_args!("tun-ipv6"));
    }
    if let Some(ifconfig) = options.ifconfig.filter(|_| !options.ifconfig_nowarn) {
        addresses(&mut text, ifconfig, whose);
    }
    if options.compression != Compression::None {
        push(&mut text, format_args!("comp-lzo"));
    }
    if options.fragment.is_some() {
        push(&mut text, format_args!("mtu-dynamic"));
    }
    if let Some(direction) = direction(options.key_direction, whose) {
        push(&mut text, format_args!("keydir {direction}"));
    }
    let (cipher, auth) = (options.cipher.name(), options.digest.name());
    let keysize = if options.cipher == Cipher::None { 0 } else { options.cipher.key_len() * 8 };
    push(&mut text, format_args!("cipher {cipher},auth {auth},keysize {keysize},secret"));
    text
}

fn push(text: &mut String, item: std::fmt::Arguments<'_>) {
    text.push(',');
    // Writing to a string cannot fail.
    let _ = text.write_fmt(item);
}

/// The name has had a 4 in it since before there was IPv6 (`proto_remote`).
fn proto(protocol: Protocol, whose: Whose) -> &'static str {
    match (protocol, whose) {
        (Protocol::Udp, _) => "UDPv4",
        (Protocol::TcpServer, Whose::Ours) | (Protocol::TcpClient, Whose::Theirs) => "TCPv4_SERVER",
        (Protocol::TcpClient, Whose::Ours) | (Protocol::TcpServer, Whose::Theirs) => "TCPv4_CLIENT",
    }
}

/// The far address first, as the one whose string it is sees it (`ifconfig_options_string`).
fn addresses(text: &mut String, ifconfig: Ifconfig, whose: Whose) {
    match (ifconfig, whose) {
        (Ifconfig::PointToPoint { local, remote }, Whose::Ours) => {
            push(text, format_args!("ifconfig {remote} {local}"));
        }
        (Ifconfig::PointToPoint { local, remote }, Whose::Theirs) => {
            push(text, format_args!("ifconfig {local} {remote}"));
        }
        (Ifconfig::Subnet { local, netmask }, _) => {
            let network = local & netmask;
            push(text, format_args!("ifconfig {network} {netmask}"));
        }
    }
}

fn direction(direction: KeyDirection, whose: Whose) -> Option<u8> {
    match (direction, whose) {
        (KeyDirection::Both, _) => None,
        (KeyDirection::Zero, Whose::Ours) | (KeyDirection::One, Whose::Theirs) => Some(0),
        (KeyDirection::One, Whose::Ours) | (KeyDirection::Zero, Whose::Theirs) => Some(1),
    }
}
