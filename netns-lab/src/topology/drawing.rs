//! A topology as text.

use super::{Shape, Site, Topology, addresses};

pub(super) fn draw(topology: &Topology) -> String {
    let mut text = match topology.shape {
        Shape::TwoGateways => two(&topology.sites[0], &topology.sites[1]),
        Shape::ThreeSites => three(&topology.sites),
    };
    if topology.internet.is_some() {
        let [v4, v6] = addresses::INTERNET.map(|net| net.addr());
        text += &format!("\n  default routes of the gateways ┄┄┄ internet ({v4}, {v6})\n");
    }
    text
}

fn two(one: &Site, other: &Site) -> String {
    let columns = [host_column(one), gateway_column(one), gateway_column(other), host_column(other)];
    let widths = columns.each_ref().map(|column| longest(column));
    let names = [
        format!("{} ", columns[0][0]),
        format!(" {} ", columns[1][0]),
        format!(" underlay ═══ {} ", columns[2][0]),
        format!(" {}", columns[3][0]),
    ];
    let underlay = names[2].chars().count() - columns[2][0].chars().count() - 1;
    let mut lines = vec![format!(
        "{:─<a$}───{:═<b$}═══{:─<c$}──{}",
        names[0],
        names[1],
        names[2],
        names[3],
        a = widths[0] + 1,
        b = widths[1] + 1,
        c = widths[2] + underlay,
    )];
    for row in 1..columns[1].len() {
        let [host, gateway, peer, other] = columns.each_ref().map(|column| column.get(row).map_or("", String::as_str));
        lines.push(format!(
            "{host:<a$}     {gateway:<b$}   {:underlay$}{peer:<c$}   {other}",
            "",
            a = widths[0],
            b = widths[1],
            c = widths[2],
        ));
    }
    indented(&lines)
}

fn three(sites: &[Site]) -> String {
    let hosts: Vec<_> = sites.iter().map(host_column).collect();
    let gateways: Vec<_> = sites.iter().map(gateway_column).collect();
    let widest = |columns: &[Vec<String>]| columns.iter().map(|column| longest(column)).max().unwrap_or(0);
    let (left, right) = (widest(&hosts) + 1, widest(&gateways) + 1);
    let mut lines = Vec::new();
    for (at, (host, gateway)) in hosts.iter().zip(&gateways).enumerate() {
        let (corner, wall) = [("╗", "║"), ("╬══ underlay", "║"), ("╝", "")][at.min(2)];
        lines.push(format!("{:─<left$}── {:═<right$}══{corner}", format!("{} ", host[0]), format!("{} ", gateway[0])));
        for (row, address) in gateway.iter().enumerate().skip(1) {
            let cell = host.get(row).map_or("", String::as_str);
            lines.push(format!("{cell:<left$}   {address:<right$}  {wall}"));
        }
    }
    indented(&lines)
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

fn indented(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  {}\n", line.trim_end())).collect()
}
