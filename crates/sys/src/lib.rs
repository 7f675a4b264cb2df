//! Thin typed system calls: tun, UDP trains, epoll, namespaces.
