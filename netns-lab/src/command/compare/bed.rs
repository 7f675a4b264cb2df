//! A fresh lab with a subject in it that carries traffic.

use std::{
    fs, io,
    net::{Ipv4Addr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, ensure};
use netns_lab::{
    Node,
    child::last_lines,
    topology::{LAN, Options, Shape, Site, Topology, UNDERLAY},
};

use super::{
    ask::ask,
    install::Programs,
    tool::{Path, Subject, Underlay},
    tools::{self, Running},
};

/// How long a subject may take until every flow is answered.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long an answer is waited for before the next question.
const ASKED_EVERY: Duration = Duration::from_millis(50);

/// How many of a log's last lines an error carries.
const LOG_LINES: usize = 10;

/// A transport protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Two gateways with a host behind each, and a subject between the gateways that carries traffic both ways.
pub(crate) struct Bed {
    // Ended before the lab, in which it runs.
    running: Box<dyn Running>,
    /// What is measured on it.
    pub(crate) subject: Subject,
    /// What the cable between the gateways passes.
    pub(crate) underlay: Underlay,
    /// The lab.
    pub(crate) topology: Topology,
}

impl Bed {
    /// Builds the lab, starts the subject, and waits until it carries traffic.
    ///
    /// # Errors
    /// Whatever the subject does not do; with the end of its log.
    pub(crate) fn start(subject: Subject, underlay: Underlay, programs: &Programs) -> anyhow::Result<Bed> {
        let topology = Topology::build(Shape::TwoGateways, &Options::default())?;
        for site in &topology.sites {
            // A flow keeps its channel whatever is lost of it, as that of a host on another machine: the gateway's kernel
            // sees the hash of a socket in another namespace, and the socket would change it after a timeout.
            let _older_kernel = site.host.set_sysctl("net.core.txrehash", "0");
            // What comes by one channel may be answered by another.
            for devices in ["all", "default"] {
                site.gateway.set_sysctl(&format!("net.ipv4.conf.{devices}.rp_filter"), "0")?;
            }
        }
        match underlay {
            Underlay::Trains => {}
            Underlay::Datagrams => pass_datagrams_only(&topology, true)?,
            Underlay::LoneDatagrams => pass_datagrams_only(&topology, false)?,
        }
        let running = tools::start(subject, &topology, programs)?;
        let bed = Bed { running, subject, underlay, topology };
        for path in [Path::Routed, Path::Gateway] {
            bed.converse(path, PATIENCE).map_err(|error| bed.with_logs(&error))?;
        }
        Ok(bed)
    }

    /// Whether traffic passes.
    ///
    /// # Errors
    /// That it does not; with the end of the log.
    pub(crate) fn still_carries(&self, path: Path) -> anyhow::Result<()> {
        self.must_run()?;
        self.converse(path, PATIENCE / 3).map_err(|error| self.with_logs(&error))
    }

    /// Whether all processes of the subject run.
    ///
    /// # Errors
    /// That one has ended; with the end of the log.
    pub(crate) fn must_run(&self) -> anyhow::Result<()> {
        for (processes, site) in self.running.processes().iter().zip(&self.topology.sites) {
            for pid in processes {
                // One that has ended stays as a zombie until it is asked for.
                let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                let ended = state.is_empty() || state.contains(") Z ");
                ensure!(
                    !ended,
                    self.with_logs(&anyhow!("process {pid} of {} at {} has ended", self.subject, site.name()))
                );
            }
        }
        Ok(())
    }

    /// Waits until as many flows as make sure that every channel has one have been answered: then every session is there.
    fn converse(&self, path: Path, patience: Duration) -> anyhow::Result<()> {
        let (client, server, address) = self.ends(path);
        let echo = server.run(|| UdpSocket::bind((address, 0)))??;
        echo.set_read_timeout(Some(ASKED_EVERY))?;
        let there = echo.local_addr()?;
        let flow = || -> io::Result<UdpSocket> {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            socket.connect(there)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let flows = 8 * usize::from(self.subject.channels);
        let mut silent = client.run(|| (0..flows).map(|_| flow()).collect::<io::Result<Vec<_>>>())??;
        let deadline = Instant::now() + patience;
        while !silent.is_empty() {
            ensure!(
                Instant::now() < deadline,
                "{}: {} of {flows} flows were not answered within {patience:?} ({})",
                self.subject,
                silent.len(),
                path.name()
            );
            for flow in &silent {
                // What cannot be sent yet is sent in the next round.
                let _refused = flow.send(b"is anybody there?");
            }
            let mut question = [0; 64];
            // Until nothing has come for a while; an ICMP error that came instead is no answer either.
            while let Ok((len, from)) = echo.recv_from(&mut question) {
                echo.send_to(&question[..len], from)?;
            }
            silent.retain(|flow| flow.recv(&mut question).is_err());
        }
        Ok(())
    }

    /// The error, with the end of what the subject wrote below it.
    fn with_logs(&self, error: &anyhow::Error) -> anyhow::Error {
        let logs = self.running.logs();
        let ends = logs.iter().filter(|log| !log.is_empty()).map(|log| last_lines(log, LOG_LINES));
        anyhow!("{error:#}; the ends of its logs:\n{}", ends.collect::<Vec<_>>().join("\n--\n"))
    }

    /// The client's and the server's node of a path, and the server's address.
    pub(crate) fn ends(&self, path: Path) -> (Node, Node, Ipv4Addr) {
        let [one, two] = [&self.topology.sites[0], &self.topology.sites[1]];
        match path {
            Path::Routed => (one.host.clone(), two.host.clone(), two.host_v4),
            Path::Gateway => (one.gateway.clone(), two.gateway.clone(), two.gateway_v4),
        }
    }

    /// The device into the tunnel that the gateway of the client chooses for a flow, as its kernel says; `None` for what
    /// has no tunnel.
    ///
    /// # Errors
    /// If `ip route get` fails.
    pub(crate) fn device_of(
        &self,
        path: Path,
        protocol: Protocol,
        source_port: u16,
        destination_port: u16,
    ) -> anyhow::Result<Option<String>> {
        let [one, two] = [&self.topology.sites[0], &self.topology.sites[1]];
        chosen(one, two, path, protocol, [source_port, destination_port])
    }

    /// The device that the gateway of the server chooses for what comes back on such a flow: most often another one. Named
    /// as at the gateway of the client.
    ///
    /// # Errors
    /// If `ip route get` fails.
    pub(crate) fn device_back(
        &self,
        path: Path,
        protocol: Protocol,
        source_port: u16,
        destination_port: u16,
    ) -> anyhow::Result<Option<String>> {
        if self.subject.channels == 1 {
            // WireGuard's only device has another name there.
            return self.device_of(path, protocol, source_port, destination_port);
        }
        let [one, two] = [&self.topology.sites[0], &self.topology.sites[1]];
        chosen(two, one, path, protocol, [destination_port, source_port])
    }

    /// Process numbers of the subject at the first gateway.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let [first, _] = self.running.processes();
        first
    }

    /// Ends the subject. Gives what went wrong with it: error lines that it logged (warnings are none), and whatever ended
    /// by itself.
    ///
    /// # Errors
    /// If it does not end.
    pub(crate) fn finish(self) -> anyhow::Result<Vec<String>> {
        self.running.finish()
    }
}

/// The device that a site's gateway chooses for a flow to another site.
fn chosen(from: &Site, to: &Site, path: Path, protocol: Protocol, ports: [u16; 2]) -> anyhow::Result<Option<String>> {
    let protocol = match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    let way = match path {
        Path::Routed => format!("{} from {} iif {LAN}", to.host_v4, from.host_v4),
        Path::Gateway => format!("{} from {}", to.gateway_v4, from.gateway_v4),
    };
    let asked = format!("route get {way} ipproto {protocol} sport {} dport {}", ports[0], ports[1]);
    let said = ask(&from.gateway, "ip", &asked)?;
    let mut words = said.split_ascii_whitespace().skip_while(|word| *word != "dev");
    let device = words.nth(1).with_context(|| format!("`ip {asked}` names no device: {said}"))?;
    Ok(Some(device.to_owned()).filter(|device| device != UNDERLAY))
}

/// Makes the cable between the gateways a plain NIC's: each datagram is a packet of its own on it. A plain NIC's driver
/// hands what comes to GRO in software, which is the kernel's default; `gro` says whether this one does.
fn pass_datagrams_only(topology: &Topology, gro: bool) -> anyhow::Result<()> {
    let gro = if gro { "on" } else { "off" };
    for site in &topology.sites {
        for (offload, state) in [("tso", "off"), ("gso", "off"), ("tx-udp-segmentation", "off"), ("gro", gro)] {
            ask(&site.gateway, "ethtool", &format!("-K {UNDERLAY} {offload} {state}"))?;
        }
    }
    Ok(())
}
