//! The running gateway: boot order, handshakes, carrier, control socket.
