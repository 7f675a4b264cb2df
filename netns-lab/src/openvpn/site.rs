//! One gateway's four processes, their scripts and files, as people run several for one link: contiguous ports, `ping 5`,
//! `ping-restart 30`, `up-delay`, `down-pre`, `up-restart`, and a script that keeps one multipath route under a lock.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use meshtun_sys::process::Signal;

use super::{
    OpenVpnError, ask,
    judge::complaints,
    process::Process,
    program::{Kind, Programs},
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
const ROUTES: &str = include_str!("../../openvpn/routes.pl");
const RECORD: &str = include_str!("../../openvpn/record.pl");

/// What scenarios have in their own way.
#[derive(Clone, Copy)]
pub(super) struct Style {
    /// What protects the packets: lines of the configuration.
    pub(super) protection: &'static str,
    /// Whether each call of a script is recorded.
    pub(super) recorded: bool,
}

/// A gateway.
pub(super) struct Site {
    node: Node,
    folder: PathBuf,
    network: String,
    first_port: u16,
    firewall: Firewall,
    processes: Vec<Process>,
}

impl Site {
    /// Both gateways, with the program of each; nothing runs yet.
    pub(super) fn both(
        topology: &Topology,
        kinds: [Kind; 2],
        programs: &Programs,
        style: Style,
    ) -> Result<[Site; 2], OpenVpnError> {
        let folder = topology.lab.folder();
        for channel in 0..CHANNELS {
            let key = key(folder, channel);
            ask(&topology.sites[0].gateway, &["openvpn", "--genkey", "secret", &key.display().to_string()])?;
        }
        let site = |at: usize| Site::new(topology, at, kinds[at], programs, style);
        Ok([site(0)?, site(1)?])
    }

    fn new(
        topology: &Topology,
        at: usize,
        kind: Kind,
        programs: &Programs,
        style: Style,
    ) -> Result<Site, OpenVpnError> {
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
            write(&path, &configuration([here, there], at, [&folder, topology.lab.folder()], channel, style), 0o600)?;
            let programs = programs.clone();
            let command = move |kind| {
                let mut command = programs.command(kind);
                command.arg("--config").arg(&path);
                command
            };
            processes.push(Process::new(&here.gateway, &name, &folder, kind, command));
        }
        let firewall =
            Firewall::new(&here.gateway, UNDERLAY).map_err(|error| OpenVpnError::Process(error.to_string()))?;
        Ok(Site { node: here.gateway.clone(), folder, network, first_port: PORTS[at], firewall, processes })
    }

    pub(super) fn start(&mut self, channel: usize) -> Result<(), OpenVpnError> {
        self.processes[channel].start()
    }

    pub(super) fn stop(&mut self, channel: usize) -> Result<(), OpenVpnError> {
        self.processes[channel].stop()
    }

    /// Ends a channel's process by SIGTERM, and starts a program from the same file.
    pub(super) fn replace(&mut self, channel: usize, program: Kind) -> Result<(), OpenVpnError> {
        self.processes[channel].stop()?;
        self.processes[channel].becomes(program);
        self.processes[channel].start()
    }

    pub(super) fn signal(&mut self, channel: usize, signal: Signal) -> Result<(), OpenVpnError> {
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

    /// Where calls of a process's scripts are recorded.
    pub(super) fn trace(&self, channel: usize) -> PathBuf {
        self.folder.join(format!("nq{}.trace", channel + 1))
    }

    /// Where all files of the gateway are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The programs that run, of each channel's process; an empty path if none does.
    pub(super) fn programs(&self) -> Vec<PathBuf> {
        let path = |process: &Process| fs::read_link(format!("/proc/{}/exe", process.id()?)).ok();
        self.processes.iter().map(|process| path(process).unwrap_or_default()).collect()
    }

    /// The device of each channel that is in the route.
    pub(super) fn devices(&self) -> Result<Vec<Option<String>>, OpenVpnError> {
        let said = ask(&self.node, &["ip", "route", "show", &self.network])?;
        let hops = said.split("via ").skip(1).filter_map(|hop| {
            let mut words = hop.split_ascii_whitespace();
            Some((words.next()?, words.skip_while(|word| *word != "dev").nth(1)?))
        });
        let hops: Vec<_> = hops.collect();
        let device = |channel| {
            let inside = format!("10.9.{}.", channel + 1);
            hops.iter().find(|(via, _)| via.starts_with(&inside)).map(|(_, device)| (*device).to_owned())
        };
        Ok((0..CHANNELS).map(device).collect())
    }

    /// Lines of the logs with which a program complains of the other end.
    pub(super) fn complaints(&self) -> Vec<String> {
        let of =
            |process: &Process| complaints(&format!("{} at {}", process.describe(), self.node.name()), &process.log());
        self.processes.iter().flat_map(of).collect()
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

/// `folders`: the gateway's and the lab's.
fn configuration(
    [here, there]: [&topology::Site; 2],
    at: usize,
    [folder, lab]: [&Path; 2],
    channel: usize,
    style: Style,
) -> String {
    let (folder_name, number) = (folder.display(), channel + 1);
    let inside = |end: usize| format!("10.9.{number}.{}", end + 1);
    let script = |name: &str| match style.recorded {
        true => format!("{name} \"{folder_name}/record {folder_name}/nq{number}.trace {folder_name}/{name}\""),
        false => format!("{name} {folder_name}/{name}"),
    };
    let [ours, theirs] = [PORTS[at], PORTS[1 - at]].map(|first| usize::from(first) + channel);
    let persistent = if channel >= PERSISTENT { "persist-tun\n" } else { "" };
    format!(
        "local {}\nlport {ours}\nremote {}\nrport {theirs}\ndev tun\nifconfig {} {}\nping 5\nping-restart 30\n\
         script-security 2\n{}\n{}\nup-delay\ndown-pre\nup-restart\n{persistent}{}secret {}\nverb 3\n\
         writepid {folder_name}/nq{number}.pid\nstatus {folder_name}/nq{number}.status 5\n\
         ignore-unknown-option allow-deprecated-insecure-static-crypto disable-dco\ndisable-dco\n\
         allow-deprecated-insecure-static-crypto\n",
        here.underlay,
        there.underlay,
        inside(at),
        inside(1 - at),
        script("up"),
        script("down"),
        style.protection,
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
