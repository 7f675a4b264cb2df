//! From nothing, from half-way, from the printed commands; nothing left to do.

use meshtun_netlink::{Protection, RouteKind};

use crate::support::{THERE, carrier, gateway_tests, lines, link, sh};

gateway_tests! {
    async fn from_nothing_the_whole_link_is_there_and_nothing_is_left_to_do(gateway: Gateway) {
        let desired = link(4);
        assert!(!gateway.up(&desired).await.is_empty());
        gateway.assert_nothing_left_to_do(&desired).await;
        let v4 = sh("ip route show 10.202.0.0/16");
        for part in ["proto 109", "src 10.207.0.1", "metric 100", "nexthop dev nq0 weight 1", "nexthop dev nq3 weight 1"] {
            assert!(v4.contains(part), "{part} is missing in\n{v4}");
        }
        assert!(v4.contains("unreachable 10.202.0.0/16 proto 109 metric 4278198272"), "{v4}");
        let v6 = sh("ip -6 route show fd00:202::/48");
        assert!(v6.contains("nexthop via fe80::2:3 dev nq3 weight 1"), "{v6}");
        assert!(v6.contains("unreachable fd00:202::/48 dev lo proto 109 metric 4278198272"), "{v6}");
    }

    async fn a_device_is_persistent_marked_up_and_carries_one_address_only(gateway: Gateway) {
        gateway.up(&link(1)).await;
        let shown = sh("ip -d link show nq0; ip address show nq0");
        for part in ["type tun", "vnet_hdr on", "persist on", "alias meshtun nq/0", "mtu 1420", "qlen 500", ",UP"] {
            assert!(shown.contains(part), "{part} is missing in\n{shown}");
        }
        assert!(!shown.contains("multi_queue"), "{shown}");
        assert_eq!(shown.matches("inet").count(), 1, "{shown}");
        assert!(shown.contains("inet6 fe80::1:0/64"), "{shown}");
    }

    async fn half_a_run_heals_wherever_it_ended(gateway: Gateway) {
        let desired = link(2);
        let all = gateway.steps(&desired).await;
        for made in 0..all.len() {
            gateway.network.apply_all(&all[..made]).await.unwrap();
            gateway.up(&desired).await;
            gateway.assert_nothing_left_to_do(&desired).await;
            gateway.down(Protection::Lift).await;
            assert_eq!(gateway.steps(&desired).await, all, "after {made} steps down left something");
        }
    }

    async fn the_printed_commands_do_what_the_steps_do(gateway: Gateway) {
        let mut desired = link(3);
        desired.devices[1].qdisc = Some("pfifo".to_owned());
        let script = lines(&gateway.steps(&desired).await).join("\n");
        sh(&script);
        gateway.assert_nothing_left_to_do(&desired).await;
        let alias = sh("ip link show nq2");
        assert!(alias.contains("alias meshtun nq/2"), "{alias}");
    }

    async fn the_printed_commands_of_a_change_and_of_down_do_what_the_steps_do(gateway: Gateway) {
        gateway.up(&link(3)).await;
        let mut fewer = link(2);
        fewer.devices[0].mtu = 1400;
        fewer.devices[1].link_local = "fe80::9:9".parse().unwrap();
        sh(&lines(&gateway.steps(&fewer).await).join("\n"));
        gateway.assert_nothing_left_to_do(&fewer).await;
        sh(&lines(&gateway.network.teardown(Protection::Lift).await.unwrap()).join("\n"));
        assert_eq!(sh("ip route show proto 109; ip -6 route show proto 109; ip link show type tun"), sh("ip link show wan0"));
        assert_eq!(sh("sysctl -n net.ipv4.fib_multipath_hash_policy net.ipv6.fib_multipath_hash_policy"), "0\n0\n");
    }

    async fn devices_too_narrow_for_ipv6_are_otherwise_complete_and_get_it_when_they_widen(gateway: Gateway) {
        let mut narrow = link(2);
        narrow.devices.iter_mut().for_each(|device| device.mtu = 1200);
        for (desired, addresses) in [(&narrow, 0), (&link(2), 1), (&narrow, 0), (&link(2), 1)] {
            gateway.up(desired).await;
            gateway.assert_nothing_left_to_do(desired).await;
            assert_eq!(sh("ip -6 address show nq0").matches("inet6").count(), addresses);
            let _up = carrier("nq0");
            assert_eq!(gateway.way_to(THERE[0]).await, "nq0");
            assert_eq!(gateway.way_to(THERE[1]).await, if addresses == 0 { "Unreachable" } else { "nq0" });
        }
    }

    async fn weights_and_a_single_nexthop_compare_equal_to_what_the_kernel_gives_back(gateway: Gateway) {
        for channels in [1, 3] {
            let mut desired = link(channels);
            for route in &mut desired.routes {
                let RouteKind::Multipath { nexthops, .. } = &mut route.kind else { continue };
                nexthops[0].weight = 0;
                nexthops.last_mut().unwrap().weight = 200;
            }
            gateway.up(&desired).await;
            gateway.assert_nothing_left_to_do(&desired).await;
        }
        assert!(sh("ip -6 route show fd00:202::/48").contains("nexthop via fe80::2:2 dev nq2 weight 200"));
    }

    async fn a_default_route_is_a_route_like_any_other(gateway: Gateway) {
        sh("ip route del default; ip -6 route del default");
        let mut desired = link(2);
        for route in &mut desired.routes {
            route.prefix = if route.prefix.addr().is_ipv4() { "0.0.0.0/0" } else { "::/0" }.parse().unwrap();
        }
        gateway.up(&desired).await;
        gateway.assert_nothing_left_to_do(&desired).await;
        gateway.down(Protection::Lift).await;
        assert_eq!(sh("ip route show default; ip -6 route show default"), "");
    }

    async fn a_queueing_discipline_is_set_and_one_that_the_kernel_lacks_is_given_up(gateway: Gateway) {
        let mut desired = link(2);
        desired.devices[0].qdisc = Some("pfifo".to_owned());
        desired.devices[1].qdisc = Some("nosuch".to_owned());
        gateway.up(&desired).await;
        assert!(sh("tc qdisc show dev nq0").starts_with("qdisc pfifo "));
        gateway.assert_nothing_left_to_do(&desired).await;
        // Ours goes with the file's word, and another's does not.
        let usual = sh("tc qdisc show dev nq1").replace("nq1", "nq0");
        sh("tc qdisc replace dev nq1 root pfifo limit 7");
        gateway.up(&link(2)).await;
        assert_eq!(sh("tc qdisc show dev nq0"), usual);
        assert!(sh("tc qdisc show dev nq1").contains("limit 7p"));
    }
}
