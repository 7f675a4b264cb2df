//! A load that goes on while things happen, on a topology without a tunnel.

use std::{thread, time::Duration};

use netns_lab::{
    firewall::Firewall,
    load::{
        Marker,
        steady::{Plan, Steady, Stream, Train},
    },
    topology::{Topology, UNDERLAY},
    trial,
};

use crate::routed;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A train and a flow each way.
fn plan(topology: &Topology) -> Plan {
    let [one, two] = [&topology.sites[0], &topology.sites[1]];
    let train = |name: &str, from: &netns_lab::topology::Site, to: &netns_lab::topology::Site| Train {
        name: name.into(),
        from: from.host.clone(),
        source: from.host_v4.into(),
        port: 8001,
        to: to.host.clone(),
        destination: to.host_v4.into(),
    };
    let stream = |name: &str, from: &netns_lab::topology::Site, to: &netns_lab::topology::Site| Stream {
        name: name.into(),
        from: from.host.clone(),
        to: to.host.clone(),
        destination: to.host_v4.into(),
    };
    Plan {
        trains: vec![train("there", one, two), train("back", two, one)],
        rate: 500,
        streams: vec![stream("there", one, two), stream("back", two, one)],
        every: ms(10),
        size: 1000,
        marker: Marker::random().unwrap(),
    }
}

#[test]
fn a_pause_of_the_network_is_seen_in_its_own_stretch_of_time_and_in_no_other() {
    trial::run(|| {
        let topology = routed();
        let firewalls: Vec<_> =
            topology.sites.iter().map(|site| Firewall::new(&site.gateway, UNDERLAY).unwrap()).collect();
        let load = Steady::start(plan(&topology)).unwrap();
        thread::sleep(ms(400));
        let cut = load.now();
        firewalls.iter().for_each(|firewall| firewall.block_all(true).unwrap());
        thread::sleep(ms(600));
        let mended = load.now();
        firewalls.iter().for_each(|firewall| firewall.block_all(false).unwrap());
        thread::sleep(ms(2500));
        let account = load.stop(ms(500)).unwrap();

        // Each stretch is judged away from its edges.
        let (before, during) = (account.trains(ms(0)..cut - ms(50)), account.trains(cut..mended));
        assert!(before.sent > 200 && before.lost == 0 && before.reordered == 0 && before.duplicated == 0, "{before:?}");
        assert!(during.lost > 300 && during.losers == 2, "{during:?}");
        assert!(during.gap >= ms(550) && during.gap < ms(2500), "{during:?}");
        let after = account.trains(mended + ms(1500)..account.over());
        assert!(after.sent > 500 && after.lost == 0 && after.back.is_some(), "{after:?}");

        let (before, during) = (account.flows(ms(0)..cut - ms(50)), account.flows(cut - ms(50)..mended));
        assert!(before.dead == 0 && during.stalled == 2 && during.gap >= ms(550), "{before:?} {during:?}");
        assert_eq!(during.dead, 0, "TCP sends again: {during:?}");
    });
}
