//! Rights, a gateway's namespace, a link's desired state.

use std::env;
use std::future::Future;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use meshtun_netlink::{
    Desired, Device, Network, Nexthop, Protection, Reach, Route, RouteKind, Step, device_sysctls, difference,
    ecmp_sysctls, multipath_metric,
};
use meshtun_sys::capability::{self, Capability};
use meshtun_sys::netns::{self, Namespace};
use meshtun_sys::tun::{self, CarrierSwitch, Tun};

/// Set in the child that runs one test inside a user namespace.
const INSIDE: &str = "MESHTUN_TEST_INSIDE";

/// Makes skipped tests fail.
const REQUIRE: &str = "MESHTUN_REQUIRE_NETNS";

/// Declares tests, each on a thread of its own in a fresh [`Gateway`].
macro_rules! gateway_tests {
    ($($(#[$meta:meta])* async fn $name:ident($gateway:ident: Gateway) $body:block)*) => {$(
        $(#[$meta])*
        #[test]
        fn $name() {
            $crate::support::in_gateway(
                concat!(module_path!(), "::", stringify!($name)),
                async |$gateway: $crate::support::Gateway| $body,
            );
        }
    )*};
}
pub(crate) use gateway_tests;

/// Runs `test` here if this process may make namespaces, otherwise in a child that entered a user namespace.
pub(crate) fn in_gateway<F: Future<Output = ()>>(path: &str, test: impl FnOnce(Gateway) -> F + Send) {
    // The harness knows the test without the crate's name.
    let (_, name) = path.split_once("::").expect("a module's path begins with its crate");
    if may_make_namespaces() {
        match tun::access() {
            Ok(()) => in_fresh_namespace(test),
            Err(refused) => cannot(name, &refused.to_string()),
        }
    } else if env::var_os(INSIDE).is_some() {
        cannot(name, "root of a user namespace, and still not allowed to make network namespaces");
    } else {
        in_user_namespace(name);
    }
}

fn in_fresh_namespace<F: Future<Output = ()>>(test: impl FnOnce(Gateway) -> F + Send) {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { test(Gateway::new()).await });
    };
    Namespace::new().unwrap().run_in(run).unwrap();
}

fn in_user_namespace(name: &str) {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args([name, "--exact", "--nocapture"]).env(INSIDE, "1");
    netns::command_in_user_namespace(&mut child);
    match child.output() {
        Err(refused) => cannot(name, &format!("not root, and no user namespace: {refused}")),
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text);
            assert!(output.status.success(), "in a user namespace:\n{text}");
            assert!(text.contains("1 passed"), "the child ran no test:\n{text}");
            text.lines().filter(|line| line.starts_with("NOT TESTED")).for_each(say);
        }
    }
}

fn may_make_namespaces() -> bool {
    [Capability::SysAdmin, Capability::NetAdmin].into_iter().all(|capability| capability::has(capability).unwrap())
}

fn cannot(name: &str, reason: &str) {
    assert!(env::var_os(REQUIRE).is_none_or(|value| value != "1"), "{name} cannot run: {reason}");
    say(&format!("NOT TESTED: {name}: {reason}"));
}

/// To standard error itself, which the harness does not swallow.
fn say(line: &str) {
    io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// The calling thread's fresh namespace, with the gateway's own addresses on loopback and a default route into `wan0`.
pub(crate) struct Gateway {
    pub(crate) network: Network,
    folder: tempfile::TempDir,
}

impl Gateway {
    fn new() -> Gateway {
        sh("ip link set lo up
            ip address add 10.207.0.1/32 dev lo
            ip address add fd00:207::1/128 dev lo
            ip tuntap add dev wan0 mode tun
            ip link set wan0 up
            ip route add default dev wan0
            ip -6 route add default dev wan0");
        let folder = tempfile::tempdir().unwrap();
        let network = Network::new().unwrap().with_record(folder.path().join("sysctls.json"));
        Gateway { network, folder }
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.folder.path().join("sysctls.json")
    }

    /// Converges; the commands of what was done.
    pub(crate) async fn up(&self, desired: &Desired) -> Vec<String> {
        let steps = self.network.converge(desired, Protection::Keep).await.unwrap_or_else(|error| panic!("{error}"));
        lines(&steps)
    }

    pub(crate) async fn down(&self, protection: Protection) -> Vec<String> {
        let steps = self.network.teardown(protection).await.unwrap();
        self.network.apply_all(&steps).await.unwrap_or_else(|error| panic!("{error}"));
        lines(&steps)
    }

    pub(crate) async fn steps(&self, desired: &Desired) -> Vec<Step> {
        difference(desired, &self.network.actual(desired).await.unwrap(), Protection::Keep).unwrap()
    }

    pub(crate) async fn assert_nothing_left_to_do(&self, desired: &Desired) {
        assert_eq!(lines(&self.steps(desired).await), Vec::<String>::new());
    }

    /// The device that the kernel would send by, or what it would do else.
    pub(crate) async fn way_to(&self, to: &str) -> String {
        match self.network.route_to(to.parse().unwrap(), None).await.unwrap() {
            Reach::Device { name, .. } => name,
            other => format!("{other:?}"),
        }
    }

    /// Waits, at most five seconds, until the kernel has acted on a change of carrier.
    pub(crate) async fn wait_for_way(&self, there: &str, way: &str) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.way_to(there).await != way {
            assert!(Instant::now() < deadline, "no way to {there} by {way} but {}", self.way_to(there).await);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

pub(crate) fn lines(steps: &[Step]) -> Vec<String> {
    steps.iter().map(ToString::to_string).collect()
}

/// Hosts of the other site.
pub(crate) const THERE: [&str; 2] = ["10.202.3.4", "fd00:202::5"];

/// A link `nq` to a site with an IPv4 and an IPv6 network, with this many channels.
pub(crate) fn link(channels: u16) -> Desired {
    let numbers = 0..channels;
    let devices: Vec<Device> = numbers.map(device).collect();
    let sysctls = devices.iter().flat_map(|device| device_sysctls(&device.name)).chain(ecmp_sysctls()).collect();
    Desired { routes: routes("nq", channels, 0), devices, sysctls }
}

fn device(channel: u16) -> Device {
    Device {
        name: format!("nq{channel}"),
        alias: Device::alias_of("nq", channel),
        mtu: 1420,
        txqueuelen: 500,
        link_local: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, channel),
        qdisc: None,
        held_down: false,
    }
}

pub(crate) fn routes(name: &str, channels: u16, priority: u32) -> Vec<Route> {
    let prefixes = ["10.202.0.0/16", "fd00:202::/48"].map(|prefix| prefix.parse().unwrap());
    let sources = ["10.207.0.1", "fd00:207::1"].map(|address| address.parse::<IpAddr>().unwrap());
    let multipath = |v6: bool| RouteKind::Multipath {
        nexthops: (0..channels).map(|channel| nexthop(name, channel, v6)).collect(),
        src: Some(sources[usize::from(v6)]),
    };
    let metric = multipath_metric(priority);
    vec![
        Route::unreachable(prefixes[0]),
        Route::unreachable(prefixes[1]),
        Route { prefix: prefixes[0], metric, kind: multipath(false) },
        Route { prefix: prefixes[1], metric, kind: multipath(true) },
    ]
}

fn nexthop(name: &str, channel: u16, v6: bool) -> Nexthop {
    let via = v6.then(|| IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 2, channel)));
    Nexthop { device: format!("{name}{channel}"), via, weight: 1 }
}

/// Attaches as the daemon does and takes carrier up; carrier goes when both are dropped.
pub(crate) fn carrier(device: &str) -> (Tun, CarrierSwitch) {
    let tun = Tun::attach(device).unwrap();
    let switch = tun.carrier().unwrap();
    switch.set(true).unwrap();
    // The kernel acts on a gain a moment later, or at once where somebody asks for the device.
    sh(&format!("ip link show dev {device}"));
    (tun, switch)
}

/// Runs lines in a shell in the calling thread's namespace, up to the first that fails; what they print.
pub(crate) fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-e", "-c", script]).output().unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
