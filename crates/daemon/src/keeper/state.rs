//! What is kept, and what is known of it.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use meshtun_config::View;
use meshtun_netlink::{Actual, Desired, ForeignRoute, Protected, RouteKind};

use super::Finding;
use crate::{desired::desired, surroundings::Surroundings};

/// What the kernel shall hold, and how it was when it was looked at last.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) view: View,
    desired: Desired,
    /// The networks of its routes.
    routed: BTreeSet<IpNet>,
    /// Our devices and their indexes.
    pub(super) known: BTreeMap<String, u32>,
    /// Those of them that were seen up, by the index that they had then: one that never came up was not set down.
    seen_up: BTreeMap<String, u32>,
    /// Devices that a person has set down.
    held: BTreeSet<String>,
    /// Those networks of `desired` that have been made so.
    protected: Protected,
    /// The last wish has been made, without a problem.
    pub(super) is_made: bool,
    /// None before the first look, which tells nothing new.
    pub(super) alarms: Option<Vec<String>>,
}

/// What a wish has other than the one before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changed {
    pub(super) networks: bool,
    pub(super) devices: bool,
}

impl State {
    pub(super) fn new(view: View, surroundings: Surroundings) -> State {
        let desired = desired(&view, &surroundings);
        let routed = networks(&desired);
        let (known, seen_up, held) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let protected = Protected::default();
        let state = State { view, desired, routed, known, seen_up, held, protected, is_made: true, alarms: None };
        state.protect();
        state
    }

    pub(super) fn protected(&self) -> Protected {
        self.protected.clone()
    }

    fn protect(&self) {
        let unreachable = self.desired.routes.iter().filter(|route| route.kind == RouteKind::Unreachable);
        self.protected.set(unreachable.map(|route| route.prefix));
    }

    /// Something else is wanted from here on.
    pub(super) fn want(&mut self, view: View, surroundings: Surroundings) -> Changed {
        let before = std::mem::replace(&mut self.desired, desired(&view, &surroundings));
        let routed = networks(&self.desired);
        let devices = |desired: &Desired| desired.devices.iter().map(|device| device.name.clone()).collect::<Vec<_>>();
        let changed = Changed { networks: routed != self.routed, devices: devices(&before) != devices(&self.desired) };
        (self.view, self.routed) = (view, routed);
        self.mark_held();
        changed
    }

    /// Whether a network is one of ours, or inside one.
    pub(super) fn is_routed(&self, prefix: &IpNet) -> bool {
        self.routed.iter().any(|ours| ours.contains(prefix))
    }

    /// Whether a route has the place of one of ours: the kernel asks prefix and metric, not who made it.
    pub(super) fn is_place_of_ours(&self, route: &ForeignRoute) -> bool {
        self.desired.routes.iter().any(|ours| (ours.prefix, ours.metric) == (route.prefix, route.metric))
    }

    pub(super) fn desired(&self) -> &Desired {
        &self.desired
    }

    /// Takes note of devices that were set down since the last look.
    pub(super) fn note_set_down(&mut self, actual: &Actual) -> Vec<Finding> {
        let is_down = |(name, index): &(&String, &u32)| {
            actual.devices.get(*name).is_some_and(|device| device.index == **index && !device.up)
        };
        let down = self.seen_up.iter().filter(is_down).map(|(name, _)| name.clone());
        let news: Vec<String> = down.filter(|name| !self.held.contains(name)).collect();
        for device in &news {
            tracing::warn!(
                "{device} was set down by somebody else: its channel is out until `ip link set {device} up`"
            );
        }
        self.held.extend(news.iter().cloned());
        self.mark_held();
        news.into_iter().map(Finding::SetDown).collect()
    }

    /// Takes note of devices that were set up again. To be asked before the routes are compared.
    pub(super) fn note_set_up(&mut self, actual: &Actual) -> Vec<Finding> {
        let up = |name: &&String| actual.devices.get(*name).is_none_or(|device| device.up);
        let news: Vec<String> = self.held.iter().filter(up).cloned().collect();
        news.iter().for_each(|name| _ = self.held.remove(name));
        self.mark_held();
        // One that was deleted is made anew, which is told otherwise.
        news.into_iter().filter(|name| actual.devices.contains_key(name)).map(Finding::SetUp).collect()
    }

    /// Takes note of all devices of ours; those that were made anew since the last look are told.
    pub(super) fn know(&mut self, actual: &Actual) -> Vec<Finding> {
        let devices = self.desired.devices.iter().filter_map(|device| actual.devices.get(&device.name));
        let known: BTreeMap<String, u32> =
            devices.filter(|device| device.is_ours()).map(|device| (device.name.clone(), device.index)).collect();
        let is_new = |(name, index): &(&String, &u32)| self.known.get(*name).is_some_and(|before| before != *index);
        let made = known.iter().filter(is_new).map(|(name, _)| Finding::Made(name.clone())).collect();
        // A device that is gone for now keeps its old index, so that the next one is seen to be another.
        let gone = std::mem::take(&mut self.known).into_iter();
        let desired: BTreeSet<&str> = self.desired.devices.iter().map(|device| device.name.as_str()).collect();
        self.known = gone.filter(|(name, _)| desired.contains(name.as_str())).collect();
        self.known.extend(known);
        self.seen_up.retain(|name, index| self.known.get(name) == Some(index));
        let is_up = |(name, _): &(&String, &u32)| actual.devices.get(*name).is_some_and(|device| device.up);
        let up = self.known.iter().filter(is_up);
        self.seen_up.extend(up.map(|(name, index)| (name.clone(), *index)));
        self.protect();
        made
    }

    fn mark_held(&mut self) {
        for device in &mut self.desired.devices {
            device.held_down = self.held.contains(&device.name);
        }
        let desired = &self.desired.devices;
        self.held.retain(|name| desired.iter().any(|device| device.name == *name));
    }
}

fn networks(desired: &Desired) -> BTreeSet<IpNet> {
    desired.routes.iter().map(|route| route.prefix).collect()
}

#[cfg(test)]
mod tests {
    use meshtun_config::Mesh;
    use meshtun_netlink::{ActualDevice, TunFlags};

    use super::*;
    use crate::fixtures;

    fn state() -> State {
        let view = fixtures::view(&Mesh::parse("mesh.toml", &fixtures::mesh("")).unwrap());
        State::new(view, Surroundings::default())
    }

    fn actual(state: &State) -> Actual {
        let devices = (1..).zip(&state.desired.devices).map(|(index, device)| {
            let present = ActualDevice {
                name: device.name.clone(),
                index,
                tun: Some(TunFlags { layer3: true, multi_queue: false, persistent: true }),
                alias: Some(device.alias.clone()),
                mtu: 1420,
                txqueuelen: 500,
                up: true,
                carrier: false,
                addresses: Vec::new(),
                qdisc: None,
                own_qdisc: false,
            };
            (device.name.clone(), present)
        });
        Actual { devices: devices.collect(), ..Actual::default() }
    }

    #[test]
    fn a_device_set_down_is_held_until_it_is_up_again_and_each_is_told_once() {
        let mut state = state();
        let mut actual = actual(&state);
        assert_eq!(state.know(&actual), []);
        assert_eq!(state.note_set_down(&actual), []);
        actual.devices.get_mut("nq1").unwrap().up = false;
        assert_eq!(state.note_set_down(&actual), [Finding::SetDown("nq1".into())]);
        assert_eq!((state.note_set_down(&actual), state.note_set_up(&actual)), (vec![], vec![]));
        let held = |state: &State| state.desired.devices.iter().filter(|device| device.held_down).count();
        assert_eq!(held(&state), 1);
        actual.devices.get_mut("nq1").unwrap().up = true;
        assert_eq!(state.note_set_up(&actual), [Finding::SetUp("nq1".into())]);
        assert_eq!((held(&state), state.note_set_up(&actual)), (0, vec![]));
    }

    #[test]
    fn a_device_that_never_came_up_is_not_taken_for_one_that_was_set_down() {
        let mut state = state();
        let mut actual = actual(&state);
        actual.devices.get_mut("nq1").unwrap().up = false;
        state.know(&actual);
        assert_eq!(state.note_set_down(&actual), []);
        actual.devices.get_mut("nq1").unwrap().up = true;
        state.know(&actual);
        // Made anew, and it did not come up.
        let device = actual.devices.get_mut("nq1").unwrap();
        (device.index, device.up) = (77, false);
        state.know(&actual);
        assert_eq!(state.note_set_down(&actual), []);
        actual.devices.get_mut("nq1").unwrap().up = true;
        state.know(&actual);
        actual.devices.get_mut("nq1").unwrap().up = false;
        assert_eq!(state.note_set_down(&actual), [Finding::SetDown("nq1".into())]);
    }

    #[test]
    fn a_device_made_anew_is_told_whenever_that_comes_to_light() {
        let mut state = state();
        let mut actual = actual(&state);
        state.know(&actual);
        let mut device = actual.devices.remove("nq0").unwrap();
        assert_eq!(state.know(&actual), []);
        device.index = 77;
        actual.devices.insert("nq0".into(), device);
        assert_eq!(state.know(&actual), [Finding::Made("nq0".into())]);
        assert_eq!(state.know(&actual), []);
    }
}
