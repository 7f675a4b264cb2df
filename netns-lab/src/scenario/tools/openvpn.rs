//! OpenVPN as people use several of them for one link: a process a channel, each with `ping 5` and `ping-restart 30`, and
//! scripts that put its device into a multipath route when the peer is heard and take it out before the device goes.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    child::{Child, last_lines},
    scenario::{ScenarioError, action::ask},
    topology::{Site, Topology},
};

/// The first channel's port at both ends.
pub(in crate::scenario) const PORT: u16 = 6001;

/// The first ping comes after five seconds, and only then is the device opened.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many of a log's last lines are told of a run that failed.
const LOG_LINES: usize = 5;

/// The processes of both gateways.
pub(in crate::scenario) struct OpenVpn {
    channels: u16,
    processes: Vec<Child>,
    logs: Vec<PathBuf>,
}

impl OpenVpn {
    pub(in crate::scenario) fn new(channels: u16) -> OpenVpn {
        OpenVpn { channels, processes: Vec::new(), logs: Vec::new() }
    }

    pub(in crate::scenario) fn device(channel: u16) -> String {
        format!("ovpn{channel}")
    }

    /// Starts them all and waits until every device is in its route.
    pub(in crate::scenario) fn start(&mut self, topology: &Topology) -> Result<(), ScenarioError> {
        let folder = topology.lab.folder();
        let key = folder.join("openvpn.key");
        ask(&topology.sites[0].gateway, &format!("openvpn --genkey secret {}", key.display()))?;
        for (at, other) in [(0, 1), (1, 0)] {
            let (here, there) = (&topology.sites[at], &topology.sites[other]);
            for devices in ["all", "default"] {
                here.gateway.set_sysctl(&format!("net.ipv4.conf.{devices}.rp_filter"), "0")?;
            }
            let script = folder.join(format!("{}-routes", here.name()));
            write_script(&script, folder, here, there)?;
            for channel in 0..self.channels {
                self.start_one(folder, here, there, channel, &script, &format!("secret {} {at}", key.display()))?;
            }
        }
        let deadline = Instant::now() + PATIENCE;
        while !self.is_up(topology)? {
            if Instant::now() >= deadline {
                let what = format!("OpenVPN is not up after {PATIENCE:?}; the ends of its logs:\n{}", self.logs());
                return Err(ScenarioError::Stage(what));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Whether every device is there and in its route.
    pub(in crate::scenario) fn is_up(&self, topology: &Topology) -> Result<bool, ScenarioError> {
        let folder = topology.lab.folder();
        let in_route = |site: &Site, channel| folder.join(format!("{}-up", site.name())).join(OpenVpn::device(channel));
        let all = topology.sites.iter().flat_map(|site| (0..self.channels).map(move |channel| in_route(site, channel)));
        Ok(all.into_iter().all(|mark| mark.exists()))
    }

    pub(in crate::scenario) fn logs(&self) -> String {
        let log = |path: &PathBuf| {
            let text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
            last_lines(&text, LOG_LINES)
        };
        self.logs.iter().map(log).collect::<Vec<_>>().join("\n--\n")
    }

    fn start_one(
        &mut self,
        folder: &Path,
        here: &Site,
        there: &Site,
        channel: u16,
        script: &Path,
        secret: &str,
    ) -> Result<(), ScenarioError> {
        let (device, port) = (OpenVpn::device(channel), PORT + channel);
        let (local, remote, script) = (here.underlay, there.underlay, script.display());
        let config = format!(
            "dev {device}\ndev-type tun\nproto udp4\nlocal {local}\nlport {port}\nremote {remote} {port}\n\
             tun-mtu 1400\ntxqueuelen 500\nverb 3\n{secret}\ncipher AES-256-CBC\nauth SHA256\n\
             ignore-unknown-option disable-dco allow-deprecated-insecure-static-crypto\ndisable-dco\n\
             allow-deprecated-insecure-static-crypto\n\
             ping 5\nping-restart 30\nup-delay\nup-restart\ndown-pre\nscript-security 2\nup {script}\ndown {script}\n"
        );
        let name = format!("{}-{device}", here.name());
        let (path, log) = (folder.join(format!("{name}.conf")), folder.join(format!("{name}.log")));
        fs::write(&path, config).map_err(|source| ScenarioError::File { path: path.clone(), source })?;
        let out = File::create(&log).map_err(|source| ScenarioError::File { path: log.clone(), source })?;
        let err = out.try_clone()?;
        let mut command = Command::new("openvpn");
        command.arg("--config").arg(&path).stdin(Stdio::null()).stdout(out).stderr(err);
        self.processes.push(here.gateway.start(command)?);
        self.logs.push(log);
        Ok(())
    }
}

/// The script that is both `up` and `down`: OpenVPN says which in `script_type`, and the device in `dev`.
fn write_script(path: &Path, folder: &Path, here: &Site, there: &Site) -> Result<(), ScenarioError> {
    let up = folder.join(format!("{}-up", here.name()));
    let prefix = there.networks.iter().find(|prefix| prefix.addr().is_ipv4()).map(ToString::to_string);
    let text = format!(
        "#!/bin/sh\n\
         # One at a time: a multipath route is read, changed and written back.\n\
         exec 9>{up}.lock; flock 9\n\
         case $script_type in\n\
         up) ip link set $dev addrgenmode none up; touch {up}/$dev ;;\n\
         down) rm -f {up}/$dev ;;\n\
         esac\n\
         hops=\n\
         for device in $(ls {up}); do hops=\"$hops nexthop dev $device\"; done\n\
         if [ \"$hops\" ]; then ip route replace {prefix} src {source}$hops; else ip route del {prefix}; fi\n\
         exit 0\n",
        up = up.display(),
        prefix = prefix.unwrap_or_default(),
        source = here.gateway_v4,
    );
    fs::create_dir(&up).map_err(|source| ScenarioError::File { path: up.clone(), source })?;
    let written = fs::write(path, text).and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o700)));
    written.map_err(|source| ScenarioError::File { path: path.to_owned(), source })
}
