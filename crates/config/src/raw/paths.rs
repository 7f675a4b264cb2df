//! `paths` of a link as they are written: for each path a table that has one table for each end, by the gateway's name.

use toml::de::DeTable;

use super::{RawPlace, read_place};
use crate::findings::{Findings, List, Located, Span};
use crate::reader::{Reader, Value};
use crate::schema;

/// One of a link's paths.
pub(crate) struct RawPath {
    /// In the order of the file; none if the path is no table.
    pub(crate) ends: Option<Vec<RawEnd>>,
}

/// A path's end.
pub(crate) struct RawEnd {
    /// The key: whose end it is.
    pub(crate) gateway: Located<String>,
    /// None if it is no table.
    pub(crate) place: Option<RawPlace>,
    pub(crate) device: Option<Located<String>>,
}

/// The paths of a link, none if there is no list of them.
pub(super) fn read(link: &mut Reader<'_, '_>) -> Option<List<RawPath>> {
    let (list, span) = link.array("paths")?;
    let paths = list.iter().map(|value| Located::new(read_path(link, value), value.span())).collect();
    Some(Located::new(paths, span))
}

fn read_path<'a>(link: &mut Reader<'a, '_>, value: &'a Value<'a>) -> RawPath {
    let Some((table, _)) = link.table_of("paths", value) else { return RawPath { ends: None } };
    let mut ends: Vec<RawEnd> =
        table.iter().map(|(name, value)| read_end(name.get_ref(), name.span(), value, link.findings())).collect();
    ends.sort_by_key(|end| end.gateway.span.start);
    RawPath { ends: Some(ends) }
}

fn read_end(name: &str, span: Span, value: &Value<'_>, findings: &mut Findings) -> RawEnd {
    let gateway = Located::new(name.to_owned(), span);
    let Some(table) = value.get_ref().as_table() else {
        let message = format!("the end of a path at gateway `{name}` must be a table");
        let hint = format!("write `{name} = {{ underlay = \"198.51.100.7\", device = \"eth0\" }}`");
        findings.error(&value.span(), message, hint);
        return RawEnd { gateway, place: None, device: None };
    };
    read_table(gateway, table, &value.span(), findings)
}

fn read_table(gateway: Located<String>, table: &DeTable<'_>, header: &Span, findings: &mut Findings) -> RawEnd {
    let owner = format!("the end of a path at gateway `{}`", gateway.value);
    let mut end = Reader::open(&schema::PATH, table, &owner, header, findings);
    RawEnd { device: end.string("device"), place: Some(read_place(&mut end)), gateway }
}
