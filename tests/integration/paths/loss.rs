//! One path goes and comes back, and the other carries on.

use netns_lab::{
    load::{Marker, UdpTrain},
    topology::{UNDERLAY, WAN},
    trial, watch,
};

use super::{ON_SECOND, SECOND, connect_second, give_address, two_paths};
use crate::bed::{Bed, attempt, eventually, ping, run};

/// Takes the second path away at the first gateway.
type Deed = fn(&Bed);
/// Brings it back.
type Undo = fn(&Bed);

/// A deed under traffic: flows go on over the other path, and when that one is gone, too, over the one that came back. No
/// packet leaves in clear.
fn survives(deed: Deed, undo: Undo) {
    trial::run_with_tun(|| {
        let mut bed = two_paths();
        bed.start_all();
        // Of the load, that is: a device that comes up has things to say of itself.
        let marker = Marker::random().expect("a marker");
        let watches = [UNDERLAY, SECOND, WAN].map(|device| {
            let options = watch::Options { marker: Some(marker), ..watch::Options::new(bed.mesh.ports()) };
            watch::Watch::start(bed.gateway(0), device, options).expect("it is watched")
        });
        let before = sessions(&bed);
        deed(&bed);
        eventually("both ends have taken the path's channels out", || up(&bed) == [vec![0, 2], vec![0, 2]]);
        assert_carries_all(&bed, marker);
        assert_eq!(sessions(&bed)[..1], before[..1], "and its channels notice nothing");
        let problem = bed.channels(0)[1]["problem"].as_str().unwrap_or_default().to_owned();
        assert!(!problem.is_empty());
        undo(&bed);
        eventually("the path's channels are back", || up(&bed) == [vec![0, 1, 2, 3], vec![0, 1, 2, 3]]);
        // Only the path that came back is left.
        run(bed.gateway(0), &format!("ip link set {UNDERLAY} down"));
        eventually("packets pass over it", || attempt(bed.host(0), "ping -n -c 1 -W 1 10.2.0.2").0);
        eventually("the others are out", || up(&bed) == [vec![1, 3], vec![1, 3]]);
        assert_carries_all(&bed, marker);
        run(bed.gateway(0), &format!("ip link set {UNDERLAY} up"));
        bed.wait_until_up();
        bed.addresses(1).into_iter().for_each(|to| ping(bed.host(0), to));
        for watch in watches {
            // A watch ends with the device that it watches.
            let report = watch.stop().unwrap_or_default();
            assert_eq!(report.marked, 0, "{:?}", report.clear);
        }
    });
}

/// That flows arrive, all of them: half of them would be lost with the routes over a path that is gone, and a packet now and
/// then may be on a machine that has other things to do.
fn assert_carries_all(bed: &Bed, marker: Marker) {
    let train = UdpTrain::new(bed.host(0), bed.host(1), bed.addresses(1)[0]);
    let train = UdpTrain { flows: 16, rate: 50, marker: Some(marker), ..train };
    let total = train.run().unwrap_or_else(|error| panic!("{error}")).total();
    assert!(total.sent > 0 && total.lost() * 20 < total.sent, "{total:?}");
}

/// The channels that are up at each end.
fn up(bed: &Bed) -> [Vec<u64>; 2] {
    [0, 1].map(|site| {
        let channels = bed.channels(site);
        channels.iter().filter(|it| it["carrier"] == true).filter_map(|it| it["channel"].as_u64()).collect()
    })
}

/// How many sessions the first path's channels had.
fn sessions(bed: &Bed) -> Vec<String> {
    [0, 2].map(|channel| bed.channels(0)[channel]["sessions"].to_string()).into()
}

#[test]
fn a_device_that_is_deleted_and_made_anew_takes_its_path_along_and_brings_it_back() {
    survives(
        |bed| _ = run(bed.gateway(0), &format!("ip link del {SECOND}")),
        |bed| {
            connect_second(bed);
            (0..2).for_each(|site| give_address(bed, site));
        },
    );
}

#[test]
fn a_device_that_is_called_otherwise_for_a_while_takes_its_path_along_and_brings_it_back() {
    survives(
        |bed| _ = run(bed.gateway(0), &format!("ip link set {SECOND} down name other")),
        |bed| {
            run(bed.gateway(0), &format!("ip link set other name {SECOND} up"));
            give_address(bed, 0);
        },
    );
}

#[test]
fn a_device_that_is_set_down_and_up_takes_its_path_along_and_brings_it_back() {
    survives(
        |bed| _ = run(bed.gateway(0), &format!("ip link set {SECOND} down")),
        |bed| {
            run(bed.gateway(0), &format!("ip link set {SECOND} up"));
            // The kernel takes IPv6 addresses away with it.
            give_address(bed, 0);
        },
    );
}

#[test]
fn an_address_that_goes_and_comes_back_takes_its_path_along_and_brings_it_back() {
    survives(
        |bed| _ = run(bed.gateway(0), &format!("ip address del {}/64 dev {SECOND}", ON_SECOND[0])),
        |bed| give_address(bed, 0),
    );
}

#[test]
fn a_gateway_starts_without_the_device_of_a_path_and_uses_it_when_it_comes() {
    trial::run_with_tun(|| {
        let mut bed = two_paths();
        run(bed.gateway(0), &format!("ip link del {SECOND}"));
        for site in 0..2 {
            bed.start(site, bed.mesh.clone());
        }
        eventually("the first path is up", || {
            bed.gateways.iter().all(|gateway| gateway.status().is_ok()) && up(&bed) == [vec![0, 2], vec![0, 2]]
        });
        let alarms = bed.status(0)["alarms"].to_string();
        assert!(alarms.contains("no network device second"), "{alarms}");
        let problem = bed.channels(0)[1]["problem"].to_string();
        assert!(problem.contains("no network device second"), "{problem}");
        connect_second(&bed);
        (0..2).for_each(|site| give_address(&bed, site));
        bed.wait_until_up();
        eventually("there is nothing to say of it any more", || {
            bed.status(0)["alarms"].as_array().is_some_and(Vec::is_empty)
        });
    });
}

/// A restart takes the paths up as the file has them then.
#[test]
fn a_path_lives_on_across_a_restart() {
    trial::run_with_tun(|| {
        let mut bed = two_paths();
        bed.start_all();
        bed.gateways[0].kill().expect("it is killed");
        bed.gateways[0].restart().unwrap_or_else(|error| panic!("{error}"));
        bed.wait_until_up();
        run(bed.gateway(0), &format!("ip link set {UNDERLAY} down"));
        eventually("packets pass over the second path", || attempt(bed.host(0), "ping -n -c 1 -W 1 10.2.0.2").0);
    });
}
