//! What is not ours is refused, spared, reported.

use meshtun_netlink::{Foreign, Protection, UNREACHABLE_METRIC, difference};

use crate::support::{gateway_tests, link, sh};

/// Devices, addresses and routes as a person sees them.
fn everything() -> String {
    sh("ip -d link show; ip address show; ip route show table all; ip -6 route show table all")
}

gateway_tests! {
    async fn a_device_of_our_name_that_is_not_ours_is_named_and_nothing_is_touched(gateway: Gateway) {
        let taken = [
            "ip tuntap add dev nq1 mode tun vnet_hdr",
            "ip tuntap add dev nq1 mode tap; ip link set nq1 alias 'meshtun nq/1'",
            "ip link add nq1 type veth peer name other; ip link set nq1 alias 'meshtun nq/1'",
        ];
        for script in taken {
            sh(script);
            let before = everything();
            let refused = gateway.network.converge(&link(2), Protection::Keep).await.unwrap_err().to_string();
            assert!(refused.contains("device nq1"), "{refused}");
            assert_eq!(everything(), before);
            sh("ip link delete nq1");
        }
    }

    async fn a_route_of_someone_else_with_our_prefix_and_metric_is_named_and_stays(gateway: Gateway) {
        sh("ip route add 10.202.0.0/16 proto bird metric 100 dev wan0
            ip -6 route add unreachable fd00:202::/48 proto static metric 4278198272");
        let before = everything();
        let desired = link(2);
        let actual = gateway.network.actual(&desired).await.unwrap();
        let refused = difference(&desired, &actual, Protection::Keep).unwrap_err();
        assert_eq!(refused.found, [
            Foreign::Route { prefix: "10.202.0.0/16".parse().unwrap(), metric: 100, protocol: 12 },
            Foreign::Route { prefix: "fd00:202::/48".parse().unwrap(), metric: UNREACHABLE_METRIC, protocol: 4 },
        ]);
        assert!(gateway.network.converge(&desired, Protection::Lift).await.is_err());
        assert_eq!(everything(), before);
    }

    async fn what_turns_up_between_the_look_and_the_deed_is_not_replaced(gateway: Gateway) {
        let desired = link(1);
        let steps = gateway.steps(&desired).await;
        sh("ip tuntap add dev nq0 mode tun vnet_hdr
            ip route add 10.202.0.0/16 proto bird metric 100 dev wan0
            ip -6 route add fd00:202::/48 proto bird metric 100 dev wan0");
        let before = everything();
        let names = ["ip tuntap add dev nq0", "ip route replace 10.202", "ip -6 route replace fd00:202::/48 proto 109 metric 100"];
        for name in names {
            let step = steps.iter().find(|step| step.to_string().starts_with(name)).unwrap();
            let refused = gateway.network.apply(step).await.unwrap_err().to_string();
            assert!(refused.starts_with(&format!("`{step}` failed: ")), "{refused}");
        }
        assert_eq!(everything(), before);
    }

    async fn routes_of_others_are_read_apart_from_ours_and_both_together_are_all(gateway: Gateway) {
        let desired = link(2);
        gateway.network.converge(&desired, Protection::Keep).await.unwrap();
        sh("ip route add 10.202.7.0/24 proto bird dev wan0
            ip route add 172.20.0.0/16 proto bird dev wan0
            ip route add 10.202.9.0/24 proto bird dev wan0 table 77
            ip -6 route add fd00:202:0:1::/64 proto static dev wan0");
        let others = gateway.network.others(&desired).await.unwrap();
        let prefixes: Vec<_> = others.iter().map(|route| route.prefix.to_string()).collect();
        assert_eq!(prefixes, ["10.202.7.0/24", "fd00:202:0:1::/64"]);
        let ours = gateway.network.actual_beside(&desired, Vec::new()).await.unwrap();
        assert!(ours.routes.iter().all(|route| route.is_ours()));
        assert_eq!(ours.routes.len(), desired.routes.len());
        let all = gateway.network.actual(&desired).await.unwrap();
        assert_eq!(all.routes.len(), ours.routes.len() + 2);
        let anew = gateway.network.anew().unwrap().actual(&desired).await.unwrap();
        assert_eq!(anew, all);
    }

    async fn routes_and_devices_of_others_survive_up_and_unprotected_down(gateway: Gateway) {
        sh("ip route add 10.202.0.0/16 proto bird metric 200 dev wan0
            ip route add 10.202.7.0/24 proto static dev wan0
            ip tuntap add dev tun7 mode tun
            ip link set tun7 up
            ip route add 10.50.0.0/16 dev tun7");
        let before = everything();
        gateway.up(&link(2)).await;
        gateway.down(Protection::Lift).await;
        assert_eq!(everything(), before);
    }

    async fn foreign_routes_that_take_packets_from_ours_are_found(gateway: Gateway) {
        gateway.up(&link(1)).await;
        sh("ip route add 10.202.7.0/24 proto static dev wan0
            ip route add 10.202.0.0/16 metric 50 dev wan0
            ip route add 10.202.0.0/16 metric 200 dev wan0
            ip -6 route add fd00:202:0:1::/64 dev wan0
            ip route add 10.0.0.0/8 dev wan0
            ip route add 10.203.0.0/16 dev wan0");
        let routed: Vec<_> = ["10.202.0.0/16", "fd00:202::/48"].map(|prefix| prefix.parse().unwrap()).into();
        let found = gateway.network.foreign_routes(&routed, 100).await.unwrap();
        let mut found: Vec<_> = found.iter().map(|route| (route.prefix.to_string(), route.metric)).collect();
        found.sort();
        let expected = [("10.202.0.0/16", 50), ("10.202.7.0/24", 0), ("fd00:202:0:1::/64", 1024)];
        assert_eq!(found, expected.map(|(prefix, metric)| (prefix.to_owned(), metric)));
    }
}
