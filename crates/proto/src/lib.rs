//! The WireGuard protocol and meshtun's control frames, without sockets, clock or threads.
