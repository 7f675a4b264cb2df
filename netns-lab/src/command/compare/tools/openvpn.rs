//! OpenVPN in userspace: a process a channel at each gateway, and one multipath route over their devices, as people set
//! several of them up for more speed than one gives. Or `meshtun openvpn` in its place, with the same files.
//!
//! Its defaults stand, but for the cipher and `txqueuelen 500`. Channel i has UDP port 6001 + i at both ends, and is pinned
//! to processor i at the first gateway and i + 1 at the second, modulo their number, so that no channel's two ends share one.

use std::{fs, path::Path, time::Duration};

use anyhow::Context as _;
use netns_lab::{
    Node,
    logged::Logged,
    topology::{Site, Topology},
};

use super::Running;
use crate::command::compare::{
    ask::ask,
    install::Programs,
    tool::{Cipher, Subject, Tool},
};

/// The first channel's port at both ends.
const PORT: u16 = 6001;

/// How long a process may take to open its device and its socket, and a TLS handshake besides.
const PATIENCE: Duration = Duration::from_secs(15);

struct OpenVpn {
    ends: [Vec<Logged>; 2],
}

/// What a process needs to trust the other end: lines of its configuration.
struct Trust([String; 2]);

pub(super) fn start(subject: Subject, topology: &Topology, programs: &Programs) -> anyhow::Result<Box<dyn Running>> {
    // Whichever of the two it is, OpenVPN makes the key.
    let program = programs.path(subject.tool)?;
    let folder = topology.lab.folder();
    let trust = Trust::make(subject.cipher, program, &topology.sites[0].gateway, folder)?;
    let mut running = OpenVpn { ends: [Vec::new(), Vec::new()] };
    for channel in 0..subject.channels {
        // The second one is the TLS client: what it asks must not come too early.
        for at in [0, 1] {
            let [here, there] = [at, 1 - at].map(|at| &topology.sites[at]);
            let config = configuration(subject.cipher, &trust.0[at], here, there, channel);
            let path = folder.join(format!("{}-openvpn{channel}.conf", here.name()));
            fs::write(&path, config).with_context(|| path.display().to_string())?;
            let mut command = match subject.tool {
                Tool::MeshtunOpenVpn => {
                    let mut command = programs.pinning.command(programs.meshtun.path(), at, channel);
                    command.arg("openvpn");
                    command
                }
                _ => programs.pinning.command(program, at, channel),
            };
            command.arg("--config").arg(&path);
            let log = folder.join(format!("{}-openvpn{channel}.log", here.name()));
            let name = format!("openvpn{channel} at {}", here.name());
            let mut process = Logged::start(&here.gateway, &name, &log, command)?;
            process.wait_for("link remote: ", 1, PATIENCE)?;
            running.ends[at].push(process);
        }
    }
    for (site, other) in [(0, 1), (1, 0)].map(|(one, other)| (&topology.sites[one], &topology.sites[other])) {
        route(subject, site, other)?;
    }
    for process in running.ends.iter_mut().flatten() {
        if subject.cipher == Cipher::TlsAes256Gcm {
            process.wait_for("Initialization Sequence Completed", 1, PATIENCE)?;
        }
        // The first one asks the second for its options before that is there.
        process.forgive();
    }
    Ok(Box::new(running))
}

/// Sets the devices up once both ends listen, and routes to them.
fn route(subject: Subject, site: &Site, other: &Site) -> anyhow::Result<()> {
    let gateway = &site.gateway;
    gateway.set_sysctl("net.ipv4.fib_multipath_hash_policy", "1")?;
    let mut hops = String::new();
    for channel in 0..subject.channels {
        ask(gateway, "ip", &format!("link set {} addrgenmode none mtu {} up", device(channel), mtu(subject.cipher)))?;
        hops += &format!(" nexthop dev {}", device(channel));
    }
    let networks = other.networks.iter().filter(|prefix| prefix.addr().is_ipv4());
    for prefix in networks {
        ask(gateway, "ip", &format!("route add {prefix} src {}{hops}", site.gateway_v4))?;
    }
    Ok(())
}

fn configuration(cipher: Cipher, trust: &str, here: &Site, there: &Site, channel: u16) -> String {
    let port = PORT + channel;
    format!(
        "dev {device}\ndev-type tun\nproto udp4\nlocal {local}\nlport {port}\nremote {remote} {port}\n\
         tun-mtu {mtu}\ntxqueuelen 500\nverb 3\nmachine-readable-output\n\
         ignore-unknown-option disable-dco allow-deprecated-insecure-static-crypto\ndisable-dco\n{trust}",
        device = device(channel),
        local = here.underlay,
        remote = there.underlay,
        mtu = mtu(cipher),
    )
}

fn device(channel: u16) -> String {
    format!("ovpn{channel}")
}

/// What fits one datagram of 1500 bytes: CBC adds up to 16 bytes of padding, an IV, a packet number with its time, and
/// 32 bytes of HMAC.
fn mtu(cipher: Cipher) -> u16 {
    if cipher == Cipher::TlsAes256Gcm { 1420 } else { 1400 }
}

impl Trust {
    fn make(cipher: Cipher, openvpn: &Path, node: &Node, folder: &Path) -> anyhow::Result<Trust> {
        match cipher {
            Cipher::TlsAes256Gcm => Trust::certificates(node, folder),
            Cipher::StaticAes128Cbc => Trust::static_key(openvpn, node, folder, "cipher AES-128-CBC\nauth SHA1\n"),
            _ => Trust::static_key(openvpn, node, folder, "cipher AES-256-CBC\nauth SHA256\n"),
        }
    }

    fn static_key(openvpn: &Path, node: &Node, folder: &Path, protection: &str) -> anyhow::Result<Trust> {
        let key = folder.join("openvpn.key");
        ask(node, &openvpn.to_string_lossy(), &format!("--genkey secret {}", key.display()))?;
        let side = |direction: u8| {
            format!("secret {} {direction}\n{protection}allow-deprecated-insecure-static-crypto\n", key.display())
        };
        Ok(Trust([side(0), side(1)]))
    }

    /// Certificates that each end has signed itself, and the other knows by its fingerprint.
    fn certificates(node: &Node, folder: &Path) -> anyhow::Result<Trust> {
        let name = |at: usize, kind: &str| folder.join(format!("openvpn{at}.{kind}")).display().to_string();
        let mut fingerprints = [String::new(), String::new()];
        for (at, fingerprint) in fingerprints.iter_mut().enumerate() {
            let (key, certificate) = (name(at, "key"), name(at, "crt"));
            let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -sha256";
            ask(node, "openssl", &format!("{request} -subj /CN=gateway{at} -keyout {key} -out {certificate}"))?;
            let said = ask(node, "openssl", &format!("x509 -in {certificate} -noout -fingerprint -sha256"))?;
            let (_, print) = said.split_once('=').with_context(|| format!("openssl gave no fingerprint: {said}"))?;
            *fingerprint = print.trim().to_owned();
        }
        let side = |at: usize| {
            let role = if at == 0 { "tls-server\ndh none" } else { "tls-client" };
            let (key, certificate, peer) = (name(at, "key"), name(at, "crt"), &fingerprints[1 - at]);
            format!(
                "{role}\nkey {key}\ncert {certificate}\npeer-fingerprint {peer}\n\
                 data-ciphers AES-256-GCM\ncipher AES-256-GCM\n"
            )
        };
        Ok(Trust([side(0), side(1)]))
    }
}

impl Running for OpenVpn {
    fn processes(&self) -> [Vec<u32>; 2] {
        [0, 1].map(|at| self.ends[at].iter().map(Logged::id).collect())
    }

    fn logs(&self) -> Vec<String> {
        self.ends.iter().flatten().map(Logged::log).collect()
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Vec<String>> {
        let mut wrong = Vec::new();
        let mut processes: Vec<_> = self.ends.into_iter().flatten().collect();
        for process in &mut processes {
            wrong.extend(process.wrong(is_error));
        }
        processes.into_iter().try_for_each(Logged::end)?;
        Ok(wrong)
    }
}

/// A line of `machine-readable-output` begins with the time and flags in hexadecimal (errlevel.h and error.h of OpenVPN).
fn is_error(line: &str) -> bool {
    /// `M_FATAL` and `M_NONFATAL`; `M_WARN` is 0x40.
    const ERRORS: u32 = 0x10 | 0x20;
    let flags = line.split(' ').nth(1).and_then(|flags| u32::from_str_radix(flags, 16).ok());
    flags.is_some_and(|flags| flags & ERRORS != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_openvpn_calls_an_error_is_one_and_a_warning_is_none() {
        assert!(is_error("1763731516.123456 21 Authenticate/Decrypt packet error: packet HMAC authentication failed"));
        assert!(is_error("1763731516.123456 10 Exiting due to fatal error"));
        assert!(!is_error("1763731516.123456 40 WARNING: this is a warning"));
        assert!(!is_error("1763731516.123456 1 Initialization Sequence Completed"));
        assert!(!is_error("something else"));
    }
}
