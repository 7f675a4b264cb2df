//! Devices that others delete, set down, rename or change.

use netns_lab::trial;

use super::{under_traffic, wait_for_word, with_internet};
use crate::bed::{Bed, eventually, json, run};
use crate::kernel::our_devices;

#[test]
fn a_device_that_somebody_deletes_is_made_anew_and_its_channel_comes_back() {
    trial::run_with_tun(|| {
        let mut bed = with_internet(3);
        let before = our_devices(bed.gateway(0));
        let sent = |bed: &Bed| bed.channels(0)[1]["tx_packets"].as_u64().unwrap_or_default();
        under_traffic(&mut bed, |_| {});
        let counted = sent(&bed);
        assert!(counted > 0);
        under_traffic(&mut bed, |bed| {
            run(bed.gateway(0), "ip link delete cable1");
            eventually("it is made anew", || our_devices(bed.gateway(0)).len() == 3);
        });
        let after = our_devices(bed.gateway(0));
        assert_ne!(after["cable1"], before["cable1"], "it is another device");
        assert_eq!((after["cable0"], after["cable2"]), (before["cable0"], before["cable2"]), "the others are the same");
        let sessions: Vec<_> = bed.channels(0).iter().map(|channel| channel["sessions"].as_u64()).collect();
        assert_eq!((sessions[0], sessions[2]), (Some(1), Some(1)), "their sessions went on: {sessions:?}");
        assert!(sent(&bed) >= counted, "its counters went on, too");
        wait_for_word(&bed, "cable1 was deleted");
    });
}

#[test]
fn all_devices_deleted_at_once_come_back() {
    trial::run_with_tun(|| {
        let mut bed = with_internet(2);
        under_traffic(&mut bed, |bed| {
            run(bed.gateway(0), "ip link delete cable0");
            run(bed.gateway(0), "ip link delete cable1");
            eventually("they are made anew", || our_devices(bed.gateway(0)).len() == 2);
        });
    });
}

#[test]
fn a_device_that_a_person_sets_down_stays_down_and_the_peer_is_told_until_it_is_set_up_again() {
    trial::run_with_tun(|| {
        let mut bed = with_internet(2);
        under_traffic(&mut bed, |bed| {
            run(bed.gateway(0), "ip link set cable1 down");
            eventually("both ends have it out", || [0, 1].iter().all(|site| state(bed, *site, 1) != "up"));
            let problem = bed.channels(0)[1]["problem"].as_str().unwrap_or_default().to_owned();
            assert!(problem.contains("cable1 is set down; `ip link set cable1 up`"), "{problem}");
            assert_eq!(bed.channels(1)[1]["carrier"], false, "the other end sends nothing this way");
            let routes = run(bed.gateway(0), "ip route show 10.2.0.0/24 metric 101");
            assert!(!routes.contains("cable1"), "{routes}");
            let up = json(bed.gateway(0), "ip -j link show dev cable1")[0]["flags"].to_string().contains("\"UP\"");
            assert!(!up, "it is the person's to set it up");
            run(bed.gateway(0), "ip link set cable1 up");
            eventually("both ends have it again", || [0, 1].iter().all(|site| state(bed, *site, 1) == "up"));
            let addresses = run(bed.gateway(0), "ip -6 address show dev cable1");
            assert!(addresses.contains("fe80::1:1/64"), "{addresses}");
        });
    });
}

#[test]
fn what_somebody_changes_on_a_device_is_put_back_and_its_session_goes_on() {
    trial::run_with_tun(|| {
        let mut bed = with_internet(2);
        // Nothing while it has another name.
        let show = |bed: &Bed| {
            let devices = json(bed.gateway(0), "ip -j address show");
            let shown = devices.as_array().expect("a list").iter().find(|device| device["ifname"] == "cable1")?;
            Some(["mtu", "txqlen", "ifalias", "ifindex", "addr_info"].map(|key| shown[key].clone()))
        };
        let before = show(&bed);
        assert!(before.is_some());
        for deed in [
            "ip link set dev cable1 mtu 1300",
            "ip link set dev cable1 txqueuelen 7",
            "ip link set dev cable1 alias mine",
            "ip link set dev cable1 name mine",
            "ip address add fe80::77/64 dev cable1",
            "ip address flush dev cable1",
        ] {
            under_traffic(&mut bed, |bed| {
                run(bed.gateway(0), deed);
                eventually(deed, || show(bed) == before);
            });
        }
        assert_eq!(bed.channels(0)[1]["sessions"], 1);
    });
}

#[test]
fn settings_of_ours_that_somebody_changes_are_put_back() {
    trial::run_with_tun(|| {
        let mut bed = with_internet(2);
        for (key, theirs) in [
            ("net.ipv4.conf.cable0.ignore_routes_with_linkdown", "0"),
            ("net.ipv4.conf.cable1.rp_filter", "1"),
            ("net.ipv4.fib_multipath_hash_policy", "0"),
            ("net.ipv6.conf.cable1.disable_ipv6", "1"),
            ("net.ipv6.conf.cable0.accept_ra", "1"),
        ] {
            let ours = bed.gateway(0).sysctl(key).expect("the kernel has it");
            under_traffic(&mut bed, |bed| {
                bed.gateway(0).set_sysctl(key, theirs).expect("the kernel takes it");
                eventually(key, || bed.gateway(0).sysctl(key).is_ok_and(|value| value == ours));
            });
        }
    });
}

#[test]
fn ipv6_taken_from_the_whole_machine_and_given_back_leaves_links_as_they_were() {
    trial::run_with_tun(|| {
        let mut bed = with_internet(2);
        let addresses = run(bed.gateway(0), "ip -6 address show dev cable0");
        bed.gateway(0).set_sysctl("net.ipv6.conf.all.disable_ipv6", "1").expect("the kernel takes it");
        bed.gateway(0).set_sysctl("net.ipv6.conf.all.disable_ipv6", "0").expect("the kernel takes it");
        eventually("the device has its address", || run(bed.gateway(0), "ip -6 address show dev cable0") == addresses);
        eventually("the routes are there", || super::routes(&bed).len() == 4);
        bed.wait_until_up();
    });
}

fn state(bed: &Bed, site: usize, channel: usize) -> String {
    bed.channels(site)[channel]["state"].as_str().unwrap_or_default().to_owned()
}
