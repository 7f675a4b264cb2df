//! Fail closed: carrier, down, unprotect, and at every moment in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use meshtun_netlink::{Network, Protected, Protection, Reach, Route, RouteKind, Sentry};
use meshtun_sys::netns::Namespace;

use crate::support::{THERE, carrier, gateway_tests, link, routes, sh};

gateway_tests! {
    async fn without_carrier_packets_meet_the_unreachable_route_and_with_it_the_channel(gateway: Gateway) {
        gateway.up(&link(2)).await;
        for there in THERE {
            assert_eq!(gateway.way_to(there).await, "Unreachable");
        }
        let up = carrier("nq1");
        for there in THERE {
            assert_eq!(gateway.way_to(there).await, "nq1");
        }
        drop(up);
        // As the daemon's death does.
        for there in THERE {
            gateway.wait_for_way(there, "Unreachable").await;
        }
    }

    async fn when_every_channel_of_the_preferred_gateway_lost_carrier_the_next_metric_is_used(gateway: Gateway) {
        let mut desired = link(2);
        let mut second = link(2);
        for device in &mut second.devices {
            device.name = device.name.replace("nq", "nr");
            device.link_local = "fe80::1:9".parse().unwrap();
        }
        desired.sysctls.extend(second.devices.iter().flat_map(|device| meshtun_netlink::device_sysctls(&device.name)));
        desired.devices.extend(second.devices);
        desired.routes.extend(routes("nr", 2, 7).split_off(2));
        gateway.up(&desired).await;
        let _second = carrier("nr1");
        let first = carrier("nq0");
        for there in THERE {
            assert_eq!(gateway.way_to(there).await, "nq0");
        }
        first.1.set(false).unwrap();
        for there in THERE {
            assert_eq!(gateway.way_to(there).await, "nr1");
        }
        gateway.assert_nothing_left_to_do(&desired).await;
    }

    async fn down_keeps_the_unreachable_routes_and_unprotect_removes_them(gateway: Gateway) {
        gateway.up(&link(2)).await;
        let down = gateway.down(Protection::Keep).await;
        let place = |word: &str| down.iter().position(|line| line.contains(word)).unwrap();
        assert!(place("ip route del") < place("ip link delete"), "{down:?}");
        assert!(place("ip link delete") < place("sysctl"), "{down:?}");
        assert_eq!(gateway.network.device("nq0").await.unwrap(), None);
        for there in THERE {
            assert_eq!(gateway.way_to(there).await, "Unreachable");
        }
        assert_eq!(gateway.down(Protection::Keep).await, Vec::<String>::new());
        gateway.down(Protection::Lift).await;
        for there in THERE {
            assert_eq!(gateway.way_to(there).await, "wan0");
        }
        assert_eq!(sh("ip route show proto 109; ip -6 route show proto 109"), "");
    }

    async fn unreachable_routes_that_somebody_flushes_are_back_before_anybody_looks_until_the_sentry_stands_down(
        gateway: Gateway
    ) {
        let mut desired = link(1);
        let prefixes: Vec<_> = desired.routes[..2].iter().map(|route| route.prefix).collect();
        desired.routes.extend(prefixes.iter().map(|prefix| Route::guard(*prefix)));
        gateway.up(&desired).await;
        let protected = Protected::default();
        protected.set(prefixes.clone());
        let sentry = Sentry::start(protected.clone()).unwrap();
        let flush = "ip route flush root 10.202.0.0/16; ip -6 route flush root fd00:202::/48";
        let unreachable = "(ip route; ip -6 route) | grep -c '^unreachable .*proto 1[01]'";
        let count = async |flush: &'static str, wanted: &'static str, what: &str| {
            // In a thread, so that this runtime goes on meanwhile, as the daemon's does.
            let namespace = meshtun_sys::netns::Namespace::current().unwrap();
            tokio::task::spawn_blocking(move || namespace.run_in(|| sh(flush)).unwrap()).await.unwrap();
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
            while sh(&format!("{unreachable} || true")).trim() != wanted {
                assert!(std::time::Instant::now() < deadline, "{what}: {}", sh("ip route; ip -6 route"));
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        for _ in 0..20 {
            count(flush, "4", "all come back").await;
        }
        protected.set([prefixes[1]]);
        count(flush, "2", "what is no longer protected stays away").await;
        sentry.stand_down().await;
        count(flush, "0", "none comes back").await;
    }

    async fn a_network_dropped_from_the_file_stays_protected(gateway: Gateway) {
        gateway.up(&link(1)).await;
        let mut without = link(1);
        without.routes.retain(|route| route.prefix.addr().is_ipv6());
        gateway.up(&without).await;
        gateway.assert_nothing_left_to_do(&without).await;
        assert_eq!(gateway.way_to(THERE[0]).await, "Unreachable");
    }

    async fn at_no_moment_of_any_change_does_a_packet_leave_by_the_default_route(gateway: Gateway) {
        gateway.up(&link(1)).await;
        let watchers = THERE.map(|there| Watcher::start(there, |reach| *reach == Reach::Unreachable || is_channel(reach)));
        for channels in [3, 1, 4, 2, 0, 2] {
            gateway.up(&link(channels)).await;
        }
        gateway.down(Protection::Keep).await;
        watchers.into_iter().for_each(Watcher::assert_no_surprise);
    }

    async fn while_a_route_is_replaced_the_channels_that_have_carrier_go_on_carrying(gateway: Gateway) {
        gateway.up(&link(3)).await;
        let _up = carrier("nq1");
        let watchers = THERE.map(|there| Watcher::start(there, is_channel));
        for weight in (1..100).map(|turn| 1 + turn % 2) {
            let mut desired = link(3);
            for route in &mut desired.routes {
                let RouteKind::Multipath { nexthops, .. } = &mut route.kind else { continue };
                nexthops[0].weight = weight;
            }
            gateway.up(&desired).await;
        }
        watchers.into_iter().for_each(Watcher::assert_no_surprise);
    }
}

fn is_channel(reach: &Reach) -> bool {
    matches!(reach, Reach::Device { name, .. } if name.starts_with("nq"))
}

/// A thread that looks a route up until told to stop.
struct Watcher {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(usize, Vec<Reach>)>,
}

impl Watcher {
    fn start(there: &'static str, expected: fn(&Reach) -> bool) -> Watcher {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let work = move || watch(there, expected, &told);
        let thread = Namespace::current().unwrap().spawn_in("watch", work).unwrap();
        Watcher { stop, thread }
    }

    fn assert_no_surprise(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (looks, surprises) = self.thread.join().unwrap();
        assert!(looks > 50, "only {looks} looks");
        assert_eq!(surprises, Vec::<Reach>::new(), "in {looks} looks");
    }
}

/// How often it looked, and the answers that were not expected.
fn watch(there: &str, expected: fn(&Reach) -> bool, stop: &AtomicBool) -> (usize, Vec<Reach>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let network = Network::new().unwrap();
        let look = async || network.route_to(there.parse().unwrap(), None).await.unwrap();
        let (mut looks, mut surprises) = (0, Vec::new());
        while !stop.load(Ordering::Relaxed) {
            looks += 1;
            let mut reach = look().await;
            if reach == Reach::NoRoute {
                // A device that was deleted between the answer and the question for its name.
                reach = look().await;
            }
            surprises.extend((!expected(&reach)).then_some(reach));
        }
        (looks, surprises)
    })
}
