//! The links, each by itself, and that their names are their own.

use std::collections::HashMap;
use std::path::PathBuf;

use super::gateway::Gateways;
use super::paths::Path;
use super::probe::ProbeKeys;
use super::scalar::DEVICE_NAME_BYTES;
use super::{paths, scalar};
use crate::findings::{Findings, List, Located, Span};
use crate::hooks::HookTable;
use crate::model::{Cipher, Link, Probe, Software};
use crate::raw::{RawCommon, RawDefaults, RawLink, RawWeight};

/// Channels of one link at most: three digits behind its name, and one multipath route holds them.
pub(super) const CHANNELS: i64 = 256;

/// Channels of a link whose ports derive: the step between two gateways' derived ports.
pub(super) const DERIVED_CHANNELS: u16 = 16;

const CHANNELS_WHY: &str = "each channel is a UDP port, a session and a tun device; as many as cores serve well";

/// `[defaults]`, with the defaults of the defaults filled in.
pub(super) struct Defaults {
    /// None: not given, or refused.
    pub(super) base_port: Option<Located<u16>>,
    weight: u16,
    common: Common,
}

/// What stands in `[defaults]` and in a link alike.
struct Common {
    channels: Option<Located<u16>>,
    mtu: Option<u16>,
    txqueuelen: Option<u32>,
    qdisc: Option<String>,
    cipher: Option<Located<Cipher>>,
    transit: Option<bool>,
    clamp_mss: Option<bool>,
    preshared_key_file: Option<PathBuf>,
    probe: ProbeKeys,
}

/// A link as far as it is right.
pub(super) struct Draft {
    pub(super) header: Span,
    pub(super) name: Option<Located<String>>,
    /// The gateways at its ends, if both are there and are two.
    pub(super) ends: Option<Located<[usize; 2]>>,
    /// None: derived, or refused.
    pub(super) ports: Option<Located<[u16; 2]>>,
    /// That the file gives no ports.
    pub(super) derives: bool,
    pub(super) channels: Option<u16>,
    weights: Vec<u16>,
    /// Those of the file, none for each that is refused; empty if the file lists none.
    pub(super) paths: Vec<Option<Path>>,
    deal: Vec<u16>,
    mtu: Option<u16>,
    txqueuelen: u32,
    qdisc: Option<String>,
    cipher: Cipher,
    transit: bool,
    clamp_mss: bool,
    preshared_key_file: Option<PathBuf>,
    probe: Probe,
    hooks: HookTable,
}

pub(super) fn check(
    raw: &[RawLink],
    defaults: &Defaults,
    gateways: &Gateways,
    folder: &std::path::Path,
    findings: &mut Findings,
) -> Vec<Draft> {
    raw.iter().map(|link| Draft::check(link, defaults, gateways, folder, findings)).collect()
}

/// Device names follow from link names, so these are unique throughout the mesh.
pub(super) fn check_names(links: &[Draft], findings: &mut Findings) {
    let mut first: HashMap<&str, &Span> = HashMap::new();
    for name in links.iter().filter_map(|link| link.name.as_ref()) {
        if let Some(earlier) = first.get(name.value.as_str()) {
            let message = format!("two links are called `{}`", name.value);
            let hint = "devices are called after the link: give each its own name";
            findings.error(&name.span, message, hint).also(earlier, "used here");
        } else {
            first.insert(&name.value, &name.span);
        }
    }
}

/// Warns of gateways without a link: most likely a link is missing.
pub(super) fn check_linked(gateways: &Gateways, links: &[Draft], findings: &mut Findings) {
    if links.iter().any(|link| link.ends.is_none()) {
        return;
    }
    let mut linked = vec![false; gateways.len()];
    for end in links.iter().filter_map(|link| link.ends.as_ref()).flat_map(|ends| ends.value) {
        linked[end] = true;
    }
    for (_, gateway) in gateways.iter().filter(|(index, _)| !linked[*index]) {
        let message = format!("gateway `{}` has no link", gateway.name.value);
        findings.warning(&gateway.name.span, message, "add a `[[links]]` table whose `between` names it");
    }
}

pub(super) fn assemble(links: &[Draft], gateways: &Gateways, ports: &[Option<[u16; 2]>]) -> Option<Vec<Link>> {
    links.iter().zip(ports).map(|(link, ports)| link.assemble(gateways, (*ports)?)).collect()
}

impl Defaults {
    pub(super) fn check(raw: &RawDefaults, folder: &std::path::Path, findings: &mut Findings) -> Self {
        let why = "the derived ports of all gateways follow it: 16 for each";
        let base_port = raw.base_port.as_ref();
        let weight = raw.weight.as_ref().and_then(|weight| check_weight(weight, findings));
        Defaults {
            base_port: base_port.and_then(|port| scalar::ranged(port, "base_port", 1..=65535, why, findings)),
            weight: weight.unwrap_or(1),
            common: Common::check(&raw.common, folder, findings),
        }
    }

    pub(super) fn base_port(&self) -> u16 {
        self.base_port.as_ref().map_or(16384, |port| port.value)
    }
}

impl Common {
    fn check(raw: &RawCommon, folder: &std::path::Path, findings: &mut Findings) -> Self {
        Common {
            channels: raw
                .channels
                .as_ref()
                .and_then(|number| scalar::ranged(number, "channels", 1..=CHANNELS, CHANNELS_WHY, findings)),
            mtu: raw.mtu.as_ref().and_then(|mtu| check_mtu(mtu, findings)),
            txqueuelen: raw.txqueuelen.as_ref().and_then(|length| check_txqueuelen(length, findings)),
            qdisc: raw.qdisc.as_ref().and_then(|qdisc| check_qdisc(qdisc, findings)),
            cipher: raw.cipher.as_ref().and_then(|text| Some(text.with(scalar::cipher(text, findings)?))),
            transit: raw.transit.as_ref().map(|transit| transit.value),
            clamp_mss: raw.clamp_mss.as_ref().map(|clamp| clamp.value),
            preshared_key_file: raw.preshared_key_file.as_ref().and_then(|file| check_file(file, folder, findings)),
            probe: raw.probe.as_ref().map(|probe| ProbeKeys::check(probe, findings)).unwrap_or_default(),
        }
    }
}

impl Draft {
    fn check(
        raw: &RawLink,
        defaults: &Defaults,
        gateways: &Gateways,
        folder: &std::path::Path,
        findings: &mut Findings,
    ) -> Self {
        let own = Common::check(&raw.common, folder, findings);
        let refused = raw.common.has_channels && own.channels.is_none();
        let common = &defaults.common;
        let inherited = common.channels.as_ref().map_or(4, |channels| channels.value);
        let channels = own.channels.as_ref().map_or(inherited, |channels| channels.value);
        let channels = (!refused).then_some(channels);
        let ends = raw.between.as_ref().and_then(|between| check_between(between, gateways, findings));
        let link = Draft {
            header: raw.header.clone(),
            name: raw.name.clone(),
            ports: raw.ports.as_ref().and_then(|ports| check_ports(ports, channels, findings)),
            derives: !raw.has_ports,
            channels,
            weights: check_weights(raw.weight.as_ref(), channels.unwrap_or(0), defaults.weight, findings),
            paths: paths::check(raw, ends.as_ref().map(|ends| ends.value), gateways, findings),
            deal: paths::deal(raw, channels.unwrap_or(0), findings),
            ends,
            mtu: own.mtu.or(common.mtu),
            txqueuelen: own.txqueuelen.or(common.txqueuelen).unwrap_or(500),
            qdisc: own.qdisc.or_else(|| common.qdisc.clone()),
            cipher: own.cipher.as_ref().or(common.cipher.as_ref()).map(|cipher| cipher.value).unwrap_or_default(),
            transit: own.transit.or(common.transit).unwrap_or_default(),
            clamp_mss: own.clamp_mss.or(common.clamp_mss).unwrap_or_default(),
            preshared_key_file: own.preshared_key_file.or_else(|| common.preshared_key_file.clone()),
            probe: own.probe.over(&common.probe),
            hooks: raw.common.hooks.clone(),
        };
        link.check_name(findings);
        link.check_derived(own.channels.as_ref().map(|channels| &channels.span), findings);
        link.check_wireguard(own.cipher.as_ref().map(|cipher| &cipher.span), gateways, findings);
        link.check_probed(own.probe.span.as_ref(), gateways, findings);
        link
    }

    /// How messages call it.
    pub(super) fn title(&self) -> String {
        self.name.as_ref().map_or("this link".to_owned(), |name| format!("link `{}`", name.value))
    }

    /// Where messages point that are about the link as a whole.
    pub(super) fn place(&self) -> &Span {
        self.name.as_ref().map_or(&self.header, |name| &name.span)
    }

    /// Whether one of its channels' devices is called so.
    pub(super) fn has_device(&self, device: &str) -> bool {
        let number = self.name.as_ref().and_then(|name| device.strip_prefix(name.value.as_str()));
        let number = number.filter(|digits| *digits == "0" || !digits.starts_with(['0', '+']));
        number.and_then(|digits| digits.parse::<u16>().ok()).is_some_and(|number| Some(number) < self.channels)
    }

    /// The kernel's rule (net/core/dev.c, dev_valid_name) forbids blanks, `/` and `:`; `.` would part
    /// the name in a sysctl key, `%` is a format to some calls, and a digit last would run into the channel's number.
    fn check_name(&self, findings: &mut Findings) {
        let Some(name) = &self.name else { return };
        let text = name.value.as_bytes();
        let shape = text.first().is_some_and(u8::is_ascii_alphabetic)
            && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte));
        if !shape {
            let message = format!("{:?} cannot be a link's name: devices are called after it", name.value);
            findings.error(&name.span, message, "a letter, then letters, digits, `-` and `_`, no digit last");
        } else if text.last().is_some_and(u8::is_ascii_digit) {
            let message = format!("the link name `{}` ends in a digit", name.value);
            let hint = "the channel's number comes behind it: nq makes nq0, nq1 and so on";
            findings.error(&name.span, message, hint);
        } else if let Some(channels) = self.channels {
            check_device_name(name, channels, findings);
        }
    }

    fn check_derived(&self, channels_span: Option<&Span>, findings: &mut Findings) {
        let Some(channels) = self.channels.filter(|channels| self.derives && *channels > DERIVED_CHANNELS) else {
            return;
        };
        let message = format!("{} has {channels} channels and no `ports`", self.title());
        let hint = format!(
            "derived ports serve up to {DERIVED_CHANNELS} channels: give the first port at each end, `ports = [6011, 6001]`"
        );
        findings.error(channels_span.unwrap_or(self.place()), message, hint);
    }

    fn check_wireguard(&self, cipher_span: Option<&Span>, gateways: &Gateways, findings: &mut Findings) {
        let Some(ends) = &self.ends else { return };
        let plain = ends.value.map(|end| gateways.get(end).software == Software::WireGuard);
        let title = self.title();
        if plain == [true, true] {
            let message = format!("{title} is between two plain WireGuard gateways");
            findings.error(
                &ends.span,
                message,
                "one end at least must run meshtun: remove the link, or one gateway's `peer`",
            );
        }
        if plain.contains(&true) && self.cipher == Cipher::Aes256Gcm {
            let message = format!("{title} has the cipher aes-256-gcm, and plain WireGuard at one end");
            let hint = "WireGuard knows chacha20-poly1305 alone: give the link `cipher = \"chacha20-poly1305\"`";
            findings.error(cipher_span.unwrap_or(self.place()), message, hint);
        }
    }

    fn check_probed(&self, probe_span: Option<&Span>, gateways: &Gateways, findings: &mut Findings) {
        let (Some(ends), Some(span)) = (&self.ends, probe_span) else { return };
        if ends.value.iter().any(|end| gateways.get(*end).software == Software::WireGuard) {
            let message = format!("{} has plain WireGuard at one end, which answers no probes", self.title());
            let hint = "remove `probe`: there a loss is noticed after 15 to 25 s by WireGuard's own timers";
            findings.warning(span, message, hint);
        }
    }

    fn assemble(&self, gateways: &Gateways, ports: [u16; 2]) -> Option<Link> {
        Some(Link {
            name: self.name.as_ref()?.value.clone(),
            between: self.ends.as_ref()?.value.map(|end| gateways.get(end).name.value.clone()),
            ports,
            channels: self.channels?,
            weights: self.weights.clone(),
            paths: self.paths.iter().map(|path| path.as_ref().map(Path::assemble)).collect::<Option<_>>()?,
            deal: self.deal.clone(),
            mtu: self.mtu,
            txqueuelen: self.txqueuelen,
            qdisc: self.qdisc.clone(),
            cipher: self.cipher,
            transit: self.transit,
            clamp_mss: self.clamp_mss,
            preshared_key_file: self.preshared_key_file.clone(),
            probe: self.probe,
            hooks: self.hooks.clone(),
        })
    }
}

fn check_device_name(name: &Located<String>, channels: u16, findings: &mut Findings) {
    let device = format!("{}{}", name.value, channels - 1);
    if device.len() > DEVICE_NAME_BYTES {
        let digits = device.len() - name.value.len();
        let message =
            format!("device `{device}` would be {} bytes, the kernel takes {DEVICE_NAME_BYTES}", device.len());
        let hint = format!("shorten the link's name to {} bytes", DEVICE_NAME_BYTES - digits);
        findings.error(&name.span, message, hint);
    }
}

fn check_between(between: &List<String>, gateways: &Gateways, findings: &mut Findings) -> Option<Located<[usize; 2]>> {
    let found: Vec<_> = between.value.iter().map(|name| find_gateway(name, gateways, findings)).collect();
    let &[first, second] = found.as_slice() else {
        let message = format!("`between` must name two gateways, not {}", found.len());
        findings.error(&between.span, message, "write `between = [\"qvpn1\", \"nvpn1\"]`");
        return None;
    };
    let (first, second) = (first?, second?);
    let names = [first, second].map(|end| &gateways.get(end).name.value);
    if first == second {
        let message = format!("a link of gateway `{}` to itself", names[0]);
        findings.error(&between.span, message, "name two different gateways");
        return None;
    }
    let site = |index| gateways.get(index).site.as_ref().map(|site| site.value.as_str());
    if let Some(shared) = site(first).filter(|shared| site(second) == Some(shared)) {
        let message = format!("gateways `{}` and `{}` are of one site, `{shared}`", names[0], names[1]);
        let hint = "they have the same networks, so nothing is routed between them: remove the link, or one `site`";
        findings.error(&between.span, message, hint);
    }
    Some(between.with([first, second]))
}

fn find_gateway(name: &Located<String>, gateways: &Gateways, findings: &mut Findings) -> Option<usize> {
    let found = gateways.find(&name.value);
    if found.is_none() {
        let hint = match gateways.nearest(&name.value) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("describe it in a table `[gateways.{}]`", name.value),
        };
        findings.error(&name.span, format!("there is no gateway `{}`", name.value), hint);
    }
    found
}

fn check_ports(ports: &List<i64>, channels: Option<u16>, findings: &mut Findings) -> Option<Located<[u16; 2]>> {
    let why = "the first UDP port at that end";
    let each: Vec<_> =
        ports.value.iter().map(|port| scalar::ranged::<u16>(port, "ports", 1..=65535, why, findings)).collect();
    let [first, second] = each.as_slice() else {
        let message = format!("`ports` must be two numbers, the first port at each end, not {}", each.len());
        findings.error(&ports.span, message, "write `ports = [6011, 6001]`, in the order of `between`");
        return None;
    };
    let channels = channels?;
    for port in [first, second].into_iter().flatten() {
        if port.value.checked_add(channels - 1).is_none() {
            let message = format!("{channels} ports from {} go past 65535", port.value);
            let hint = format!("begin at {} or below", 65535 - (channels - 1));
            findings.error(&port.span, message, hint);
            return None;
        }
    }
    Some(ports.with([first.as_ref()?.value, second.as_ref()?.value]))
}

/// One weight for each channel.
fn check_weights(raw: Option<&RawWeight>, channels: u16, default: u16, findings: &mut Findings) -> Vec<u16> {
    match raw {
        None => vec![default; usize::from(channels)],
        Some(RawWeight::All(weight)) => {
            vec![check_weight(weight, findings).unwrap_or(default); usize::from(channels)]
        }
        Some(RawWeight::Each(weights)) => {
            let found = weights.value.len();
            if found != usize::from(channels) && channels != 0 {
                let message = format!("`weight` lists {found} weights for {channels} channels");
                findings.error(&weights.span, message, "list one for each channel, or write one number for all");
            }
            weights.value.iter().filter_map(|weight| check_weight(weight, findings)).collect()
        }
    }
}

fn check_weight(weight: &Located<i64>, findings: &mut Findings) -> Option<u16> {
    let why = "a channel of weight 2 gets twice the flows of one of weight 1; the kernel's route holds up to 256";
    scalar::ranged(weight, "weight", 1..=256, why, findings).map(|weight| weight.value)
}

/// 1280 is IPv6's least (RFC 8200, section 5); 65535 less 40 (IPv6), 8 (UDP) and 32 (WireGuard) is the most.
fn check_mtu(mtu: &Located<i64>, findings: &mut Findings) -> Option<u16> {
    let why = "IPv6 needs 1280; with the underlay's headers a packet must fit in 65535; left out, it is the underlay's less 80";
    scalar::ranged(mtu, "mtu", 1280..=65535 - 80, why, findings).map(|mtu| mtu.value)
}

fn check_txqueuelen(length: &Located<i64>, findings: &mut Findings) -> Option<u32> {
    let why = "packets of up to 64 KiB each; a long queue is a long wait";
    scalar::ranged(length, "txqueuelen", 1..=100_000, why, findings).map(|length| length.value)
}

fn check_qdisc(qdisc: &Located<String>, findings: &mut Findings) -> Option<String> {
    let text = qdisc.value.as_bytes();
    let fits = (1..=DEVICE_NAME_BYTES).contains(&text.len());
    if !fits || !text.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_') {
        let message = format!("{:?} is not the name of a queueing discipline", qdisc.value);
        findings.error(
            &qdisc.span,
            message,
            "one word without options, as `tc` calls it: \"fq_codel\", \"sfq\", \"noqueue\"",
        );
        return None;
    }
    Some(qdisc.value.clone())
}

fn check_file(file: &Located<String>, folder: &std::path::Path, findings: &mut Findings) -> Option<PathBuf> {
    if file.value.is_empty() || file.value.contains('\0') {
        let hint = "write the file's name: `preshared_key_file = \"/etc/meshtun/nq.psk\"`, or leave it out";
        findings.error(&file.span, "`preshared_key_file` must be a file name", hint);
        return None;
    }
    Some(folder.join(&file.value))
}
