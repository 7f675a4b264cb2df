//! The questions that the daemon asks.

use meshtun_netlink::{Reach, Way};

use crate::support::{carrier, gateway_tests, link, sh};

gateway_tests! {
    async fn the_underlays_mtu_is_the_devices_or_the_routes_own(gateway: Gateway) {
        sh("ip link add u0 mtu 1400 type veth peer name u1
            ip link set u0 up; ip link set u1 up
            ip address add 192.0.2.1/24 dev u0
            ip address add fd00:9::1/64 dev u0 nodad
            ip route add 198.51.100.0/24 via 192.0.2.9 mtu 1300
            ip route add 203.0.113.0/24 via 192.0.2.9 mtu 9000
            ip route add unreachable 198.18.0.0/15");
        let way = |remote: &str| Way::to(remote.parse().unwrap());
        let mtu = async |remote: &str| gateway.network.underlay_mtu(&way(remote)).await.unwrap();
        assert_eq!(mtu("192.0.2.77").await, Some(1400));
        assert_eq!(mtu("fd00:9::77").await, Some(1400));
        assert_eq!(mtu("198.51.100.1").await, Some(1300));
        assert_eq!(mtu("203.0.113.1").await, Some(1400));
        assert_eq!(mtu("198.18.0.1").await, None);
        sh("ip route del default; ip -6 route del default");
        assert_eq!(mtu("1.2.3.4").await, None);
        assert_eq!(mtu("2001:db8::1").await, None);
    }

    async fn the_mtu_of_a_way_is_that_of_the_route_for_its_source_and_of_its_device(gateway: Gateway) {
        sh("ip link add second type veth peer name other
            ip link set second mtu 1300 up
            ip link set other up
            ip address add 198.51.100.7/24 dev second
            ip address add fd00:51::7/64 dev second nodad
            ip route add default via 198.51.100.1 table 51 mtu 1280
            ip rule add from 198.51.100.7 table 51
            ip tuntap add dev down0 mode tun
            ip link set down0 mtu 1234");
        let mtu = async |to: &str, from: Option<&str>, device: Option<&str>| {
            let from = from.map(|from| from.parse().unwrap());
            let way = Way { to: to.parse().unwrap(), from, device: device.map(Into::into) };
            gateway.network.underlay_mtu(&way).await.unwrap()
        };
        assert_eq!(mtu("203.0.113.2", None, None).await, Some(1500));
        assert_eq!(mtu("203.0.113.2", Some("198.51.100.7"), None).await, Some(1280), "by the rule");
        assert_eq!(mtu("203.0.113.2", Some("198.51.100.99"), None).await, Some(1500), "nobody has the source");
        for to in ["203.0.113.2", "2001:db8::2"] {
            assert_eq!(mtu(to, None, Some("second")).await, Some(1300), "{to}");
            assert_eq!(mtu(to, None, Some("down0")).await, Some(1234), "no way, but a device");
            assert_eq!(mtu(to, None, Some("third")).await, None, "no such device");
        }
        assert_eq!(mtu("fd00:51::9", Some("fd00:51::7"), Some("second")).await, Some(1300));
    }

    async fn a_device_without_a_route_leads_nowhere_until_there_is_one(gateway: Gateway) {
        sh("ip link add second type veth peer name other
            ip link set second up; ip link set other up
            ip address add 198.51.100.7/24 dev second
            ip address add fd00:51::7/64 dev second nodad");
        let leads = async |to: &str, from: Option<&str>, device: Option<&str>| {
            let from = from.map(|from| from.parse().unwrap());
            let way = Way { to: to.parse().unwrap(), from, device: device.map(Into::into) };
            gateway.network.leads(&way).await.unwrap()
        };
        for (to, own, via) in
            [("203.0.113.2", "198.51.100.7", "198.51.100.1"), ("2001:db8::2", "fd00:51::7", "fd00:51::1")]
        {
            assert!(leads(to, None, None).await && leads(to, None, Some("wan0")).await, "{to} by the default route");
            assert!(leads(via, Some(own), Some("second")).await, "{via} is on its network");
            for from in [None, Some(own)] {
                assert!(!leads(to, from, Some("second")).await, "{to} from {from:?}");
                assert!(!leads(to, from, Some("gone")).await, "{to} from {from:?}");
            }
            sh(&format!("ip route add {to} via {via} dev second metric 99"));
            assert!(leads(to, Some(own), Some("second")).await, "{to}");
            sh(&format!("ip route del {to} via {via} dev second metric 99; ip route add unreachable {to}"));
            assert!(!leads(to, None, None).await, "{to} is unreachable");
        }
        sh("ip route del default; ip -6 route del default");
        assert!(!leads("1.2.3.4", None, None).await && !leads("2001:db8::9", None, None).await);
    }

    async fn the_way_to_an_address_is_a_device_local_unreachable_or_none(gateway: Gateway) {
        sh("ip route add unreachable 198.18.0.0/16
            ip route add blackhole 198.19.0.0/16
            ip -6 route add prohibit fd00:66::/48");
        let to = async |there: &str| gateway.network.route_to(there.parse().unwrap(), None).await.unwrap();
        assert_eq!(to("10.207.0.1").await, Reach::Local);
        assert_eq!(to("fd00:207::1").await, Reach::Local);
        assert_eq!(to("198.18.0.1").await, Reach::Unreachable);
        assert_eq!(to("198.19.0.1").await, Reach::Unreachable);
        assert_eq!(to("fd00:66::1").await, Reach::Unreachable);
        assert!(matches!(to("1.2.3.4").await, Reach::Device { name, .. } if name == "wan0"));
        sh("ip route del default; ip -6 route del default");
        assert_eq!(to("1.2.3.4").await, Reach::NoRoute);
        assert_eq!(to("2001:db8::1").await, Reach::NoRoute);
    }

    async fn a_look_up_tells_gateway_and_source(gateway: Gateway) {
        gateway.up(&link(1)).await;
        let _up = carrier("nq0");
        let index = gateway.network.device_index("nq0").await.unwrap().unwrap();
        let name = || "nq0".to_owned();
        let v4 = Reach::Device { name: name(), index, gateway: None, source: Some("10.207.0.1".parse().unwrap()) };
        assert_eq!(gateway.network.route_to("10.202.0.9".parse().unwrap(), None).await.unwrap(), v4);
        let from = Some("10.207.0.1".parse().unwrap());
        assert_eq!(gateway.network.route_to("10.202.0.9".parse().unwrap(), from).await.unwrap(), v4);
        let source = Some("fd00:207::1".parse().unwrap());
        let via = Some("fe80::2:0".parse().unwrap());
        let v6 = Reach::Device { name: name(), index, gateway: via, source };
        assert_eq!(gateway.network.route_to("fd00:202::9".parse().unwrap(), None).await.unwrap(), v6);
        let stranger = Some("10.1.1.1".parse().unwrap());
        let refused = gateway.network.route_to("10.202.0.9".parse().unwrap(), stranger).await;
        assert!(!matches!(refused, Ok(Reach::Device { .. })), "{refused:?}");
    }

    async fn the_addresses_of_the_machine_are_known(gateway: Gateway) {
        let has = async |address: &str| gateway.network.has_address(address.parse().unwrap()).await.unwrap();
        assert!(has("10.207.0.1").await && has("fd00:207::1").await && has("127.0.0.1").await);
        assert!(!has("10.207.0.2").await);
        sh("ip address add 192.0.2.4 peer 192.0.2.5 dev wan0");
        assert!(has("192.0.2.4").await && !has("192.0.2.5").await, "our end, not the peer's");
    }

    async fn forwarding_is_seen_and_never_changed(gateway: Gateway) {
        gateway.up(&link(1)).await;
        for value in [false, true] {
            let number = u8::from(value);
            sh(&format!("sysctl -qw net.ipv4.ip_forward={number} net.ipv6.conf.all.forwarding={number}"));
            assert_eq!(gateway.network.forwards(false).unwrap(), value);
            assert_eq!(gateway.network.forwards(true).unwrap(), value);
        }
    }

    async fn a_devices_link_state_is_the_kernels(gateway: Gateway) {
        gateway.up(&link(1)).await;
        let state = async || gateway.network.device("nq0").await.unwrap().unwrap();
        assert!(state().await.up && !state().await.carrier);
        let (_tun, switch) = carrier("nq0");
        assert!(state().await.carrier);
        switch.set(false).unwrap();
        assert!(!state().await.carrier);
        sh("ip link set nq0 down");
        assert!(!state().await.up);
        assert_eq!(gateway.network.device("none").await.unwrap(), None);
        assert_eq!(gateway.network.device_index("none").await.unwrap(), None);
        assert_eq!(gateway.network.device("name-that-is-far-too-long").await.unwrap(), None);
    }
}
