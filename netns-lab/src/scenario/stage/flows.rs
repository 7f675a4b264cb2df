//! Flows and the channels into which they fall.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use super::{PATIENCE, PORTS, Stage};
use crate::{
    Node,
    load::steady::{Stream, TRAIN_PORT, Train},
    scenario::{ScenarioError, action::ask, met::Course},
    topology::{LAN, Site},
    whereabouts::{Sighting, Whereabouts},
};

/// Of how many datagrams of trains one is looked at: one each 8 ms of a train of 1,000 a second.
const ONE_IN: NonZeroU32 = NonZeroU32::new(8).unwrap();

/// Source ports that are tried until one falls into a channel: of 16, all but once in ten million.
const TRIES: u16 = 256;

impl Stage {
    /// A train in each channel of each direction and, with meshtun, one of IPv6 besides.
    pub(in crate::scenario) fn trains(&self) -> Result<Vec<Train>, ScenarioError> {
        let mut trains = Vec::new();
        for (from, to) in self.pairs() {
            for channel in 0..self.channels {
                trains.push(train_in(from, to, channel, &self.device(from, to, channel))?);
            }
            if self.has_ipv6() {
                trains.push(train(from, to, first_source_port(to), "IPv6", true));
            }
        }
        Ok(trains)
    }

    /// Trains of both address families that fall into channels as they fall.
    pub(in crate::scenario) fn loose_trains(&self) -> Vec<Train> {
        let mut trains = Vec::new();
        for (from, to) in self.pairs() {
            for number in 0..self.channels {
                let port = first_source_port(to) + number;
                trains.push(train(from, to, port, &format!("IPv4 {number}"), false));
                trains.push(train(from, to, port, &format!("IPv6 {number}"), true));
            }
        }
        trains
    }

    /// How gateways see trains.
    pub(in crate::scenario) fn courses(&self, trains: &[Train]) -> Vec<Course> {
        let site = |node: &Node| self.topology.sites.iter().position(|site| site.host.name() == node.name());
        let course = |train: &Train| {
            let way = (site(&train.from).unwrap_or_default(), site(&train.to).unwrap_or_default());
            Course { way, port: train.port, ipv6: train.destination.is_ipv6() }
        };
        trains.iter().map(course).collect()
    }

    /// Begins to see by which devices trains leave each gateway.
    pub(in crate::scenario) fn follow(&mut self) -> Result<(), ScenarioError> {
        let sites = &self.topology.sites;
        for from in sites {
            let others = sites.iter().filter(|to| to.number != from.number);
            let devices: Vec<String> = others
                .flat_map(|to| (0..self.channels).map(move |channel| (to, channel)))
                .map(|(to, channel)| self.device(from, to, channel))
                .collect();
            self.followers.push(Whereabouts::start(&from.gateway, &devices, TRAIN_PORT, ONE_IN)?);
        }
        Ok(())
    }

    /// What was seen at each gateway since [`Stage::follow`].
    pub(in crate::scenario) fn sightings(&mut self) -> Result<Vec<Vec<Sighting>>, ScenarioError> {
        let followers = std::mem::take(&mut self.followers);
        Ok(followers.into_iter().map(Whereabouts::stop).collect::<Result<_, _>>()?)
    }

    /// TCP flows, dealt over the directions; every fourth is IPv6 where that is carried.
    pub(in crate::scenario) fn streams(&self, count: u16) -> Vec<Stream> {
        let pairs: Vec<_> = self.pairs().collect();
        let stream = |number: usize| {
            let (from, to) = pairs[number % pairs.len()];
            let ipv6 = self.has_ipv6() && (number / pairs.len()) % 4 == 3;
            Stream {
                name: format!("{}→{} flow {number}{}", from.name(), to.name(), if ipv6 { " (IPv6)" } else { "" }),
                from: from.host.clone(),
                to: to.host.clone(),
                destination: if ipv6 { to.host_v6.into() } else { to.host_v4.into() },
            }
        };
        (0..usize::from(count)).map(stream).collect()
    }
}

/// A train that falls into a channel, whose device at the sending gateway is given.
///
/// The port that it needs is asked of the kernel.
pub(crate) fn train_in(from: &Site, to: &Site, channel: u16, device: &str) -> Result<Train, ScenarioError> {
    let begin = first_source_port(to) + channel * TRIES;
    for port in begin + 1..begin + TRIES {
        if chosen_in_time(from, to, port)? == device {
            return Ok(train(from, to, port, &format!("channel {channel}"), false));
        }
    }
    Err(ScenarioError::Stage(format!("no flow of {} falls into {device}", from.name())))
}

fn train(from: &Site, to: &Site, port: u16, what: &str, ipv6: bool) -> Train {
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
fn first_source_port(to: &Site) -> u16 {
    TRAIN_PORT + 1000 + u16::from(to.number) * PORTS * TRIES
}

/// As [`chosen`], and tries for a while: on a machine that stood still every channel may be down for a moment.
fn chosen_in_time(from: &Site, to: &Site, port: u16) -> Result<String, ScenarioError> {
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
