//! Who reaches whom: both address families inside, over either underlay.

use std::net::IpAddr;

use netns_lab::{
    topology::{Family, Shape},
    trial,
};

use crate::bed::{Bed, ping};

#[test]
fn hosts_and_gateways_reach_each_other_over_an_ipv4_underlay() {
    trial::run_with_tun(|| all_reach_all(&Bed::two_gateways(4, Family::V4)));
}

#[test]
fn hosts_and_gateways_reach_each_other_over_an_ipv6_underlay() {
    trial::run_with_tun(|| all_reach_all(&Bed::two_gateways(4, Family::V6)));
}

#[test]
fn three_sites_reach_each_other_each_by_a_link_of_its_own() {
    trial::run_with_tun(|| {
        let bed = Bed::new(Shape::ThreeSites, 2, Family::V4, |_| {});
        all_reach_all(&bed);
        for site in 0..3 {
            let carried = |channel: &serde_json::Value| channel["rx_packets"].as_u64() > Some(0);
            let status = bed.status(site);
            for link in status["links"].as_array().expect("links are a list") {
                let channels = link["channels"].as_array().expect("channels are a list");
                assert!(channels.iter().any(carried), "link {} of g{} carried nothing", link["name"], site + 1);
            }
        }
    });
}

/// Every host and every gateway to every other site's host and gateway.
fn all_reach_all(bed: &Bed) {
    for from in &bed.topology.sites {
        for to in bed.topology.sites.iter().filter(|to| to.number != from.number) {
            let addresses: [IpAddr; 4] =
                [to.host_v4.into(), to.host_v6.into(), to.gateway_v4.into(), to.gateway_v6.into()];
            for address in addresses {
                ping(&from.host, address);
                ping(&from.gateway, address);
            }
        }
    }
}
