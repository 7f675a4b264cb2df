//! The system calls against the real kernel, in namespaces that each test makes for itself.
//!
//! | file | what belongs there |
//! |---|---|
//! | `tun.rs` | attaching, offloads, carrier |
//! | `udp.rs` | trains, endpoints, errors, buffers |
//! | `event_loop.rs` | epoll, eventfd, pinning: needs no rights |
//! | `netns.rs` | namespaces, pins, children |
//! | `capture.rs` | packet sockets and their filters |
//! | `rights.rs` | what an unprivileged thread is told |
//! | `lock.rs` | file locks |
//! | `missing.rs` | looking for devices that are missing costs nothing |
//! | `support.rs` | rights, topologies, waiting |
//!
//! As root, or as an ordinary user through a user namespace; where neither goes a test says so on standard error, and
//! fails if `MESHTUN_REQUIRE_NETNS=1`. `ip` of iproute2 makes the veth pairs.

mod allocations;
mod capture;
mod event_loop;
mod lock;
mod missing;
mod netns;
mod rights;
mod support;
mod tun;
mod udp;
