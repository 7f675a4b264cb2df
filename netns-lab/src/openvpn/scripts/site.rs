//! One gateway's four processes, their scripts and files.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use meshtun_sys::process::Signal;

use super::{
    super::{
        OpenVpnError, ask,
        process::Process,
        program::{Kind, Programs},
    },
    trace::{self, Call},
};
use crate::{
    Node,
    firewall::Firewall,
    topology::{self, Topology, UNDERLAY},
};

/// Processes of a gateway.
pub(super) const CHANNELS: usize = 4;

/// The first port of each gateway.
const PORTS: [u16; 2] = [6011, 6001];

/// Channels from here on keep their devices over a restart.
const PERSISTENT: usize = 2;

/// Both scripts are one.
const ROUTES: &str = include_str!("../../../openvpn/routes.pl");
const RECORD: &str = include_str!("../../../openvpn/record.pl");

/// A gateway.
pub(super) struct Site {
    node: Node,
    folder: PathBuf,
    network: String,
    first_port: u16,
    firewall: Firewall,
    processes: Vec<Process>,
    /// How many calls of each process were waited for.
    known: Vec<usize>,
}

impl Site {
    /// Both gateways, with the program of each; nothing runs yet.
    pub(super) fn both(topology: &Topology, kinds: [Kind; 2], programs: &Programs) -> Result<[Site; 2], OpenVpnError> {
        let folder = topology.lab.folder();
        for channel in 0..CHANNELS {
            let key = key(folder, channel);
            ask(&topology.sites[0].gateway, &["openvpn", "--genkey", "secret", &key.display().to_string()])?;
        }
        let site = |at: usize| Site::new(topology, at, kinds[at], programs);
        Ok([site(0)?, site(1)?])
    }

    fn new(topology: &Topology, at: usize, kind: Kind, programs: &Programs) -> Result<Site, OpenVpnError> {
        let (here, there) = (&topology.sites[at], &topology.sites[1 - at]);
        let folder = topology.lab.folder().join(format!("{}-openvpn", here.name()));
        fs::create_dir(&folder).map_err(|source| OpenVpnError::File { path: folder.clone(), source })?;
        let prefix = there.networks.iter().find(|prefix| prefix.addr().is_ipv4());
        let network = prefix.map_or_else(String::new, ToString::to_string);
        write(&folder.join("network"), &format!("{}\n{network}\n", here.gateway_v4), 0o600)?;
        for name in ["up", "down"] {
            write(&folder.join(name), ROUTES, 0o700)?;
        }
        write(&folder.join("record"), RECORD, 0o700)?;
        let mut processes = Vec::new();
        for channel in 0..CHANNELS {
            let name = format!("nq{}", channel + 1);
            let path = folder.join(format!("{name}.conf"));
            write(&path, &configuration(here, there, at, &folder, topology.lab.folder(), channel), 0o600)?;
            let programs = programs.clone();
            let command = move || {
                let mut command = programs.command(kind);
                command.arg("--config").arg(&path);
                command
            };
            processes.push(Process::new(&here.gateway, &name, &folder, kind, command));
        }
        let firewall =
            Firewall::new(&here.gateway, UNDERLAY).map_err(|error| OpenVpnError::Process(error.to_string()))?;
        let (node, known) = (here.gateway.clone(), vec![0; CHANNELS]);
        Ok(Site { node, folder, network, first_port: PORTS[at], firewall, processes, known })
    }

    pub(super) fn start(&mut self, channel: usize) -> Result<(), OpenVpnError> {
        self.processes[channel].start()
    }

    pub(super) fn stop(&mut self, channel: usize) -> Result<(), OpenVpnError> {
        self.processes[channel].stop()
    }

    /// Sends a signal; what the scripts were called for before is known from here on.
    pub(super) fn signal(&mut self, channel: usize, signal: Signal) -> Result<(), OpenVpnError> {
        self.know(channel)?;
        self.processes[channel].signal(signal)
    }

    pub(super) fn assert_run(&mut self) -> Result<(), OpenVpnError> {
        self.processes.iter_mut().try_for_each(Process::assert_runs)
    }

    /// Drops what arrives for channels, or lets it pass again.
    pub(super) fn block(&self, channels: &[u16], blocked: bool) -> Result<(), OpenVpnError> {
        let ports: Vec<_> = channels.iter().map(|channel| self.first_port + channel).collect();
        self.firewall.block_ports(&ports, blocked).map_err(|error| OpenVpnError::Process(error.to_string()))
    }

    /// How the scripts of a process were called so far.
    pub(super) fn calls(&self, channel: usize) -> Result<Vec<Call>, OpenVpnError> {
        let path = self.folder.join(format!("nq{}.trace", channel + 1));
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.map_err(|source| OpenVpnError::File { path, source })?,
        };
        Ok(trace::read(&text, &self.folder.display().to_string()))
    }

    pub(super) fn known(&self, channel: usize) -> usize {
        self.known[channel]
    }

    pub(super) fn know(&mut self, channel: usize) -> Result<(), OpenVpnError> {
        self.known[channel] = self.calls(channel)?.len();
        Ok(())
    }

    /// The route into the other site, with its hops in order and without devices.
    pub(super) fn routes(&self) -> Result<String, OpenVpnError> {
        let said = ask(&self.node, &["ip", "route", "show", &self.network])?;
        let source = said.split_once("src ").and_then(|(_, rest)| rest.split_ascii_whitespace().next());
        let mut hops: Vec<_> = said
            .split("via ")
            .skip(1)
            .filter_map(|rest| Some(format!("via {}", rest.split_ascii_whitespace().next()?)))
            .collect();
        hops.sort();
        Ok(format!("{} {}", source.map_or(String::new(), |source| format!("src {source}")), hops.join(" "))
            .trim()
            .to_owned())
    }

    pub(super) fn logs(&self) -> String {
        let log = |process: &Process| format!("{}:\n{}", process.describe(), process.end_of_log());
        self.processes.iter().map(log).collect::<Vec<_>>().join("\n--\n")
    }
}

fn configuration(
    here: &topology::Site,
    there: &topology::Site,
    at: usize,
    folder: &Path,
    lab: &Path,
    channel: usize,
) -> String {
    let (folder_name, number) = (folder.display(), channel + 1);
    let inside = |end: usize| format!("10.9.{number}.{}", end + 1);
    let script =
        |name: &str| format!("{name} \"{folder_name}/record {folder_name}/nq{number}.trace {folder_name}/{name}\"");
    let [ours, theirs] = [PORTS[at], PORTS[1 - at]].map(|first| usize::from(first) + channel);
    let persistent = if channel >= PERSISTENT { "persist-tun\n" } else { "" };
    format!(
        "local {}\nlport {ours}\nremote {}\nrport {theirs}\ndev tun\nifconfig {} {}\nping 5\nping-restart 30\n\
         script-security 2\n{}\n{}\nup-delay\ndown-pre\nup-restart\n{persistent}cipher AES-256-CBC\nsecret {}\nverb 3\n\
         writepid {folder_name}/nq{number}.pid\nstatus {folder_name}/nq{number}.status 5\n\
         ignore-unknown-option allow-deprecated-insecure-static-crypto disable-dco\ndisable-dco\n\
         allow-deprecated-insecure-static-crypto\n",
        here.underlay,
        there.underlay,
        inside(at),
        inside(1 - at),
        script("up"),
        script("down"),
        key(lab, channel).display(),
    )
}

fn key(folder: &Path, channel: usize) -> PathBuf {
    folder.join(format!("nq{}.key", channel + 1))
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), OpenVpnError> {
    let written = fs::write(path, text).and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)));
    written.map_err(|source| OpenVpnError::File { path: path.to_owned(), source })
}
