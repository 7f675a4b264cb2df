//! A lab with running gateways, for tests.

use std::{
    fs,
    net::IpAddr,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use netns_lab::{
    Node,
    gateway::{Gateway, Setup},
    mesh::MeshFile,
    program::{Keys, Program},
    topology::{Family, Options, Shape, Topology},
};
use serde_json::Value;

/// How long anything may take that takes milliseconds on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A lab whose gateways run, and what they were started with.
pub(crate) struct Bed {
    // Before the topology: programs end before their namespaces go.
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) mesh: MeshFile,
    pub(crate) keys: Vec<Keys>,
    pub(crate) topology: Topology,
}

/// The program under test.
pub(crate) fn program() -> Program {
    Program::find(Some(Path::new(env!("CARGO_BIN_EXE_meshtun")))).expect("cargo built the program")
}

impl Bed {
    /// host1 - g1 - underlay - g2 - host2, all channels up.
    pub(crate) fn two_gateways(channels: u16, underlay: Family) -> Bed {
        Bed::new(Shape::TwoGateways, channels, underlay, |_| {})
    }

    /// As [`Bed::two_gateways`], in any shape, and with a file that `change` has edited.
    pub(crate) fn new(shape: Shape, channels: u16, underlay: Family, change: impl FnOnce(&mut MeshFile)) -> Bed {
        let mut bed = Bed::quiet(shape, channels, &Options { underlay, ..Options::default() });
        change(&mut bed.mesh);
        bed.start_all();
        bed
    }

    /// The lab and the gateways' keys and file; nothing runs yet.
    pub(crate) fn quiet(shape: Shape, channels: u16, options: &Options) -> Bed {
        let topology = Topology::build(shape, options).expect("the lab is built");
        // Each packet that deserves an ICMP error gets one: a test that asks often must not run into the usual limits.
        for node in topology.lab.nodes() {
            for key in ["net.ipv4.icmp_ratelimit", "net.ipv6.icmp.ratelimit"] {
                node.set_sysctl(key, "0").expect("a namespace has its own limits");
            }
        }
        let keys = program().keys(topology.sites.len()).expect("keys are made");
        let mesh = topology.mesh(&keys, channels);
        Bed { gateways: Vec::new(), mesh, keys, topology }
    }

    /// Starts the gateway of each site with the same file, and waits until all channels are up.
    pub(crate) fn start_all(&mut self) {
        for site in 0..self.topology.sites.len() {
            self.start(site, self.mesh.clone());
        }
        self.wait_until_up();
    }

    /// Starts one gateway with a file of its own, and does not wait. Sites are started in order.
    pub(crate) fn start(&mut self, site: usize, mesh: MeshFile) {
        assert_eq!(site, self.gateways.len(), "sites are started in order");
        self.start_with(self.setup(site, &mesh));
    }

    /// Starts the next gateway so, and does not wait.
    pub(crate) fn start_with(&mut self, setup: Setup) {
        let gateway = Gateway::start(&self.topology.lab, self.gateway(self.gateways.len()), setup);
        self.gateways.push(gateway.unwrap_or_else(|error| panic!("{error}")));
    }

    /// What the gateway of a site is started with.
    pub(crate) fn setup(&self, site: usize, mesh: &MeshFile) -> Setup {
        Setup::new(&program(), mesh, self.topology.sites[site].name(), &self.keys[site])
    }

    /// Waits until each channel has carrier and its daemon says so: for a moment a device may still show the carrier of a
    /// daemon that has just ended.
    pub(crate) fn wait_until_up(&mut self) {
        for gateway in &mut self.gateways {
            gateway.wait_until_up(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
        }
        for site in 0..self.gateways.len() {
            eventually("the daemon answers, and all its channels are up", || {
                self.gateways[site].status().is_ok()
                    && self.channels(site).iter().all(|channel| channel["state"] == "up")
            });
        }
    }

    pub(crate) fn host(&self, site: usize) -> &Node {
        &self.topology.sites[site].host
    }

    /// The node in which a site's gateway runs.
    pub(crate) fn gateway(&self, site: usize) -> &Node {
        &self.topology.sites[site].gateway
    }

    /// A host's addresses, IPv4 and IPv6.
    pub(crate) fn addresses(&self, site: usize) -> [IpAddr; 2] {
        let site = &self.topology.sites[site];
        [site.host_v4.into(), site.host_v6.into()]
    }

    /// What a gateway answers to `status --json`.
    pub(crate) fn status(&self, site: usize) -> Value {
        self.gateways[site].status().unwrap_or_else(|error| panic!("{error}"))
    }

    /// A gateway's channels, those of all links one after the other.
    pub(crate) fn channels(&self, site: usize) -> Vec<Value> {
        let status = self.status(site);
        let links = status["links"].as_array().expect("status lists the links");
        links.iter().flat_map(|link| link["channels"].as_array().expect("a link lists its channels").clone()).collect()
    }

    /// How many packets and datagrams a gateway dropped for this reason.
    pub(crate) fn dropped(&self, site: usize, reason: &str) -> u64 {
        self.status(site)["dropped"][reason].as_u64().unwrap_or(0)
    }
}

/// Polls until it holds.
pub(crate) fn eventually(what: &str, holds: impl FnMut() -> bool) {
    assert!(comes_true(holds), "not within {PATIENCE:?}: {what}");
}

/// Polls until it holds; whether it did in the end.
pub(crate) fn comes_true(mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Runs a program in a node, which must succeed, and gives what it printed. The words are separated by single spaces.
pub(crate) fn run(node: &Node, command_line: &str) -> String {
    let (succeeded, said) = attempt(node, command_line);
    assert!(succeeded, "{}: `{command_line}` failed: {said}", node.name());
    said
}

/// Runs a program in a node: whether it succeeded, and what it printed to both outputs.
pub(crate) fn attempt(node: &Node, command_line: &str) -> (bool, String) {
    let output = output(node, words(command_line));
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// Runs a program in a node that prints JSON.
pub(crate) fn json(node: &Node, command_line: &str) -> Value {
    let text = run(node, command_line);
    // `ip -j` prints nothing at all where there is nothing to show.
    let text = if text.trim().is_empty() { "[]" } else { &text };
    serde_json::from_str(text).unwrap_or_else(|error| panic!("`{command_line}`: {error}: {text}"))
}

/// Runs a command in a node to its end.
pub(crate) fn output(node: &Node, command: Command) -> Output {
    node.output(command).unwrap_or_else(|error| panic!("{error}; tests/prepare installs what is needed"))
}

/// A command line whose words are separated by single spaces.
pub(crate) fn words(command_line: &str) -> Command {
    let mut words = command_line.split(' ');
    let mut command = Command::new(words.next().expect("a command line has a program"));
    command.args(words);
    command
}

/// One echo request, the answer to which may take its time.
pub(crate) fn ping(from: &Node, to: impl Into<IpAddr>) {
    run(from, &format!("ping -n -c 1 -W 20 {}", to.into()));
}

/// Whether anything listens on this TCP port of a node.
pub(crate) fn listens(node: &Node, port: u16) -> bool {
    let tables = node.run(|| ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/thread-self/net/{table}"))));
    // Columns: number, local address, remote address, state; 0A is LISTEN (proc_net_tcp.rst).
    let is_it = |line: &str| {
        let mut columns = line.split_whitespace().skip(1);
        columns.next().is_some_and(|local| local.ends_with(&format!(":{port:04X}"))) && columns.nth(1) == Some("0A")
    };
    tables.expect("the node can be entered").into_iter().flatten().any(|table| table.lines().any(is_it))
}

/// That echo requests are answered by "unreachable", sooner or later, and never by an answer.
pub(crate) fn assert_unreachable(from: &Node, to: IpAddr) {
    eventually(&format!("{} is told that {to} is unreachable", from.name()), || {
        let (answered, said) = attempt(from, &format!("ping -n -c 1 -W 1 {to}"));
        assert!(!answered, "{} to {to}: {said}", from.name());
        // A router's words, or those of the sender's own kernel.
        said.contains("nreachable") || said.contains("No route to host")
    });
}
