//! nft and iptables rules that name the tun devices.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpStream},
};

use netns_lab::{topology::Family, trial};
use serde_json::Value;

use crate::bed::{Bed, PATIENCE, attempt, json, ping, run};

#[test]
fn an_nft_rule_on_a_tun_device_counts_and_drops() {
    trial::run_with_tun(|| {
        let bed = Bed::two_gateways(4, Family::V4);
        for (hook, node, rule) in [
            // Into the link, and out of it at the other end.
            ("forward", bed.gateway(0), "oifname cable* meta l4proto { icmp , ipv6-icmp } counter drop"),
            ("forward", bed.gateway(1), "iifname cable* meta l4proto { icmp , ipv6-icmp } counter drop"),
        ] {
            run(node, "nft add table inet test");
            run(node, &format!("nft add chain inet test path {{ type filter hook {hook} priority 0 ; }}"));
            run(node, &format!("nft add rule inet test path {rule}"));
            for to in ["10.2.0.2", "fd00:2::2"] {
                let (answered, said) = attempt(bed.host(0), &format!("ping -n -c 2 -i 0.2 -W 1 {to}"));
                assert!(!answered, "{said}");
            }
            let table = json(node, "nft -j list table inet test");
            assert_eq!(packets(&table), Some(4), "{table}");
            run(node, "nft delete table inet test");
            bed.addresses(1).into_iter().for_each(|to| ping(bed.host(0), to));
        }
    });
}

#[test]
fn an_iptables_rule_on_a_tun_device_counts_and_rejects() {
    trial::run_with_tun(|| {
        let bed = Bed::two_gateways(4, Family::V4);
        for (tables, to) in [("iptables", bed.addresses(1)[0]), ("ip6tables", bed.addresses(1)[1])] {
            let rule = "FORWARD -i cable+ -p tcp --dport 9999 -j REJECT --reject-with tcp-reset";
            run(bed.gateway(1), &format!("{tables} -A {rule}"));
            let connect = || TcpStream::connect_timeout(&SocketAddr::new(to, 9999), PATIENCE).map(drop);
            let refused = bed.host(0).run(connect).expect("the node can be entered").unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            let list = run(bed.gateway(1), &format!("{tables} -nvxL FORWARD"));
            let counted = list.lines().find(|line| line.contains("9999")).and_then(|l| l.split_whitespace().next());
            assert_eq!(counted, Some("1"), "{list}");
            run(bed.gateway(1), &format!("{tables} -D {rule}"));
        }
    });
}

/// The packets of the first counter in `nft -j`'s answer.
fn packets(table: &Value) -> Option<u64> {
    let expressions = table["nftables"].as_array()?.iter().filter_map(|item| item["rule"]["expr"].as_array()).flatten();
    expressions.filter_map(|expression| expression["counter"]["packets"].as_u64()).next()
}
