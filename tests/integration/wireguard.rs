//! Plain WireGuard at the other end: Debian's wireguard-go, one interface a channel.
