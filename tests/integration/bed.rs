//! A lab with running gateways, for tests.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use netns_lab::{
    Node,
    gateway::{self, Gateway},
    mesh::MeshFile,
    program::{Keys, Program},
    topology::{Family, Options, Shape, Topology},
};

/// How long anything may take that takes milliseconds on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A lab whose gateways run, and what they were started with.
pub struct Bed {
    // Before the topology: programs end before their namespaces go.
    pub gateways: Vec<Gateway>,
    pub mesh: MeshFile,
    pub keys: Vec<Keys>,
    pub topology: Topology,
}

/// The program under test.
pub fn program() -> Program {
    Program::find(Some(Path::new(env!("CARGO_BIN_EXE_meshtun")))).expect("cargo built the program")
}

impl Bed {
    /// host1 - g1 - underlay - g2 - host2, all channels up.
    pub fn two_gateways(channels: u16, underlay: Family) -> Bed {
        Bed::new(Shape::TwoGateways, channels, underlay, |_| {})
    }

    /// As [`Bed::two_gateways`], in any shape, and with a file that `change` has edited.
    pub fn new(shape: Shape, channels: u16, underlay: Family, change: impl FnOnce(&mut MeshFile)) -> Bed {
        let topology = Topology::build(shape, &Options { underlay, ..Options::default() }).expect("the lab is built");
        let program = program();
        let keys = program.keys(topology.sites.len()).expect("keys are made");
        let mut mesh = topology.mesh(&keys, channels);
        change(&mut mesh);
        let gateways = gateway::start_all(&topology, &program, &mesh, &keys).expect("the gateways start");
        let mut bed = Bed { gateways, mesh, keys, topology };
        bed.wait_until_up();
        bed
    }

    pub fn wait_until_up(&mut self) {
        for gateway in &mut self.gateways {
            gateway.wait_until_up(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    pub fn host(&self, site: usize) -> &Node {
        &self.topology.sites[site].host
    }
}

/// Polls until it holds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs a program in a node, which must succeed, and gives what it printed. The words are separated by single spaces.
pub fn run(node: &Node, command_line: &str) -> String {
    let (succeeded, said) = attempt(node, command_line);
    assert!(succeeded, "{}: `{command_line}` failed: {said}", node.name());
    said
}

/// Runs a program in a node: whether it succeeded, and what it printed to both outputs.
pub fn attempt(node: &Node, command_line: &str) -> (bool, String) {
    let mut words = command_line.split(' ');
    let mut command = Command::new(words.next().expect("a command line has a program"));
    command.args(words);
    let output = node.output(command).unwrap_or_else(|error| panic!("{error}; tests/prepare installs what is needed"));
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}
