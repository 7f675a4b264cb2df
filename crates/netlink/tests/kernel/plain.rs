//! A process's own device, addresses and routes.

use meshtun_netlink::{PlainAddress, PlainRoute};

use crate::support::{gateway_tests, sh};

gateway_tests! {
    async fn a_device_gets_its_addresses_and_routes_and_loses_them_again(gateway: Gateway) {
        sh("ip tuntap add dev p0 mode tun");
        let network = &gateway.network;
        network.take_up("p0", Some(1400), Some(77)).await.unwrap();
        let device = sh("ip link show dev p0");
        assert!(device.contains("mtu 1400") && device.contains("qlen 77") && device.contains("UP"), "{device}");
        let ends = PlainAddress { local: "10.7.0.1/32".parse().unwrap(), peer: Some("10.7.0.2".parse().unwrap()) };
        let six = PlainAddress { local: "fd00:7::1/64".parse().unwrap(), peer: None };
        for address in [ends, six] {
            network.add_plain_address("p0", address).await.unwrap();
        }
        let addresses = sh("ip address show dev p0");
        assert!(addresses.contains("inet 10.7.0.1 peer 10.7.0.2/32 scope global p0"), "{addresses}");
        assert!(addresses.contains("inet6 fd00:7::1/64"), "{addresses}");
        let route = PlainRoute {
            prefix: "10.99.0.0/16".parse().unwrap(),
            via: Some("10.7.0.2".parse().unwrap()),
            device: None,
            metric: Some(7),
            table: None,
        };
        assert!(network.add_plain_route(&route).await.unwrap());
        assert!(!network.add_plain_route(&route).await.unwrap(), "a route that is there is no error");
        let shown = sh("ip route show 10.99.0.0/16");
        assert!(shown.contains("via 10.7.0.2 dev p0") && shown.contains("metric 7"), "{shown}");
        network.delete_plain_route(&route).await.unwrap();
        assert_eq!(sh("ip route show 10.99.0.0/16"), "");
        let refused = network.delete_plain_route(&route).await.unwrap_err().to_string();
        assert!(refused.contains("ip route del 10.99.0.0/16 via 10.7.0.2 metric 7"), "{refused}");
        network.remove_plain_address("p0", ends).await.unwrap();
        assert!(!sh("ip address show dev p0").contains("10.7.0.1"));
    }
}
