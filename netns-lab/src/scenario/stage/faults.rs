//! What can be done to the way between the gateways.

use super::{PORTS, Stage};
use crate::{
    faults::Path,
    scenario::{
        ScenarioError,
        action::{Place, Weather},
    },
};

impl Stage {
    pub(in crate::scenario) fn block(&mut self, place: &Place, blocked: bool) -> Result<(), ScenarioError> {
        for (from, to) in place.ways.iter().copied() {
            let (ports, firewall) = (self.ports(place, from), &self.firewalls[to]);
            match &self.topology.faults {
                Some(faults) => {
                    for port in ports {
                        let path = Path { blocked, ..faults.path(from, to, Some(port)) };
                        // A port for which nothing else was said behaves as everything else again.
                        let own = blocked || path != Path { blocked, ..faults.path(from, to, None) };
                        faults.set_port(from, to, port, own.then_some(path));
                    }
                    if place.channels.is_none() {
                        faults.set(from, to, Path { blocked, ..faults.path(from, to, None) });
                    }
                }
                None if place.channels.is_none() && self.topology.sites.len() == 2 => firewall.block_all(blocked)?,
                None => firewall.block_ports(&ports, blocked)?,
            }
        }
        Ok(())
    }

    /// Changes how a place of the faulty cable behaves.
    pub(in crate::scenario) fn path(&mut self, place: &Place, weather: &Weather) -> Result<(), ScenarioError> {
        let faults = self.topology.faults.as_ref().ok_or_else(no_faults)?;
        for (from, to) in place.ways.iter().copied() {
            match &place.channels {
                None => faults.set(from, to, weather.path()),
                Some(_) => {
                    for port in self.ports(place, from) {
                        // A block that lasts stays.
                        let blocked = weather.blocked || faults.path(from, to, Some(port)).blocked;
                        faults.set_port(from, to, port, Some(Path { blocked, ..weather.path() }));
                    }
                }
            }
        }
        Ok(())
    }

    /// Ends what a place of the faulty cable does, but for blocks.
    pub(in crate::scenario) fn clear(&mut self, place: &Place) -> Result<(), ScenarioError> {
        self.path(place, &Weather::fair())?;
        let faults = self.topology.faults.as_ref().ok_or_else(no_faults)?;
        for (from, to) in place.ways.iter().copied() {
            for port in self.ports(place, from).into_iter().filter(|_| place.channels.is_some()) {
                if !faults.path(from, to, Some(port)).blocked {
                    faults.set_port(from, to, port, None);
                }
            }
        }
        Ok(())
    }

    /// The ports of a place: where its channels' datagrams from a gateway arrive.
    fn ports(&self, place: &Place, from: usize) -> Vec<u16> {
        let first = self.first_port(from);
        match &place.channels {
            Some(channels) => channels.iter().map(|channel| first + channel).collect(),
            None => (first..first + PORTS).collect(),
        }
    }
}

fn no_faults() -> ScenarioError {
    ScenarioError::Stage("the cable is plain".into())
}
