//! What vanished or was changed comes back; devices leave the route before they go.

use std::env;
use std::process::{Command, Stdio};
use std::time::Duration;

use meshtun_netlink::{Network, Protection, Step, repair};
use meshtun_sys::process::die_with_parent;

use crate::support::{THERE, carrier, gateway_tests, link, sh};

/// Where the record of sysctls is, for [`victim`].
const RECORD: &str = "MESHTUN_TEST_RECORD";

/// Brings a link up and takes it down for ever, in the namespace in which it was started.
#[test]
#[ignore = "a process for the next test to kill"]
fn victim() {
    let Some(record) = env::var_os(RECORD) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let network = Network::new().unwrap().with_record(record);
        loop {
            network.converge(&link(2), Protection::Keep).await.unwrap();
            network.apply_all(&network.teardown(Protection::Lift).await.unwrap()).await.unwrap();
        }
    });
}

gateway_tests! {
    async fn a_kill_at_any_moment_leaves_nothing_that_the_next_run_does_not_heal(gateway: Gateway) {
        let desired = link(2);
        let all = gateway.steps(&desired).await;
        let mut halfway = 0;
        for moment in 0..15 {
            let mut command = Command::new(env::current_exe().unwrap());
            command.args(["heal::victim", "--exact", "--ignored"]).env(RECORD, gateway.record()).stdout(Stdio::null());
            die_with_parent(&mut command);
            let mut victim = command.spawn().unwrap();
            while gateway.steps(&desired).await == all {
                assert_eq!(victim.try_wait().unwrap(), None, "the victim died of itself");
            }
            tokio::time::sleep(Duration::from_millis(moment)).await;
            victim.kill().unwrap();
            victim.wait().unwrap();
            let left = gateway.steps(&desired).await;
            halfway += u32::from(!left.is_empty() && left != all);
            gateway.up(&desired).await;
            gateway.assert_nothing_left_to_do(&desired).await;
            gateway.down(Protection::Lift).await;
            assert_eq!(gateway.steps(&desired).await, all, "down left something");
        }
        assert!(halfway > 0, "no kill came half-way");
    }

    async fn the_kernel_drops_a_whole_ipv4_route_with_one_of_its_devices_and_we_heal_it(gateway: Gateway) {
        let desired = link(3);
        gateway.up(&desired).await;
        sh("ip link delete nq1");
        assert!(!sh("ip route show 10.202.0.0/16").contains("nq0"), "the trap is gone: simplify the order of the steps");
        gateway.up(&desired).await;
        gateway.assert_nothing_left_to_do(&desired).await;
    }

    async fn a_channel_that_goes_for_good_leaves_the_routes_without_a_gap(gateway: Gateway) {
        gateway.up(&link(3)).await;
        let _up = carrier("nq0");
        let fewer = link(2);
        let steps = gateway.steps(&fewer).await;
        assert!(steps.contains(&Step::DeleteDevice { name: "nq2".to_owned() }), "{steps:?}");
        for step in &steps {
            gateway.network.apply(step).await.unwrap();
            for there in THERE {
                assert_eq!(gateway.way_to(there).await, "nq0", "after {step}");
            }
        }
        gateway.assert_nothing_left_to_do(&fewer).await;
        assert!(steps.len() == 3, "two routes and a device: {steps:?}");
    }

    async fn a_channel_that_comes_joins_the_routes_without_a_gap(gateway: Gateway) {
        gateway.up(&link(1)).await;
        let _up = carrier("nq0");
        for step in gateway.steps(&link(3)).await {
            gateway.network.apply(&step).await.unwrap();
            for there in THERE {
                assert_eq!(gateway.way_to(there).await, "nq0", "after {step}");
            }
        }
        gateway.assert_nothing_left_to_do(&link(3)).await;
    }

    async fn a_device_that_nobody_could_attach_to_is_made_anew_after_it_left_the_routes(gateway: Gateway) {
        let desired = link(2);
        gateway.up(&desired).await;
        sh("ip link delete nq1
            ip tuntap add dev nq1 mode tun vnet_hdr multi_queue
            ip link set nq1 alias 'meshtun nq/1' mtu 1420 up
            ip route add 10.202.0.0/16 proto 109 metric 100 nexthop dev nq0 nexthop dev nq1");
        let _up = carrier("nq0");
        for step in gateway.steps(&desired).await {
            gateway.network.apply(&step).await.unwrap();
            assert_eq!(gateway.way_to(THERE[0]).await, "nq0", "after {step}");
        }
        gateway.assert_nothing_left_to_do(&desired).await;
        drop(carrier("nq1"));
    }

    async fn devices_of_the_last_run_are_kept_and_adjusted(gateway: Gateway) {
        gateway.up(&link(2)).await;
        let before = gateway.network.device_index("nq1").await.unwrap();
        let mut desired = link(2);
        for device in &mut desired.devices {
            (device.mtu, device.txqueuelen) = (1380, 1000);
            device.alias = "meshtun renamed/0".to_owned();
        }
        let done = gateway.up(&desired).await;
        assert_eq!(done, [0, 1].map(|n| {
            format!("ip link set dev nq{n} alias 'meshtun renamed/0' mtu 1380 txqueuelen 1000")
        }));
        gateway.assert_nothing_left_to_do(&desired).await;
        assert_eq!(gateway.network.device_index("nq1").await.unwrap(), before);
    }

    async fn a_device_taken_down_comes_up_with_its_address_and_its_place_in_the_routes(gateway: Gateway) {
        let desired = link(2);
        gateway.up(&desired).await;
        for names in ["nq0", "nq0 nq1"] {
            sh(&format!("for name in {names}; do ip link set $name down; done"));
            gateway.up(&desired).await;
            gateway.assert_nothing_left_to_do(&desired).await;
            let _up = carrier("nq0");
            for there in THERE {
                assert_eq!(gateway.way_to(there).await, "nq0");
            }
        }
    }

    async fn a_source_address_that_vanished_takes_the_route_along_which_comes_back_without_it_and_then_with_it(
        gateway: Gateway
    ) {
        let desired = link(2);
        gateway.up(&desired).await;
        let _up = carrier("nq0");
        sh("ip address del 10.207.0.1/32 dev lo");
        assert_eq!(gateway.way_to(THERE[0]).await, "Unreachable");
        gateway.up(&desired).await;
        gateway.assert_nothing_left_to_do(&desired).await;
        assert_eq!(gateway.way_to(THERE[0]).await, "nq0");
        sh("ip address add 10.207.0.1/32 dev lo");
        gateway.up(&desired).await;
        gateway.assert_nothing_left_to_do(&desired).await;
        assert!(sh("ip route show 10.202.0.0/16").contains("src 10.207.0.1"));
    }

    async fn routes_of_others_in_the_place_of_ours_go_and_nothing_else_of_theirs(gateway: Gateway) {
        let desired = link(2);
        gateway.up(&desired).await;
        sh("ip route replace 10.202.0.0/16 metric 100 dev wan0
            ip route prepend 10.202.0.0/16 metric 4278198272 dev wan0
            ip -6 route del fd00:202::/48 metric 100
            ip -6 route add blackhole fd00:202::/48 proto bird metric 100
            ip route add 10.202.0.0/16 metric 200 dev wan0");
        let repair = repair(&desired, &gateway.network.actual(&desired).await.unwrap(), &Default::default());
        gateway.network.apply_all(&repair.steps).await.unwrap();
        gateway.assert_nothing_left_to_do(&desired).await;
        assert_eq!(sh("ip -o route show 10.202.0.0/16 dev wan0 | grep -o 'metric.[0-9]*'").trim(), "metric 200");
        assert_eq!(sh("ip -6 route show fd00:202::/48 proto bird"), "");
    }

    async fn a_stale_link_local_address_goes_and_other_addresses_stay(gateway: Gateway) {
        let desired = link(1);
        gateway.up(&desired).await;
        sh("ip address add fe80::77/64 dev nq0; ip address add 192.0.2.1/31 dev nq0; ip address add fd00:9::1/64 dev nq0");
        gateway.up(&desired).await;
        let addresses = sh("ip address show nq0");
        assert!(!addresses.contains("fe80::77"), "{addresses}");
        for kept in ["fe80::1:0/64", "192.0.2.1/31", "fd00:9::1/64"] {
            assert!(addresses.contains(kept), "{addresses}");
        }
    }

    async fn a_route_that_was_changed_by_hand_is_put_right(gateway: Gateway) {
        let desired = link(2);
        gateway.up(&desired).await;
        sh("ip route replace 10.202.0.0/16 proto 109 metric 100 dev nq1
            ip -6 route del fd00:202::/48 proto 109 metric 100
            ip -6 route replace blackhole fd00:202::/48 proto 109 metric 100
            ip route del unreachable 10.202.0.0/16
            ip route add 10.99.0.0/16 proto 109 metric 100 dev nq0");
        gateway.up(&desired).await;
        gateway.assert_nothing_left_to_do(&desired).await;
        assert_eq!(sh("ip route show 10.99.0.0/16"), "");
    }
}
