//! Every key of mesh.toml with its type, default and meaning, in one table.
//!
//! The reader refuses what is not here, hints quote it, and the example file and the reference in
//! the README are written from it, so that none of them can say anything else.

/// A kind of table in the file.
#[derive(Debug)]
pub(crate) struct Section {
    /// How people call it.
    pub(crate) title: &'static str,
    pub(crate) keys: &'static [Key],
}

/// A key of a section.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// Its type and range, without an article.
    pub(crate) kind: &'static str,
    pub(crate) preset: Preset,
    /// A TOML value that is right.
    pub(crate) example: &'static str,
    /// Its meaning, in one line.
    pub(crate) doc: &'static str,
}

/// What holds when a key is not given.
#[derive(Debug)]
pub(crate) enum Preset {
    /// It must be given.
    Required,
    /// This TOML value.
    Is(&'static str),
    /// No value, and what that means.
    Without(&'static str),
}

impl Section {
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl Key {
    /// The key as a line of the file.
    pub(crate) fn usage(&self) -> String {
        if self.kind.contains("table") { self.example.to_owned() } else { format!("{} = {}", self.name, self.example) }
    }

    /// Its type and range as a message has them.
    pub(crate) fn kind_with_article(&self) -> String {
        let article = match self.kind.chars().next() {
            Some('a' | 'e' | 'i' | 'o' | 'u' | 'I') => "an ",
            Some('"') | None => "",
            Some(_) => "a ",
        };
        format!("{article}{}", self.kind)
    }
}

/// The sections of a file, in the order of a file.
pub(crate) const SECTIONS: [&Section; 7] = [&TOP, &DEFAULTS, &GATEWAY, &LINK, &PATH, &PROBE, &HOOKS];

/// Keys of other programs' files, and what to write here.
pub(crate) const FOREIGN: [(&str, &str); 8] = [
    (
        "private_key",
        "the private key stands in a file of its own, given as `--key FILE`; every gateway reads mesh.toml",
    ),
    ("secret_key", "the private key stands in a file of its own, given as `--key FILE`; every gateway reads mesh.toml"),
    (
        "preshared_key",
        "the pre-shared key stands in a file of its own: `preshared_key_file = \"/etc/meshtun/LINK.psk\"`",
    ),
    ("allowed_ips", "the prefixes behind a gateway are its `networks`"),
    ("listen_port", "ports belong to a link: `ports = [FIRST, FIRST]`, or they derive from `base_port`"),
    ("port", "ports belong to a link: `ports = [FIRST, FIRST]`, or they derive from `base_port`"),
    ("persistent_keepalive", "sessions are kept alive without being told; remove it"),
    ("table", "routes go into the main table; remove it"),
];

/// [`FOREIGN`] keys whose values no diagnostic may show.
pub(crate) const SECRET: [&str; 3] = ["private_key", "secret_key", "preshared_key"];

pub(crate) const TOP: Section = Section {
    title: "the file",
    keys: &[
        Key {
            name: "requires",
            kind: "version",
            preset: Preset::Without("any version"),
            example: "\"0.1\"",
            doc: "the oldest meshtun that understands this file; an older one refuses it",
        },
        Key {
            name: "defaults",
            kind: "table",
            preset: Preset::Without("the defaults below"),
            example: "[defaults]",
            doc: "what holds for every link that does not say otherwise",
        },
        Key {
            name: "gateways",
            kind: "table of tables",
            preset: Preset::Required,
            example: "[gateways.NAME]",
            doc: "the gateways by name: a letter or digit, then letters, digits, `-`, `_`, `.`, at most 63",
        },
        Key {
            name: "links",
            kind: "array of tables",
            preset: Preset::Without("no links"),
            example: "[[links]]",
            doc: "the links, each between two gateways",
        },
    ],
};

pub(crate) const DEFAULTS: Section = Section {
    title: "[defaults]",
    keys: &[
        CHANNELS,
        Key {
            name: "base_port",
            kind: "integer, 1 to 65535",
            preset: Preset::Is("16384"),
            example: "16384",
            doc: "derived first port of a link: base_port + 16 × the other gateway's number",
        },
        MTU,
        TXQUEUELEN,
        QDISC,
        CIPHER,
        TRANSIT,
        CLAMP_MSS,
        Key {
            name: "weight",
            kind: "integer, 1 to 256",
            preset: Preset::Is("1"),
            example: "1",
            doc: "weight of each channel in the multipath route",
        },
        PRESHARED_KEY_FILE,
        PROBE_TABLE,
        DEFAULT_HOOKS,
    ],
};

pub(crate) const GATEWAY: Section = Section {
    title: "[gateways.NAME]",
    keys: &[
        Key {
            name: "number",
            kind: "integer, 1 to 1023, unique",
            preset: Preset::Required,
            example: "1",
            doc: "small and for ever: ports and link-local addresses derive from it",
        },
        Key {
            name: "public_key",
            kind: "key in base64, unique",
            preset: Preset::Required,
            example: "\"/xV4yQRYi51sb1NX7DH31O8lUM2d+0sTexhvwj99N3w=\"",
            doc: "what `meshtun pubkey` prints; a gateway finds itself by it",
        },
        UNDERLAY,
        LISTEN,
        ENDPOINT,
        Key {
            name: "address",
            kind: "IPv4 address",
            preset: Preset::Without("the kernel chooses"),
            example: "\"10.207.0.1\"",
            doc: "source address of the gateway's own IPv4 packets into links",
        },
        Key {
            name: "address6",
            kind: "IPv6 address",
            preset: Preset::Without("the kernel chooses"),
            example: "\"fd00:207::1\"",
            doc: "source address of the gateway's own IPv6 packets into links",
        },
        Key {
            name: "networks",
            kind: "list of prefixes",
            preset: Preset::Required,
            example: "[\"10.207.0.0/16\", \"fd00:207::/48\"]",
            doc: "the prefixes behind it, which the others route into their links to it",
        },
        Key {
            name: "site",
            kind: "name",
            preset: Preset::Without("a site of its own"),
            example: "\"quadra\"",
            doc: "gateways of one site have the same networks",
        },
        Key {
            name: "priority",
            kind: "integer, 1 to 65535",
            preset: Preset::Is("1"),
            example: "1",
            doc: "within a site: the lowest that has a channel with carrier is used",
        },
        Key {
            name: "peer",
            kind: "\"meshtun\" or \"wireguard\"",
            preset: Preset::Is("\"meshtun\""),
            example: "\"meshtun\"",
            doc: "what runs there; \"wireguard\": plain interfaces, one for each channel",
        },
        inherited(DEFAULT_HOOKS),
    ],
};

pub(crate) const LINK: Section = Section {
    title: "[[links]]",
    keys: &[
        Key {
            name: "between",
            kind: "list of two gateways",
            preset: Preset::Required,
            example: "[\"qvpn1\", \"nvpn1\"]",
            doc: "the names of the gateways at its ends",
        },
        Key {
            name: "name",
            kind: "name, unique",
            preset: Preset::Required,
            example: "\"nq\"",
            doc: "stem of the devices: a letter, then letters, digits, `-`, `_`, no digit last; device at most 15 bytes",
        },
        Key {
            name: "ports",
            kind: "list of two integers, 1 to 65535",
            preset: Preset::Without("derived from base_port"),
            example: "[6011, 6001]",
            doc: "first UDP port at each end, in the order of `between`; channel N has the N-th after it",
        },
        inherited(CHANNELS),
        inherited(MTU),
        inherited(TXQUEUELEN),
        inherited(QDISC),
        inherited(CIPHER),
        inherited(TRANSIT),
        inherited(CLAMP_MSS),
        Key {
            name: "weight",
            kind: "integer or one for each channel, 1 to 256",
            preset: AS_IN_DEFAULTS,
            example: "[2, 1, 1, 1]",
            doc: "weights of the channels in the multipath route",
        },
        Key {
            name: "paths",
            kind: "list of tables, see paths",
            preset: Preset::Without("one path, between the gateways' own addresses"),
            example: "paths = [{ qvpn1 = { underlay = \"198.51.100.7\", device = \"eth0\" }, nvpn1 = {} }, { qvpn1 = { underlay = \"192.0.2.7\" }, nvpn1 = { underlay = \"192.0.2.130\" } }]",
            doc: "ways over the underlay, each with a table for either gateway by its name; `{}` stands for the gateway's own addresses",
        },
        Key {
            name: "deal",
            kind: "list of integers, one for each channel, from 0",
            preset: Preset::Without("in turn: channel N takes path N modulo their number"),
            example: "[0, 0, 0, 1]",
            doc: "which of `paths` each channel takes",
        },
        inherited(PRESHARED_KEY_FILE),
        Key { preset: Preset::Without("each of its keys as in [defaults]"), ..PROBE_TABLE },
        Key {
            preset: Preset::Without("as in this gateway's own, else in [defaults]"),
            example: "hooks = { link-down = [\"/usr/local/sbin/page\", \"nq\"] }",
            ..DEFAULT_HOOKS
        },
    ],
};

/// One end of a path of a link.
pub(crate) const PATH: Section = Section {
    title: "paths",
    keys: &[
        Key { preset: Preset::Without("see listen and endpoint; without any of them, the gateway's own"), ..UNDERLAY },
        LISTEN,
        ENDPOINT,
        Key {
            name: "device",
            kind: "name",
            preset: Preset::Without("whichever the routing table says"),
            example: "\"eth0\"",
            doc: "network device that this end is bound to, besides: it sends and receives by no other",
        },
    ],
};

/// The table `probe`, in `[defaults]` and in a link.
pub(crate) const PROBE: Section = Section {
    title: "probe",
    keys: &[
        Key {
            name: "interval",
            kind: "duration, 10ms to 60s",
            preset: Preset::Is("\"250ms\""),
            example: "\"50ms\"",
            doc: "how often each end of a channel asks the other whether it hears; less up to a quarter at random",
        },
        Key {
            name: "down_after",
            kind: "integer, 1 to 255",
            preset: Preset::Is("3"),
            example: "3",
            doc: "a channel is down when it heard nothing for so many intervals, of which the longer of both ends' counts",
        },
        Key {
            name: "up_after",
            kind: "integer, 1 to 255",
            preset: Preset::Is("3"),
            example: "3",
            doc: "after a failure it is up again when so many probes in a row were answered",
        },
        Key {
            name: "hold_down",
            kind: "duration, 0s to 3600s",
            preset: Preset::Is("\"180s\""),
            example: "\"60s\"",
            doc: "the most that a channel waits which keeps failing: nothing for the first time, then 1s, 2s, 4s …",
        },
    ],
};

pub(crate) const HOOKS: Section = Section {
    title: "hooks",
    keys: &[
        hook("up", "the gateway is up: devices, routes and sockets are made"),
        hook("down", "the gateway goes down by `meshtun down`; not when it is stopped or restarted"),
        hook("channel-up", "a channel carries"),
        hook("channel-down", "a channel carries no more"),
        hook("link-up", "a link carries: its first channel came up"),
        hook("link-down", "a link carries no more: its last channel went"),
        Key {
            name: "timeout",
            kind: "time, \"1s\" to \"10m\"",
            preset: Preset::Is("\"10s\""),
            example: "\"10s\"",
            doc: "how long a hook may take before it is ended",
        },
    ],
};

const fn hook(name: &'static str, doc: &'static str) -> Key {
    Key {
        name,
        kind: "list of a program's absolute path and its arguments",
        preset: Preset::Without("nothing is run"),
        example: "[\"/usr/local/sbin/tell\", \"word\"]",
        doc,
    }
}

/// The key as it stands in a link.
const fn inherited(key: Key) -> Key {
    Key { preset: AS_IN_DEFAULTS, ..key }
}

const AS_IN_DEFAULTS: Preset = Preset::Without("as in [defaults]");

const UNDERLAY: Key = Key {
    name: "underlay",
    kind: "IP address",
    preset: Preset::Without("see listen and endpoint"),
    example: "\"198.51.100.7\"",
    doc: "address on the underlay: where to bind, and how others reach it",
};

const LISTEN: Key = Key {
    name: "listen",
    kind: "IP address",
    preset: Preset::Without("underlay, else any address"),
    example: "\"192.0.2.10\"",
    doc: "where to bind, where that is not how others reach it; \"0.0.0.0\" and \"::\" mean any",
};

const ENDPOINT: Key = Key {
    name: "endpoint",
    kind: "IP address or DNS name",
    preset: Preset::Without("underlay, else learned from its packets"),
    example: "\"gw1.example.net\"",
    doc: "how others reach it, where that is not where it binds; without a port",
};

const CHANNELS: Key = Key {
    name: "channels",
    kind: "integer, 1 to 256",
    preset: Preset::Is("4"),
    example: "4",
    doc: "channels of a link: UDP ports, sessions and tun devices; over 16 need `ports`",
};

const MTU: Key = Key {
    name: "mtu",
    kind: "integer, 1280 to 65455",
    preset: Preset::Without("the underlay's less 80: 1420 for 1500"),
    example: "1420",
    doc: "MTU of the tun devices",
};

const TXQUEUELEN: Key = Key {
    name: "txqueuelen",
    kind: "integer, 1 to 100000",
    preset: Preset::Is("500"),
    example: "500",
    doc: "queue length of the tun devices, in packets (of up to 64 KiB)",
};

const QDISC: Key = Key {
    name: "qdisc",
    kind: "name",
    preset: Preset::Without("the kernel's default"),
    example: "\"fq_codel\"",
    doc: "root queueing discipline of the tun devices, as `tc` calls it",
};

const CIPHER: Key = Key {
    name: "cipher",
    kind: "\"chacha20-poly1305\" or \"aes-256-gcm\"",
    preset: Preset::Is("\"chacha20-poly1305\""),
    example: "\"chacha20-poly1305\"",
    doc: "cipher suite, the same at both ends; aes-256-gcm only between meshtun gateways",
};

const DEFAULT_HOOKS: Key = Key {
    name: "hooks",
    kind: "table, see hooks",
    preset: Preset::Without("nothing is run"),
    example: "hooks = { link-down = [\"/usr/local/sbin/page\"], timeout = \"10s\" }",
    doc: "programs that are run when something comes up or goes down; see docs/hooks.md",
};

const TRANSIT: Key = Key {
    name: "transit",
    kind: "boolean",
    preset: Preset::Is("false"),
    example: "false",
    doc: "let packets pass that are not from the one gateway's networks to the other's",
};

const CLAMP_MSS: Key = Key {
    name: "clamp_mss",
    kind: "boolean",
    preset: Preset::Is("false"),
    example: "false",
    doc: "lower TCP's maximum segment size to the MTU, in both directions: for hosts that never hear of the MTU, as their ICMP is blocked",
};

const PROBE_TABLE: Key = Key {
    name: "probe",
    kind: "table, see probe",
    preset: Preset::Is("{ interval = \"250ms\", down_after = 3, up_after = 3, hold_down = \"180s\" }"),
    example: "probe = { interval = \"50ms\" }",
    doc: "how fast a channel that fails is taken out, and comes back; not towards plain WireGuard, which answers no probes",
};

const PRESHARED_KEY_FILE: Key = Key {
    name: "preshared_key_file",
    kind: "file name",
    preset: Preset::Without("no pre-shared key"),
    example: "\"/etc/meshtun/nq.psk\"",
    doc: "file of the pre-shared key at each end; relative names start at this file's folder",
};
