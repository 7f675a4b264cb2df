//! A topology as text.

use std::fmt::Write as _;

use super::{Shape, Site, Topology, addresses};

pub(super) fn draw(topology: &Topology) -> String {
    let mut text = match topology.shape {
        Shape::TwoGateways => two(topology),
        Shape::ThreeSites => three(topology),
    };
    if topology.internet.is_some() {
        let [v4, v6] = addresses::INTERNET.map(|net| net.addr());
        text += &format!("\n  default routes of the gateways ┄┄┄ internet ({v4}, {v6})\n");
    }
    text
}

fn two(topology: &Topology) -> String {
    let columns: Vec<Vec<String>> = vec![
        host_column(&topology.sites[0]),
        gateway_column(&topology.sites[0]),
        gateway_column(&topology.sites[1]),
        host_column(&topology.sites[1]),
    ];
    let widths: Vec<usize> = columns.iter().map(|column| longest(column)).collect();
    let mut text = String::new();
    for row in 0..4 {
        let joints = if row == 0 {
            [" ── ", " ══ underlay ══ ", " ── "]
        } else {
            ["    ", "                ", "    "]
        };
        let cell = |at: usize| columns[at].get(row).map_or("", String::as_str);
        let mut line = String::from("  ");
        for (at, width) in widths.iter().enumerate() {
            let _ = write!(line, "{:<width$}{}", cell(at), joints.get(at).copied().unwrap_or(""));
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn three(topology: &Topology) -> String {
    let mut text = String::new();
    for (at, site) in topology.sites.iter().enumerate() {
        let (host, gateway) = (host_column(site), gateway_column(site));
        let joint = ["╗", "╬══ underlay", "╝"][at.min(2)];
        let (left, right) = (longest(&host), longest(&gateway));
        let _ = writeln!(text, "  {:<left$} ── {:<right$} ══{joint}", host[0], gateway[0]);
        let wall = if at < 2 { "║" } else { "" };
        for (row, address) in gateway.iter().enumerate().skip(1) {
            let cell = host.get(row).map_or("", String::as_str);
            let line = format!("  {cell:<left$}    {address:<right$}   {wall}");
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    text
}

fn host_column(site: &Site) -> Vec<String> {
    vec![site.host.name().to_owned(), site.host_v4.to_string(), site.host_v6.to_string()]
}

fn gateway_column(site: &Site) -> Vec<String> {
    vec![
        site.name().to_owned(),
        site.gateway_v4.to_string(),
        site.gateway_v6.to_string(),
        format!("underlay {}", site.underlay),
    ]
}

fn longest(cells: &[String]) -> usize {
    cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0)
}
