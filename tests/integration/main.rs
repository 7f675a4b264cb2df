//! The one integration-test binary. What belongs where:
//!
//! - `architecture`: the workspace's dependencies point the way that `ARCHITECTURE.md` says.
//! - `bed`, `kernel`: what the other modules stand on: a lab with running gateways, programs that must be installed; what
//!   the kernel holds.
//! - `demo`: the README's first command.
//! - `cli`: arguments, files, error messages and exit codes; no namespaces.
//! - `traffic`: TCP and UDP through a link, IPv4 and IPv6, order within a flow.
//! - `tools`: ping, traceroute, tcpdump, iptables and nft on the tun devices.
//! - `routes`: what the kernel holds after `up`, `down`, `kill -9` and restarts.
//! - `healing`: what others change in the kernel under a running gateway.
//! - `hooks`: programs that a gateway runs when something comes up or goes down.
//! - `going`: channels taken out and brought back, and restarts, under traffic.
//! - `liveness`: channels that fail one way or both ways.
//! - `names`: a peer that is looked up.
//! - `paths`: a link over two underlays, one of which goes and comes back.
//! - `reload`: a new file on a running daemon.
//! - `scenarios`: channels blocked and gateways killed under load, as `netns-lab run` plays it.
//! - `openvpn`: a process in OpenVPN's place, beside the program itself.
//! - `processors`: where the threads that carry packets run.
//! - `hostile`: datagrams and inner packets that nobody should have sent, and things that are missing or busy.
//! - `wireguard`: plain WireGuard at the other end.
//!
//! A test that needs namespaces runs inside `netns_lab::trial`, which never skips in silence.
#![allow(clippy::print_stderr, reason = "tests talk to whoever reads their output")]

mod architecture;
mod bed;
mod cli;
mod demo;
mod going;
mod healing;
mod hooks;
mod hostile;
mod kernel;
mod liveness;
mod names;
mod openvpn;
mod paths;
mod processors;
mod reload;
mod routes;
mod scenarios;
mod tools;
mod traffic;
mod wireguard;
