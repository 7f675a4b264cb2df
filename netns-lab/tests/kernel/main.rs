//! Labs against the real kernel. What belongs where:
//!
//! - `lab`: names, folders, programs and namespaces, and that nothing of them is left;
//! - `topology`: who reaches whom;
//! - `load`, `steady`, `watch`: traffic is counted and seen, on topologies without a tunnel;
//! - `faults`, `firewall`: faults of the underlay in userspace, faults that are on or off;
//! - `logged`: programs whose logs are looked into;
//! - `gateway`: programs of gateways are started, watched and ended, with a stand-in for meshtun;
//! - `command`: the `netns-lab` program;
//! - `compare`: a small comparison with the real meshtun;
//! - `run`: small scenarios with the real meshtun;
//! - `openvpn`: a case of `openvpn-interop` with OpenVPN at both ends.

mod command;
mod compare;
mod faults;
mod firewall;
mod gateway;
mod lab;
mod load;
mod logged;
mod openvpn;
mod run;
mod steady;
mod topology;
mod watch;

use std::{
    io::ErrorKind,
    net::{IpAddr, TcpListener, TcpStream},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use netns_lab::{
    Node,
    topology::{Options, Shape, Topology},
};

/// Polls until `condition` holds; panics with `what` if it does not within five seconds.
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !condition() {
        assert!(Instant::now() < deadline, "not within five seconds: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a connection from one node to an address of another can be made within `patience`. A router's refusal is told
/// at once, unless the kernel has just told another one.
fn connects(from: &Node, to: &Node, address: IpAddr, patience: Duration) -> bool {
    let listener = to.run(|| TcpListener::bind((address, 0))).unwrap().unwrap();
    let there = listener.local_addr().unwrap();
    match from.run(|| TcpStream::connect_timeout(&there, patience)).unwrap() {
        Ok(_) => true,
        Err(error) => {
            let expected = [ErrorKind::NetworkUnreachable, ErrorKind::HostUnreachable, ErrorKind::TimedOut];
            assert!(expected.contains(&error.kind()), "{error}");
            false
        }
    }
}

fn reaches(from: &Node, to: &Node, address: impl Into<IpAddr>) -> bool {
    connects(from, to, address.into(), Duration::from_secs(3))
}

/// Two gateways, their sites routed to each other in clear.
fn routed() -> Topology {
    let topology = Topology::build(Shape::TwoGateways, &Options::default()).unwrap();
    topology.route_in_clear().unwrap();
    topology
}

/// A lab's name that no other test has.
fn own_name(test: &str) -> String {
    format!("{test}-{}", std::process::id())
}

/// Whether a process runs no more; that its parent has not asked for its end yet does not matter.
fn has_ended(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |state| state.contains(") Z "))
}

/// The stand-in for meshtun.
fn stand_in() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kernel/meshtun"))
}

/// What `/run/netns` holds of a lab.
fn names_of(lab: &str) -> Vec<String> {
    let Ok(folder) = std::fs::read_dir("/run/netns") else { return Vec::new() };
    let names = folder.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with(&format!("{lab}-"))).collect()
}
