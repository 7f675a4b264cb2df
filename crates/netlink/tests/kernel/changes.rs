//! What the kernel tells us of.

use std::time::Duration;

use meshtun_netlink::{Change, Changes, ForeignRoute, repair};

use crate::support::{THERE, carrier, gateway_tests, link, sh};

/// All changes until the kernel has been silent for a while.
async fn crowd(changes: &mut Changes) -> Vec<Change> {
    let mut crowd = Vec::new();
    while let Ok(change) = tokio::time::timeout(Duration::from_millis(200), changes.next()).await {
        crowd.push(change.expect("the socket lives"));
    }
    crowd
}

gateway_tests! {
    async fn whatever_takes_something_of_ours_away_is_told_and_healed(gateway: Gateway) {
        let desired = link(2);
        gateway.up(&desired).await;
        let mut changes = Changes::new().unwrap();
        let losses = [
            "ip link delete nq1",
            "ip link set nq1 down",
            "ip address del fe80::1:1/64 dev nq1",
            "ip address del 10.207.0.1/32 dev lo; ip address add 10.207.0.1/32 dev lo",
            "ip route del 10.202.0.0/16 metric 100",
            "ip -6 route del unreachable fd00:202::/48",
        ];
        for loss in losses {
            sh(loss);
            assert!(crowd(&mut changes).await.contains(&Change::Ours), "{loss}");
            assert!(!gateway.up(&desired).await.is_empty(), "{loss}");
            gateway.assert_nothing_left_to_do(&desired).await;
            crowd(&mut changes).await;
        }
    }

    async fn a_route_of_someone_else_is_told_with_its_prefix_when_it_comes_and_when_it_goes(_gateway: Gateway) {
        let mut changes = Changes::new().unwrap();
        for deed in ["add", "del"] {
            let told = |prefix: &str, metric| {
                let (prefix, is_there) = (prefix.parse().unwrap(), deed == "add");
                Change::Foreign(ForeignRoute { prefix, metric, protocol: 3, is_there })
            };
            let expected = [told("10.202.7.0/24", 0), told("fd00:202:0:1::/64", 1024)];
            sh(&format!("ip route {deed} 10.202.7.0/24 dev wan0; ip -6 route {deed} fd00:202:0:1::/64 dev wan0"));
            assert_eq!(crowd(&mut changes).await, expected, "{deed}");
        }
    }

    async fn whatever_a_person_sets_on_a_device_of_ours_is_told_and_put_right(gateway: Gateway) {
        let desired = link(2);
        gateway.up(&desired).await;
        let actual = gateway.network.actual(&desired).await.unwrap();
        let mut changes = Changes::new().unwrap();
        changes.know(actual.own_devices());
        let known = actual.own_devices().map(|device| (device.name.clone(), device.index)).collect();
        for deed in ["mtu 1300", "txqueuelen 7", "alias mine", "alias ''", "name other"] {
            sh(&format!("ip link set nq1 {deed}"));
            assert!(crowd(&mut changes).await.contains(&Change::Ours), "{deed}");
            let repair = repair(&desired, &gateway.network.actual(&desired).await.unwrap(), &known);
            gateway.network.apply_all(&repair.steps).await.unwrap();
            gateway.assert_nothing_left_to_do(&desired).await;
            assert_eq!(gateway.network.device_index("nq1").await.unwrap(), known.get("nq1").copied(), "{deed}");
            crowd(&mut changes).await;
        }
    }

    async fn carrier_that_comes_and_goes_is_no_change(gateway: Gateway) {
        gateway.up(&link(2)).await;
        let mut changes = Changes::new().unwrap();
        let (_tun, switch) = carrier("nq0");
        switch.set(false).unwrap();
        gateway.wait_for_way(THERE[0], "Unreachable").await;
        assert_eq!(crowd(&mut changes).await, []);
    }
}
