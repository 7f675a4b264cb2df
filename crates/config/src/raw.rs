//! The file as it is written: the right types in the right places, and nothing checked beyond that.

use toml::de::{DeTable, Error};

use crate::findings::{Findings, List, Located, Span};
use crate::hooks::{self, HookTable, Place};
use crate::reader::{Reader, is_secret};
use crate::{requires, schema};

mod paths;

pub(crate) use paths::{RawEnd, RawPath};

/// A whole file.
pub(crate) struct RawFile {
    pub(crate) defaults: RawDefaults,
    /// In the order of the file.
    pub(crate) gateways: Vec<RawGateway>,
    pub(crate) links: Vec<RawLink>,
}

/// `[defaults]`.
#[derive(Default)]
pub(crate) struct RawDefaults {
    pub(crate) base_port: Option<Located<i64>>,
    pub(crate) weight: Option<Located<i64>>,
    pub(crate) common: RawCommon,
}

/// What stands in `[defaults]` and in a link alike.
#[derive(Default)]
pub(crate) struct RawCommon {
    /// That there are `channels`, if of a wrong type.
    pub(crate) has_channels: bool,
    pub(crate) channels: Option<Located<i64>>,
    pub(crate) mtu: Option<Located<i64>>,
    pub(crate) txqueuelen: Option<Located<i64>>,
    pub(crate) qdisc: Option<Located<String>>,
    pub(crate) cipher: Option<Located<String>>,
    pub(crate) transit: Option<Located<bool>>,
    pub(crate) clamp_mss: Option<Located<bool>>,
    pub(crate) preshared_key_file: Option<Located<String>>,
    pub(crate) probe: Option<RawProbe>,
    pub(crate) hooks: HookTable,
}

/// `probe`.
pub(crate) struct RawProbe {
    pub(crate) span: Span,
    pub(crate) interval: Option<Located<String>>,
    pub(crate) down_after: Option<Located<i64>>,
    pub(crate) up_after: Option<Located<i64>>,
    pub(crate) hold_down: Option<Located<String>>,
}

/// `[gateways.NAME]`.
pub(crate) struct RawGateway {
    /// The name, at its header or at the key that made the table.
    pub(crate) name: Located<String>,
    pub(crate) number: Option<Located<i64>>,
    pub(crate) public_key: Option<Located<String>>,
    pub(crate) place: RawPlace,
    pub(crate) address: Option<Located<String>>,
    pub(crate) address6: Option<Located<String>>,
    pub(crate) networks: Option<List<String>>,
    pub(crate) site: Option<Located<String>>,
    pub(crate) priority: Option<Located<i64>>,
    pub(crate) peer: Option<Located<String>>,
    pub(crate) hooks: HookTable,
    /// That there is an `address` or `address6`, if of a wrong type.
    pub(crate) has_address: bool,
}

/// Where a gateway, or one end of a path, is on the underlay.
pub(crate) struct RawPlace {
    pub(crate) underlay: Option<Located<String>>,
    pub(crate) listen: Option<Located<String>>,
    pub(crate) endpoint: Option<Located<String>>,
    /// That there is an `underlay` or `endpoint`, if of a wrong type.
    pub(crate) is_reached: bool,
    /// That there is any of them, if of a wrong type.
    pub(crate) is_given: bool,
}

/// `[[links]]`.
pub(crate) struct RawLink {
    /// Its header.
    pub(crate) header: Span,
    pub(crate) between: Option<List<String>>,
    pub(crate) name: Option<Located<String>>,
    pub(crate) ports: Option<List<i64>>,
    /// That there are `ports`, if of a wrong type.
    pub(crate) has_ports: bool,
    pub(crate) weight: Option<RawWeight>,
    pub(crate) paths: Option<List<RawPath>>,
    pub(crate) deal: Option<List<i64>>,
    pub(crate) common: RawCommon,
}

/// A link's `weight`.
pub(crate) enum RawWeight {
    /// The same for all channels.
    All(Located<i64>),
    /// One for each.
    Each(List<i64>),
}

/// Reads a file.
///
/// None if it is not TOML: then its syntax errors are all that is reported, for what a parser makes
/// of the rest of such a file is not what its author wrote. None, too, if it is for a newer program:
/// then its unknown keys are no errors of its author.
pub(crate) fn read(text: &str, version: [u64; 3], findings: &mut Findings) -> Option<RawFile> {
    hide_secrets(text, findings);
    let (document, errors) = DeTable::parse_recoverable(text);
    let document = document.get_ref();
    if !errors.is_empty() {
        report_syntax(text, &errors, findings);
    }
    let newer = requires::refuses(document, version, findings);
    (errors.is_empty() && !newer).then(|| read_file(document, findings))
}

/// Where a line gives a key that holds a secret: nothing that is said about the file shows the rest
/// of the line, be it TOML or not.
fn hide_secrets(text: &str, findings: &mut Findings) {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if let Some((key, _)) = line.split_once('=').filter(|(key, _)| is_secret(key.trim())) {
            findings.secret(start + key.len() + 1..start + line.len());
        }
        start += line.len();
    }
}

/// The first error of a line is the one to mend; what follows in the same line mostly follows from
/// it, as do the repeated keys of a repeated table from its header.
fn report_syntax(text: &str, errors: &[Error], findings: &mut Findings) {
    let mut errors: Vec<_> = errors.iter().map(|error| (error.span().unwrap_or(0..0), error.message())).collect();
    errors.sort_by_key(|(span, _)| span.start);
    let line_ends: Vec<_> = text.match_indices('\n').map(|(at, _)| at).collect();
    let line_of = |span: &Span| line_ends.partition_point(|end| *end < span.start);
    let table_of = |span: &Span| text.get(..span.start).and_then(|before| before.rfind("\n["));
    errors.dedup_by_key(|(span, _)| line_of(span));
    let is_repetition = |message: &str| message.contains("duplicate key");
    errors.dedup_by(|(next, message), (span, first)| {
        is_repetition(message) && is_repetition(first) && table_of(next) == table_of(span)
    });
    for (span, message) in errors {
        findings.error(&span, format!("this is not TOML: {message}"), syntax_hint(message));
    }
}

fn syntax_hint(message: &str) -> &'static str {
    let number = ["float", "integer", "date"].iter().any(|kind| message.contains(kind));
    if number || message.contains("must be quoted") {
        "put what is no number into quotes: `underlay = \"198.51.100.7\"`"
    } else if message.contains("duplicate key") {
        "each key and each table may stand once; give one of them another name, or put both together"
    } else {
        "a line is `key = value`, a header is `[gateways.NAME]` or `[[links]]`, a list is `[1, 2]`; the rest is checked once this is mended"
    }
}

fn read_file(document: &DeTable<'_>, findings: &mut Findings) -> RawFile {
    let mut file = Reader::open(&schema::TOP, document, "the file", &(0..0), findings);
    file.string("requires");
    let defaults = file.table("defaults").map(|(table, span)| read_defaults(table, &span, file.findings()));
    RawFile { defaults: defaults.unwrap_or_default(), gateways: read_gateways(&mut file), links: read_links(&mut file) }
}

fn read_defaults(table: &DeTable<'_>, header: &Span, findings: &mut Findings) -> RawDefaults {
    let mut defaults = Reader::open(&schema::DEFAULTS, table, "[defaults]", header, findings);
    RawDefaults {
        base_port: defaults.integer("base_port"),
        weight: defaults.integer("weight"),
        common: read_common(&mut defaults, Place::Gateway),
    }
}

fn read_common(section: &mut Reader<'_, '_>, place: Place) -> RawCommon {
    RawCommon {
        has_channels: section.has("channels"),
        channels: section.integer("channels"),
        mtu: section.integer("mtu"),
        txqueuelen: section.integer("txqueuelen"),
        qdisc: section.string("qdisc"),
        cipher: section.string("cipher"),
        transit: section.boolean("transit"),
        clamp_mss: section.boolean("clamp_mss"),
        preshared_key_file: section.string("preshared_key_file"),
        probe: read_probe(section),
        hooks: read_hooks(section, place),
    }
}

fn read_probe(section: &mut Reader<'_, '_>) -> Option<RawProbe> {
    let (table, span) = section.table("probe")?;
    let mut probe = Reader::open(&schema::PROBE, table, "probe", &span, section.findings());
    Some(RawProbe {
        interval: probe.string("interval"),
        down_after: probe.integer("down_after"),
        up_after: probe.integer("up_after"),
        hold_down: probe.string("hold_down"),
        span,
    })
}

fn read_hooks(section: &mut Reader<'_, '_>, place: Place) -> HookTable {
    let table = section.table("hooks");
    table.map(|(table, span)| hooks::read(table, &span, place, section.findings())).unwrap_or_default()
}

fn read_gateways(file: &mut Reader<'_, '_>) -> Vec<RawGateway> {
    let Some((gateways, _)) = file.table("gateways") else { return Vec::new() };
    let mut read = Vec::with_capacity(gateways.len());
    for (name, value) in gateways {
        let Some((table, _)) = file.table_of("gateways", value) else { continue };
        let name = Located::new(name.get_ref().clone().into_owned(), name.span());
        read.push(read_gateway(name, table, file.findings()));
    }
    read.sort_by_key(|gateway| gateway.name.span.start);
    read
}

fn read_gateway(name: Located<String>, table: &DeTable<'_>, findings: &mut Findings) -> RawGateway {
    let owner = format!("gateway `{}`", name.value);
    let mut gateway = Reader::open(&schema::GATEWAY, table, &owner, &name.span, findings);
    RawGateway {
        number: gateway.integer("number"),
        public_key: gateway.string("public_key"),
        place: read_place(&mut gateway),
        address: gateway.string("address"),
        address6: gateway.string("address6"),
        networks: gateway.strings("networks"),
        site: gateway.string("site"),
        priority: gateway.integer("priority"),
        peer: gateway.string("peer"),
        hooks: read_hooks(&mut gateway, Place::Gateway),
        has_address: gateway.has("address") || gateway.has("address6"),
        name,
    }
}

fn read_place(section: &mut Reader<'_, '_>) -> RawPlace {
    let is_reached = section.has("underlay") || section.has("endpoint");
    RawPlace {
        underlay: section.string("underlay"),
        listen: section.string("listen"),
        endpoint: section.string("endpoint"),
        is_reached,
        is_given: is_reached || section.has("listen"),
    }
}

fn read_links(file: &mut Reader<'_, '_>) -> Vec<RawLink> {
    let Some((links, _)) = file.array("links") else { return Vec::new() };
    let mut read = Vec::with_capacity(links.len());
    for value in links {
        let Some((table, header)) = file.table_of("links", value) else { continue };
        read.push(read_link(table, header, file.findings()));
    }
    read
}

fn read_link(table: &DeTable<'_>, header: Span, findings: &mut Findings) -> RawLink {
    let name = table.get("name").and_then(|value| value.get_ref().as_str());
    let owner = name.map_or("this link".to_owned(), |name| format!("link `{}`", name));
    let mut link = Reader::open(&schema::LINK, table, &owner, &header, findings);
    RawLink {
        between: link.strings("between"),
        name: link.string("name"),
        ports: link.integers("ports"),
        has_ports: link.has("ports"),
        weight: read_weight(&mut link),
        paths: paths::read(&mut link),
        deal: link.integers("deal"),
        common: read_common(&mut link, Place::Link),
        header,
    }
}

fn read_weight(link: &mut Reader<'_, '_>) -> Option<RawWeight> {
    if link.value("weight")?.get_ref().is_array() {
        link.integers("weight").map(RawWeight::Each)
    } else {
        link.integer("weight").map(RawWeight::All)
    }
}
