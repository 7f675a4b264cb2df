//! Routes that others delete, replace or add.

use std::{thread, time::Duration};

use netns_lab::trial;

use super::{alarms, leaks_under_traffic, routes, under_traffic, wait_for_word, with_internet};
use crate::bed::{eventually, run};

#[test]
fn routes_that_somebody_flushes_come_back() {
    trial::run_with_tun(|| {
        let mut bed = with_internet(4);
        under_traffic(&mut bed, |bed| {
            run(bed.gateway(0), "ip route flush proto 109");
            run(bed.gateway(0), "ip -6 route flush proto 109");
        });
        // In one line or in several, behind what protects: the sentry may have been faster, and IPv6's flush comes later.
        wait_for_word(&bed, "were changed by somebody else; put back: ");
        wait_for_word(&bed, "ip route replace 10.2.0.0/24 proto 109 metric 101 ");
        wait_for_word(&bed, "ip -6 route replace fd00:2::/64 proto 109 metric 101 ");
    });
}

/// Such a flush takes the guard along; what leaves is what comes before the kernel's word has woken the daemon.
#[test]
fn hardly_a_packet_leaves_in_clear_while_somebody_flushes_a_networks_routes_again_and_again() {
    trial::run_with_tun(|| {
        let mut bed = with_internet(2);
        let (sent, clear) = leaks_under_traffic(&mut bed, |bed| {
            for _ in 0..10 {
                run(bed.gateway(0), "ip route flush root 10.2.0.0/24");
                // Between flushes, so that the figure is that of ten of them.
                thread::sleep(Duration::from_millis(50));
            }
        });
        // Half of them are for 10.2.0.0/24 and fd00:2::/64, a quarter for the former alone; looked at ten times a second
        // and put back then, most of these would leave.
        assert!(clear * 50 < sent, "{clear} of {sent} packets left in clear");
    });
}

#[test]
fn a_route_that_somebody_deletes_or_replaces_comes_back() {
    trial::run_with_tun(|| {
        let mut bed = with_internet(2);
        for deed in [
            "ip route del 10.2.0.0/24 metric 101",
            "ip route del unreachable 10.2.0.0/24 metric 4278198272",
            "ip -6 route del unreachable fd00:2::/64 metric 4278198272",
            "ip route del unreachable 10.2.0.0/24 metric 4278198273",
            "ip route replace 10.2.0.0/24 proto 109 metric 101 dev cable0",
            "ip -6 route replace fd00:2::/64 proto 109 metric 101 via fe80::2:1 dev cable1",
            // Somebody else's in our place, by protocol number.
            "ip route replace unreachable 10.2.0.0/24 proto static metric 101",
            "ip route replace unreachable 10.2.0.0/24 proto static metric 4278198272",
        ] {
            under_traffic(&mut bed, |bed| {
                let before = routes(bed);
                run(bed.gateway(0), deed);
                // Not yet put back, or just now: in the end `under_traffic` sees to it that it is.
                eventually(deed, || routes(bed) == before);
            });
        }
        let left = run(bed.gateway(0), "ip route show proto static");
        assert!(!left.contains("10.2.0.0/24"), "{left}");
    });
}

#[test]
fn a_route_of_others_inside_a_links_network_is_told_of_when_it_comes_and_when_it_goes() {
    trial::run_with_tun(|| {
        let bed = with_internet(2);
        assert_eq!(alarms(&bed, "10.2.0.128/25"), 0);
        run(bed.gateway(0), "ip route add 10.2.0.128/25 via 203.0.113.5 proto 42");
        eventually("the status has an alarm", || alarms(&bed, "10.2.0.128/25") == 1);
        wait_for_word(&bed, "the route 10.2.0.128/25 metric 0 is not of meshtun");
        run(bed.gateway(0), "ip route del 10.2.0.128/25");
        eventually("the alarm is over", || alarms(&bed, "10.2.0.128/25") == 0);
        wait_for_word(&bed, "no longer: the route 10.2.0.128/25");
    });
}
