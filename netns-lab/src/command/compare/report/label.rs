//! What subjects and places are called by people.

use super::{
    super::tool::{Cipher, Path, Subject, Tool, Underlay},
    Place,
};

/// A subject.
pub(super) fn subject(subject: &Subject) -> String {
    let Subject { tool, channels, cipher } = subject;
    let cipher = match cipher {
        Cipher::None => "",
        Cipher::StaticAes256Cbc => "static key",
        Cipher::StaticAes128Cbc => "static key, AES-128-CBC",
        Cipher::TlsAes256Gcm => "TLS, AES-256-GCM",
        Cipher::ChaCha20Poly1305 => "ChaCha20-Poly1305",
        Cipher::Aes256Gcm => "AES-256-GCM",
    };
    match tool {
        Tool::Bare => "bare veth, no tunnel".into(),
        Tool::OpenVpn => format!("OpenVPN ×{channels}, {cipher}"),
        // They know one channel and one cipher.
        Tool::WireguardGo | Tool::BoringTun | Tool::GotaTun => tool.name().into(),
        Tool::Meshtun => format!("meshtun ×{channels}, {cipher}"),
        Tool::MeshtunOpenVpn => format!("meshtun openvpn ×{channels}, {cipher}"),
    }
}

/// A path and what is under it.
pub(super) fn place((path, underlay): Place) -> String {
    let path = match path {
        Path::Routed => "Between hosts behind the gateways",
        Path::Gateway => "Between the gateways themselves",
    };
    let underlay = match underlay {
        Underlay::Trains => "the underlay passes trains of datagrams",
        Underlay::Datagrams => "the underlay passes each datagram by itself, as a plain NIC",
        Underlay::LoneDatagrams => "the underlay passes each datagram by itself, and receives without GRO",
    };
    format!("{path}; {underlay}")
}
