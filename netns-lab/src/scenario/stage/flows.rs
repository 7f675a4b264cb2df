//! Flows and the channels into which they fall.

use std::time::{Duration, Instant};

use super::{PATIENCE, PORTS};
use crate::{
    load::steady::{TRAIN_PORT, Train},
    scenario::{ScenarioError, action::ask},
    topology::{LAN, Site},
};

/// Source ports that are tried until one falls into a channel: of 16, all but once in ten million.
pub(super) const TRIES: u16 = 256;

pub(super) fn train(from: &Site, to: &Site, port: u16, what: &str, ipv6: bool) -> Train {
    let address = |site: &Site| if ipv6 { site.host_v6.into() } else { site.host_v4.into() };
    Train {
        name: format!("{}→{} {what}", from.name(), to.name()),
        from: from.host.clone(),
        source: address(from),
        port,
        to: to.host.clone(),
        destination: address(to),
    }
}

/// Source ports towards a site: a range of its own for each.
pub(super) fn first_source_port(to: &Site) -> u16 {
    TRAIN_PORT + 1000 + u16::from(to.number) * PORTS * TRIES
}

pub(super) fn next_port(port: &mut u16, begin: u16) -> Option<u16> {
    *port += 1;
    (*port - begin < TRIES).then_some(*port)
}

/// As [`chosen`], and tries for a while: on a machine that stood still every channel may be down for a moment.
pub(super) fn chosen_in_time(from: &Site, to: &Site, port: u16) -> Result<String, ScenarioError> {
    let begun = Instant::now();
    loop {
        match chosen(from, to, port) {
            Err(ScenarioError::Command { .. }) if begun.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(50));
            }
            device => return device,
        }
    }
}

/// The device that a gateway's kernel chooses for a train.
fn chosen(from: &Site, to: &Site, port: u16) -> Result<String, ScenarioError> {
    let way = format!("{} from {} iif {LAN}", to.host_v4, from.host_v4);
    let said = ask(&from.gateway, &format!("ip route get {way} ipproto udp sport {port} dport {TRAIN_PORT}"))?;
    let mut words = said.split_ascii_whitespace().skip_while(|word| *word != "dev");
    Ok(words.nth(1).unwrap_or_default().to_owned())
}
