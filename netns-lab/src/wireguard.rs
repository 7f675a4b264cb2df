//! A plain WireGuard peer in a node: one interface for each channel of a link, by Debian's `wireguard-go` or another
//! [`Implementation`] in userspace.
//!
//! ```text
//!  meshtun                            wg418-0 (wireguard-go) ─┐
//!  gateway  ══ link of N channels ══                          ├─ multipath route back, by ports
//!                                     wg418-1 (wireguard-go) ─┘
//! ```
//! The programs run in the foreground as the lab's children and tell in a log what they cannot use, and, if asked, what
//! they do, handshake by handshake. They are set up by `wg setconf` and `ip`, as their owners do it.
//!
//! All network namespaces share the folder of the control sockets, so an interface has a name that nothing
//! else on the machine has.

mod implementation;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{self, Command, ExitStatus, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use meshtun_sys::process::Signal;
use thiserror::Error;

use crate::{Lab, LabError, Node, child::Child, mesh::MeshFile, program::Keys, topology::Topology};

pub use implementation::Implementation;

/// The folder of the control sockets: `wg` looks nowhere else.
const SOCKETS: &str = "/var/run/wireguard";

/// How long an interface may take to come or to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// Control sockets of this process's interfaces.
static OPEN: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// What a peer is set up with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The program.
    pub implementation: Implementation,
    /// Whether it logs what it does, too; else only what is wrong.
    pub verbose: bool,
    /// Its keys; all its interfaces have the same.
    pub keys: Keys,
    /// The meshtun gateway's public key, base64.
    pub peer_key: String,
    /// The pre-shared key, base64.
    pub preshared_key: Option<String>,
    /// How many interfaces.
    pub channels: u16,
    /// The first one's UDP port.
    pub port: u16,
    /// Where the first channel of the gateway is, if the peer shall know it: only then can it initiate.
    pub endpoint: Option<SocketAddr>,
    /// Seconds between keepalives, the first of which makes the peer initiate.
    pub keepalive: Option<u16>,
    /// The gateway numbers of this end and of the gateway, for the link-local addresses that meshtun derives.
    pub numbers: [u8; 2],
    /// The interfaces' MTU in bytes.
    pub mtu: u16,
    /// The prefixes behind the gateway, routed to all interfaces alike.
    pub networks: Vec<IpNet>,
    /// The source address of this end's own IPv4 packets; the kernel chooses if none is given.
    pub source: Option<Ipv4Addr>,
}

/// A running peer. Dropping it ends the programs; their interfaces go with them.
#[derive(Debug)]
pub struct WireGuard {
    node: Node,
    interfaces: Vec<Interface>,
}

/// What an interface knows about the gateway: `wg show NAME dump`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peering {
    /// The UDP port on which the interface listens.
    pub listen_port: u16,
    /// Where it takes the gateway to be.
    pub endpoint: Option<SocketAddr>,
    /// When the last handshake was completed, in Unix seconds.
    pub latest_handshake: Option<u64>,
    /// Bytes received from the gateway, handshakes and padding included.
    pub received: u64,
    /// Bytes sent to it.
    pub sent: u64,
}

/// Why a peer cannot be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WireGuardError {
    /// Something in the lab.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A program is not installed.
    #[error("{0} is not installed: tests/prepare installs it (Debian's packages wireguard-go and wireguard-tools)")]
    Missing(String),
    /// A file of the peer.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A program ended badly.
    #[error("`{command}` ended with {status}: {said}")]
    Failed {
        /// What was run.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote.
        said: String,
    },
    /// No control socket appeared, or the program ended.
    #[error("{program} made no interface {interface} within {PATIENCE:?}; its log:\n{log}")]
    NotStarted {
        /// The program.
        program: String,
        /// Its name.
        interface: String,
        /// What it wrote.
        log: String,
    },
    /// `wg` wrote what cannot be understood.
    #[error("`wg show {interface} dump` wrote what cannot be understood: {said}")]
    Dump {
        /// The interface.
        interface: String,
        /// What it wrote.
        said: String,
    },
}

/// One interface and its program.
#[derive(Debug)]
struct Interface {
    program: String,
    name: String,
    log: PathBuf,
    child: Child,
}

impl WireGuard {
    /// Starts the programs in a node, sets the interfaces up, and routes to them.
    ///
    /// # Errors
    /// [`WireGuardError`]; what was started ends again.
    pub fn start(lab: &Lab, node: &Node, setup: &Setup) -> Result<WireGuard, WireGuardError> {
        let mut peer = WireGuard { node: node.clone(), interfaces: Vec::new() };
        for channel in 0..setup.channels {
            let interface = Interface::start(lab, node, setup)?;
            // It is this peer's from here on, whatever fails.
            peer.interfaces.push(interface);
            peer.configure(lab, setup, channel)?;
        }
        peer.route(setup)?;
        Ok(peer)
    }

    /// The interfaces' names, by channel.
    pub fn interfaces(&self) -> Vec<&str> {
        self.interfaces.iter().map(|interface| interface.name.as_str()).collect()
    }

    /// What each interface knows about the gateway, by channel.
    ///
    /// # Errors
    /// [`WireGuardError::Failed`], [`WireGuardError::Dump`].
    pub fn peerings(&self) -> Result<Vec<Peering>, WireGuardError> {
        let ask = |interface: &Interface| {
            let said = run(&self.node, "wg", &["show", &interface.name, "dump"])?;
            let not_understood = || WireGuardError::Dump { interface: interface.name.clone(), said: said.clone() };
            Peering::parse(&said).ok_or_else(not_understood)
        };
        self.interfaces.iter().map(ask).collect()
    }

    /// The programs' process numbers, by channel.
    pub fn processes(&self) -> Vec<u32> {
        self.interfaces.iter().map(|interface| interface.child.id()).collect()
    }

    /// The interfaces whose programs have ended by themselves, and how.
    ///
    /// # Errors
    /// [`WireGuardError::File`]; none is expected.
    pub fn ended(&mut self) -> Result<Vec<(&str, ExitStatus)>, WireGuardError> {
        let mut ended = Vec::new();
        for Interface { name, log, child, .. } in &mut self.interfaces {
            let status = child.ended().map_err(|source| WireGuardError::File { path: log.clone(), source })?;
            ended.extend(status.map(|status| (name.as_str(), status)));
        }
        Ok(ended)
    }

    /// All that the programs wrote. In wireguard-go's words, if it was to be verbose: each handshake message, each keepalive received, and each
    /// message that was of no use.
    pub fn log(&self) -> String {
        self.interfaces.iter().map(|interface| interface.log()).collect()
    }

    /// How many lines of the log contain these words.
    pub fn logged(&self, words: &str) -> usize {
        self.log().lines().filter(|line| line.contains(words)).count()
    }

    fn configure(&self, lab: &Lab, setup: &Setup, channel: u16) -> Result<(), WireGuardError> {
        let Some(Interface { name, .. }) = self.interfaces.get(usize::from(channel)) else { return Ok(()) };
        let path = lab.folder().join(format!("{name}.conf"));
        write_private(&path, &setup.text(channel))
            .map_err(|source| WireGuardError::File { path: path.clone(), source })?;
        run(&self.node, "wg", &["setconf", name, &path.to_string_lossy()])?;
        self.ip(&format!("link set {name} addrgenmode none mtu {} up", setup.mtu))?;
        self.ip(&format!("address add {}/64 dev {name}", link_local(setup.numbers[0], channel)))
    }

    fn route(&self, setup: &Setup) -> Result<(), WireGuardError> {
        for family in ["ipv4", "ipv6"] {
            self.node.set_sysctl(&format!("net.{family}.fib_multipath_hash_policy"), "1")?;
        }
        for prefix in &setup.networks {
            let hop = |(channel, interface): (u16, &Interface)| match prefix {
                IpNet::V4(_) => format!(" nexthop dev {}", interface.name),
                // The kernel takes no IPv6 multipath route without gateways.
                IpNet::V6(_) => {
                    format!(" nexthop via {} dev {}", link_local(setup.numbers[1], channel), interface.name)
                }
            };
            let hops: String = (0..).zip(&self.interfaces).map(hop).collect();
            let source = setup.source.filter(|_| prefix.addr().is_ipv4()).map(|source| format!(" src {source}"));
            self.ip(&format!("route add {prefix}{}{hops}", source.unwrap_or_default()))?;
        }
        Ok(())
    }

    fn ip(&self, arguments: &str) -> Result<(), WireGuardError> {
        let arguments: Vec<_> = arguments.split(' ').collect();
        run(&self.node, "ip", &arguments).map(|_| ())
    }
}

impl Drop for WireGuard {
    fn drop(&mut self) {
        // All at once: each takes a moment to end.
        for interface in &mut self.interfaces {
            let _ended = interface.child.signal(Signal::Terminate);
        }
    }
}

impl Setup {
    /// What belongs opposite the gateway at site 1 of [two gateways](crate::topology::Shape::TwoGateways): site 2 as the
    /// only link of the file describes it, knowing where the gateway is.
    ///
    /// # Panics
    /// If the topology or the keys are fewer than two, or the file has no link.
    pub fn opposite(topology: &Topology, mesh: &MeshFile, keys: &[Keys]) -> Setup {
        let [gateway, here] = [&topology.sites[0], &topology.sites[1]];
        let [far, near] = [0, 1].map(|end| *mesh.ports()[end].start());
        Setup {
            implementation: Implementation::WireguardGo,
            verbose: true,
            keys: keys[1].clone(),
            peer_key: keys[0].public().to_owned(),
            preshared_key: None,
            channels: mesh.links[0].channels,
            port: near,
            endpoint: Some(SocketAddr::new(gateway.underlay, far)),
            keepalive: None,
            numbers: [here.number, gateway.number],
            mtu: 1420,
            networks: gateway.networks.clone(),
            source: None,
        }
    }

    /// A channel's configuration, as `wg setconf` reads it.
    fn text(&self, channel: u16) -> String {
        let mut text = format!("[Interface]\nPrivateKey = {}\n", self.keys.private());
        text += &format!("ListenPort = {}\n\n[Peer]\nPublicKey = {}\n", self.port + channel, self.peer_key);
        if let Some(key) = &self.preshared_key {
            text += &format!("PresharedKey = {key}\n");
        }
        if let Some(first) = self.endpoint {
            text += &format!("Endpoint = {}\n", SocketAddr::new(first.ip(), first.port() + channel));
        }
        if let Some(seconds) = self.keepalive {
            text += &format!("PersistentKeepalive = {seconds}\n");
        }
        text + "AllowedIPs = 0.0.0.0/0, ::/0\n"
    }
}

impl Interface {
    fn start(lab: &Lab, node: &Node, setup: &Setup) -> Result<Interface, WireGuardError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("wg{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let log = lab.folder().join(format!("{name}.log"));
        let failed = |source| WireGuardError::File { path: log.clone(), source };
        let out = File::create(&log).map_err(failed)?;
        let err = out.try_clone().map_err(failed)?;
        let mut command = setup.implementation.command(&name, setup.verbose);
        let program = setup.implementation.name().to_owned();
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        sockets(|open| open.push(socket(&name)));
        let child = node.start(command).map_err(|error| missing(&program, error))?;
        let mut interface = Interface { program, name, log, child };
        interface.wait()?;
        Ok(interface)
    }

    /// The control socket is there once the interface is.
    fn wait(&mut self) -> Result<(), WireGuardError> {
        let deadline = Instant::now() + PATIENCE;
        while !socket(&self.name).exists() {
            if Instant::now() >= deadline || !matches!(self.child.ended(), Ok(None)) {
                let (program, interface) = (self.program.clone(), self.name.clone());
                return Err(WireGuardError::NotStarted { program, interface, log: self.log() });
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

impl Drop for Interface {
    fn drop(&mut self) {
        let _ended = self.child.signal(Signal::Terminate);
        // It runs on only if it hangs, and then the child's own end is by SIGKILL.
        let _ended = self.child.wait_for(PATIENCE);
        let socket = socket(&self.name);
        let _gone = fs::remove_file(&socket);
        sockets(|open| open.retain(|other| *other != socket));
    }
}

impl Peering {
    fn parse(dump: &str) -> Option<Peering> {
        let mut lines = dump.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        let [_private, _public, listen_port, _mark] = lines.next()?[..] else { return None };
        let [_key, _preshared, endpoint, _allowed, handshake, received, sent, _keepalive] = lines.next()?[..] else {
            return None;
        };
        Some(Peering {
            listen_port: listen_port.parse().ok()?,
            endpoint: endpoint.parse().ok(),
            latest_handshake: Some(handshake.parse().ok()?).filter(|moment| *moment > 0),
            received: received.parse().ok()?,
            sent: sent.parse().ok()?,
        })
    }
}

/// Takes away the control sockets of all interfaces of this process.
///
/// For the last moment before an exit that runs no destructors, once the programs are ended.
pub fn clean_up() {
    sockets(|open| {
        for socket in open.drain(..) {
            let _gone = fs::remove_file(socket);
        }
    });
}

/// The address that meshtun derives for a channel's end: `fe80::NUMBER:CHANNEL`, both in decimal digits.
fn link_local(number: u8, channel: u16) -> Ipv6Addr {
    let digits = |number: u16| number.to_string().chars().filter_map(|c| c.to_digit(16)).fold(0, |n, d| 16 * n + d);
    let (number, channel) = (digits(number.into()), digits(channel));
    Ipv6Addr::from_bits(u128::from(0xfe80_u16) << 112 | u128::from(number) << 16 | u128::from(channel))
}

fn socket(interface: &str) -> PathBuf {
    Path::new(SOCKETS).join(format!("{interface}.sock"))
}

fn sockets<T>(change: impl FnOnce(&mut Vec<PathBuf>) -> T) -> T {
    change(&mut OPEN.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Runs a program in a node, which must succeed, and gives what it wrote.
fn run(node: &Node, program: &str, arguments: &[&str]) -> Result<String, WireGuardError> {
    let mut command = Command::new(program);
    command.args(arguments);
    let output = node.output(command).map_err(|error| missing(program, error))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let command = format!("{program} {}", arguments.join(" "));
    Err(WireGuardError::Failed { command, status: output.status, said: text(&output.stderr).trim().to_owned() })
}

fn missing(program: &str, error: LabError) -> WireGuardError {
    match error {
        LabError::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            WireGuardError::Missing(program.to_owned())
        }
        other => other.into(),
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> Setup {
        Setup {
            implementation: Implementation::default(),
            verbose: false,
            keys: Keys::new("secret=", "open="),
            peer_key: "gateway=".into(),
            preshared_key: Some("shared=".into()),
            channels: 2,
            port: 7001,
            endpoint: Some("[2001:db8::1]:6001".parse().unwrap()),
            keepalive: Some(25),
            numbers: [207, 1],
            mtu: 1420,
            networks: Vec::new(),
            source: None,
        }
    }

    #[test]
    fn each_channel_has_its_ports() {
        let expected = "[Interface]\nPrivateKey = secret=\nListenPort = 7002\n\n[Peer]\nPublicKey = gateway=\n\
                        PresharedKey = shared=\nEndpoint = [2001:db8::1]:6002\nPersistentKeepalive = 25\n\
                        AllowedIPs = 0.0.0.0/0, ::/0\n";
        assert_eq!(setup().text(1), expected);
    }

    #[test]
    fn link_local_addresses_show_number_and_channel_in_decimal_digits() {
        assert_eq!(link_local(207, 12).to_string(), "fe80::207:12");
    }

    #[test]
    fn a_dump_tells_endpoint_handshake_and_transfer() {
        let dump = "private\tpublic\t7001\toff\n\
                    key\t(none)\t198.51.100.1:6001\t0.0.0.0/0,::/0\t1763700000\t148\t92\toff\n";
        let expected = Peering {
            listen_port: 7001,
            endpoint: Some("198.51.100.1:6001".parse().unwrap()),
            latest_handshake: Some(1_763_700_000),
            received: 148,
            sent: 92,
        };
        assert_eq!(Peering::parse(dump), Some(expected));
    }

    #[test]
    fn a_peer_that_was_never_heard_has_neither_endpoint_nor_handshake() {
        let peering = Peering::parse("a\tb\t1\toff\nkey\t(none)\t(none)\t::/0\t0\t0\t0\toff\n").unwrap();
        assert_eq!((peering.endpoint, peering.latest_handshake), (None, None));
        assert_eq!(Peering::parse("a\tb\t1\toff\n"), None, "an interface without a peer");
    }

    #[test]
    fn a_program_that_is_not_installed_is_named_with_what_to_do() {
        let node = || "g2".to_owned();
        let error = LabError::Start { node: node(), program: "wg".into(), source: io::ErrorKind::NotFound.into() };
        let said = missing("wg", error).to_string();
        assert!(said.starts_with("wg is not installed") && said.contains("tests/prepare"), "{said}");
        let error = LabError::Start { node: node(), program: "wg".into(), source: io::ErrorKind::OutOfMemory.into() };
        assert!(matches!(missing("wg", error), WireGuardError::Lab(_)));
    }
}
