//! Machine-wide settings: recorded, restored, left alone.

use std::fs;

use meshtun_netlink::{Network, Protection};

use crate::support::{gateway_tests, link, sh};

const POLICY: &str = "net.ipv4.fib_multipath_hash_policy";

fn policy() -> String {
    sh(&format!("sysctl -n {POLICY}")).trim().to_owned()
}

gateway_tests! {
    async fn the_settings_of_the_devices_are_in_force(gateway: Gateway) {
        gateway.up(&link(1)).await;
        let values = sh("sysctl -n net.ipv4.conf.nq0.rp_filter net.ipv4.conf.nq0.ignore_routes_with_linkdown \
            net.ipv6.conf.nq0.ignore_routes_with_linkdown net.ipv6.conf.nq0.addr_gen_mode net.ipv6.conf.nq0.accept_ra");
        assert_eq!(values, "0\n1\n1\n1\n0\n");
    }

    async fn a_machine_that_disables_ipv6_by_default_still_has_it_on_our_devices(gateway: Gateway) {
        sh("sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
        gateway.up(&link(2)).await;
        gateway.assert_nothing_left_to_do(&link(2)).await;
    }

    async fn the_value_before_us_is_recorded_before_the_change_and_restored_by_down(gateway: Gateway) {
        sh(&format!("sysctl -qw {POLICY}=2"));
        gateway.up(&link(1)).await;
        assert_eq!(policy(), "1");
        let record = fs::read_to_string(gateway.record()).unwrap();
        assert!(record.contains(POLICY) && record.contains("\"before\": \"2\""), "{record}");
        gateway.down(Protection::Keep).await;
        assert_eq!(policy(), "2");
        assert_eq!(gateway.network.restoration().unwrap(), []);
    }

    async fn the_record_outlives_the_process_that_made_it(gateway: Gateway) {
        gateway.up(&link(1)).await;
        let next = Network::new().unwrap().with_record(gateway.record());
        let steps = next.restoration().unwrap();
        assert!(steps.iter().any(|step| step.to_string() == format!("sysctl -w {POLICY}=0")), "{steps:?}");
    }

    async fn a_value_that_someone_changed_after_us_is_left_alone(gateway: Gateway) {
        gateway.up(&link(1)).await;
        sh(&format!("sysctl -qw {POLICY}=2"));
        let down = gateway.down(Protection::Keep).await;
        assert!(!down.iter().any(|line| line.contains(POLICY)), "{down:?}");
        assert_eq!(policy(), "2");
    }

    async fn a_value_changed_between_the_look_and_the_restoration_is_left_alone(gateway: Gateway) {
        gateway.up(&link(1)).await;
        let steps = gateway.network.restoration().unwrap();
        sh(&format!("sysctl -qw {POLICY}=2"));
        gateway.network.apply_all(&steps).await.unwrap();
        assert_eq!(policy(), "2");
    }

    async fn a_value_that_is_as_good_or_ours_already_is_neither_written_nor_recorded(gateway: Gateway) {
        sh(&format!("sysctl -qw {POLICY}=3 net.ipv6.fib_multipath_hash_policy=1"));
        gateway.up(&link(1)).await;
        assert_eq!(policy(), "3");
        assert!(!gateway.record().exists());
    }

    async fn what_cannot_be_recorded_is_not_changed(gateway: Gateway) {
        let network = Network::new().unwrap().with_record(gateway.record().join("no/such/folder"));
        let refused = network.converge(&link(1), Protection::Keep).await.unwrap_err().to_string();
        assert!(refused.contains("no/such/folder"), "{refused}");
        assert_eq!(policy(), "0");
    }

    async fn without_a_record_a_machine_wide_setting_is_not_touched(_gateway: Gateway) {
        let network = Network::new().unwrap();
        let refused = network.converge(&link(1), Protection::Keep).await.unwrap_err().to_string();
        assert!(refused.contains("record"), "{refused}");
        assert_eq!(policy(), "0");
    }
}
