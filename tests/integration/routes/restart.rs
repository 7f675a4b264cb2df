//! The daemon ends, by a signal or a crash, and starts again.

use std::{thread, time::Duration};

use netns_lab::{
    gateway::Gateway,
    load::UdpTrain,
    topology::{Options, Shape, WAN},
    trial,
    watch::{self, Watch},
};

use crate::bed::{Bed, PATIENCE, assert_unreachable, eventually, ping};
use crate::kernel::{our_devices, our_routes};

#[test]
fn after_sigterm_devices_and_routes_stay_without_carrier_and_a_start_takes_them_up_again() {
    trial::run_with_tun(|| {
        end_and_start_again(|gateway| {
            let status = gateway.stop(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(status.code(), Some(0), "a clean stop");
        });
    });
}

#[test]
fn after_a_crash_devices_and_routes_stay_without_carrier_and_a_start_takes_them_up_again() {
    trial::run_with_tun(|| {
        end_and_start_again(|gateway| {
            gateway.kill().unwrap_or_else(|error| panic!("{error}"));
        });
    });
}

/// Under traffic, with a default route that would take it.
fn end_and_start_again(end: impl FnOnce(&mut Gateway) + Send) {
    let mut bed = Bed::quiet(Shape::TwoGateways, 4, &Options { internet: true, ..Options::default() });
    bed.start_all();
    let watch = Watch::start(bed.gateway(0), WAN, watch::Options::new(bed.mesh.ports())).expect("it is there");
    let (routes, devices) = (our_routes(bed.gateway(0)), our_devices(bed.gateway(0)));
    assert_eq!((routes.len(), devices.len()), (4, 4));

    let trains = bed.addresses(1).map(|to| UdpTrain {
        flows: 16,
        rate: 50,
        duration: Duration::from_millis(500),
        ..UdpTrain::new(bed.host(0), bed.host(1), to)
    });
    thread::scope(|scope| {
        let sending = trains.each_ref().map(|train| scope.spawn(|| train.run()));
        end(&mut bed.gateways[0]);
        for sending in sending {
            let report = sending.join().expect("a load does not panic").unwrap_or_else(|error| panic!("{error}"));
            assert!(report.total().sent > 0, "the load ran");
        }
    });

    eventually("no device has carrier", || carriers(&bed) == 0);
    assert_eq!(our_routes(bed.gateway(0)), routes, "routes stay");
    assert_eq!(our_devices(bed.gateway(0)), devices, "devices stay");
    for to in bed.addresses(1) {
        assert_unreachable(bed.host(0), to);
    }

    bed.gateways[0].restart().unwrap_or_else(|error| panic!("{error}"));
    bed.wait_until_up();
    assert_eq!(our_devices(bed.gateway(0)), devices, "they are the same devices");
    assert_eq!(our_routes(bed.gateway(0)), routes);
    for (from, to) in [(0, 1), (1, 0)] {
        bed.addresses(to).into_iter().for_each(|to| ping(bed.host(from), to));
    }
    let report = watch.stop().expect("nothing was missed");
    assert_eq!(report.clear_packets, 0, "{report:?}");
}

/// How many of the first gateway's devices have carrier.
fn carriers(bed: &Bed) -> usize {
    let devices = bed.gateways[0].devices();
    devices.iter().filter(|device| bed.gateway(0).is_running(device).expect("the node can be entered")).count()
}
