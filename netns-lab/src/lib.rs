//! Network-namespace laboratories: gateways, hosts and sites on one machine.
//!
//! A [`Lab`] owns namespaces (its [`Node`]s) and the veth cables between them. They are descriptors, not names, so the
//! kernel removes all of it when the lab is dropped or the process ends, however it ends. On top of it:
//!
//! | module | what it gives |
//! |---|---|
//! | [`lab`], [`node`] | namespaces, cables, addresses, routes, programs and threads inside a node |
//! | [`topology`] | two gateways with a host behind each, three sites, an optional way out by default routes |
//! | [`mesh`], [`program`], [`gateway`] | a `mesh.toml` for a topology, the `meshtun` program, running gateways |
//! | [`logged`] | programs whose logs are looked into while they run |
//! | [`load`] | TCP flows with a recognisable payload, UDP trains with sequence numbers |
//! | [`faults`] | an underlay in userspace that delays, loses, reorders, doubles, damages and limits |
//! | [`firewall`] | faults that are on or off: channels blocked one way or both |
//! | [`scenario`] | files that say what happens and what is expected, played |
//! | [`watch`] | what passes the underlay: clear packets, datagrams that are not the link's |
//! | [`wireguard`] | plain WireGuard at the other end of a link |
//! | [`cpu`] | busy seconds of the whole machine |
//! | [`privilege`], [`signals`], [`trial`] | user namespaces, clean-up on Ctrl-C, tests that never skip in silence |
//!
//! Everything blocks. Netlink is spoken by threads that entered the namespace.
//!
//! ```no_run
//! use netns_lab::{topology::{Options, Shape, Topology}, program::Program, gateway, load::TcpLoad};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! netns_lab::privilege::acquire()?; // first thing in main: no thread may run yet
//! netns_lab::signals::exit_cleanly()?;
//! let lab = Topology::build(Shape::TwoGateways, &Options::default())?;
//! let program = Program::find(None)?;
//! let keys = program.keys(lab.sites.len())?;
//! let mesh = lab.mesh(&keys, 4);
//! let mut gateways = gateway::start_all(&lab, &program, &mesh, &keys)?;
//! for gateway in &mut gateways {
//!     gateway.wait_until_up(std::time::Duration::from_secs(5))?;
//! }
//! let [one, two] = [&lab.sites[0], &lab.sites[1]];
//! let report = TcpLoad::new(&one.host, &two.host, two.host_v4.into()).run(|_progress| {})?;
//! println!("{:.2} Gb/s", report.gigabits_per_second());
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod child;
pub mod cpu;
mod error;
pub mod faults;
pub mod firewall;
mod footprint;
pub mod gateway;
pub mod lab;
pub mod load;
pub mod logged;
pub mod mesh;
mod netlink;
pub mod node;
pub mod openvpn;
pub mod privilege;
pub mod program;
pub mod scenario;
pub mod signals;
pub mod topology;
pub mod trial;
pub mod watch;
pub mod whereabouts;
pub mod wireguard;

pub use error::LabError;
pub use footprint::clean_up;
pub use lab::Lab;
pub use node::Node;
