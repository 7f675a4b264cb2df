//! Word of devices and addresses that an underlay may need.

use std::time::Duration;

use meshtun_netlink::{Underlay, UnderlayNews};

use crate::support::{carrier, gateway_tests, link, sh};

/// All news until the kernel has been silent for a while.
async fn crowd(underlay: &mut Underlay) -> Vec<UnderlayNews> {
    let mut crowd = Vec::new();
    while let Ok(news) = tokio::time::timeout(Duration::from_millis(300), underlay.next()).await {
        crowd.push(news.expect("the socket lives"));
    }
    crowd
}

fn device(names: &[&str]) -> UnderlayNews {
    UnderlayNews::Device(names.iter().map(ToString::to_string).collect())
}

fn address(text: &str) -> UnderlayNews {
    UnderlayNews::Address(text.parse().unwrap())
}

gateway_tests! {
    async fn a_device_that_comes_goes_is_renamed_or_runs_again_is_told(_gateway: Gateway) {
        let mut underlay = Underlay::new().unwrap();
        let told = async |underlay: &mut Underlay, deed: &str| {
            sh(deed);
            crowd(underlay).await
        };
        assert!(told(&mut underlay, "ip link add u0 type veth peer name u1").await.contains(&device(&["u0"])));
        let up = told(&mut underlay, "ip link set u0 up; ip link set u1 up").await;
        assert!(up.contains(&device(&["u0"])) && up.contains(&device(&["u1"])), "{up:?}");
        assert_eq!(told(&mut underlay, "ip link set u0 mtu 1400").await, [], "it ran before");
        assert!(told(&mut underlay, "ip link set u1 down").await.is_empty());
        assert!(told(&mut underlay, "ip link set u1 up").await.contains(&device(&["u0"])), "carrier is back");
        assert!(told(&mut underlay, "ip link set u0 down name u2").await.contains(&device(&["u0", "u2"])));
        let gone = told(&mut underlay, "ip link del u2").await;
        assert!(gone.contains(&device(&["u2"])) && gone.contains(&device(&["u1"])), "{gone:?}");
    }

    async fn an_address_is_told_as_soon_as_it_can_be_used(_gateway: Gateway) {
        sh("ip link add u0 type veth peer name u1; ip link set u0 up; ip link set u1 up");
        let mut underlay = Underlay::new().unwrap();
        crowd(&mut underlay).await;
        sh("ip address add 192.0.2.1/24 dev u0; ip address add fd00:9::1/64 dev u0 nodad");
        let news = crowd(&mut underlay).await;
        assert!(news.contains(&address("192.0.2.1")) && news.contains(&address("fd00:9::1")), "{news:?}");
        sh("ip address add fd00:9::2/64 dev u0");
        let news = tokio::time::timeout(Duration::from_secs(30), underlay.next()).await;
        assert_eq!(news.expect("in time"), Some(address("fd00:9::2")));
        let tentative = "ip -6 -o address show dev u0 tentative to fd00:9::2";
        sh(&format!("[ -z \"$({tentative})\" ]"));
    }

    async fn carrier_of_our_own_devices_is_no_news(gateway: Gateway) {
        gateway.up(&link(2)).await;
        let mut underlay = Underlay::new().unwrap();
        let (_tun, switch) = carrier("nq0");
        switch.set(false).unwrap();
        assert_eq!(crowd(&mut underlay).await, []);
    }
}
