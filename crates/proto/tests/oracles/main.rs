//! Other implementations of the same protocol at the opposite end.
//!
//! - `snow`: the Noise handshake of both suites, byte for byte, and the bulk ciphers of RustCrypto.
//! - `boringtun`: a whole WireGuard peer, in both roles, with pre-shared key and cookies.

mod boringtun;
mod end;
mod snow;
