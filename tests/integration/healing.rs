//! What others do to devices, routes, addresses and settings under a running gateway: it is put back or lived with, under
//! traffic, and nothing leaves in clear on the underlay or by the default route.

mod addresses;
mod devices;
mod routes;
mod underlay;

use std::{thread, time::Duration};

use netns_lab::{
    load::UdpTrain,
    topology::{Options, Shape, UNDERLAY, WAN},
    watch::{self, Watch},
};

use crate::bed::{Bed, comes_true, eventually, ping};
use crate::kernel::{Route, our_routes};

/// A bed of two gateways with a default route that would take what a link does not.
pub(crate) fn with_internet(channels: u16) -> Bed {
    let mut bed = Bed::quiet(Shape::TwoGateways, channels, &Options { internet: true, ..Options::default() });
    bed.start_all();
    bed
}

/// As [`leaks_under_traffic`], and no packet has left in clear.
fn under_traffic(bed: &mut Bed, deed: impl FnOnce(&mut Bed)) {
    let (_, clear) = leaks_under_traffic(bed, deed);
    assert_eq!(clear, 0, "packets left in clear");
}

/// Does something while packets go both ways, IPv4 and IPv6. Afterwards the routes of the first gateway are as before, and
/// hosts reach each other. Gives how many packets were sent, and how many of them left in clear.
fn leaks_under_traffic(bed: &mut Bed, deed: impl FnOnce(&mut Bed)) -> (u64, u64) {
    let mut sent = 0;
    let watches = [UNDERLAY, WAN].map(|device| {
        let options = watch::Options::new(bed.mesh.ports());
        Watch::start(bed.gateway(0), device, options).expect("the device can be watched")
    });
    let routes = routes(bed);
    let trains: Vec<UdpTrain> = [(0, 1), (1, 0)]
        .into_iter()
        .flat_map(|(from, to)| bed.addresses(to).map(|address| (from, to, address)))
        .map(|(from, to, address)| UdpTrain {
            flows: 16,
            rate: 50,
            duration: Duration::from_secs(1),
            ..UdpTrain::new(bed.host(from), bed.host(to), address)
        })
        .collect();
    thread::scope(|scope| {
        let sending: Vec<_> = trains.iter().map(|train| scope.spawn(|| train.run())).collect();
        deed(bed);
        for sending in sending {
            let report = sending.join().expect("a load does not panic").unwrap_or_else(|error| panic!("{error}"));
            assert!(report.total().sent > 0, "the load ran");
            sent += report.total().sent;
        }
    });
    bed.wait_until_up();
    eventually("the routes are as before", || self::routes(bed) == routes);
    for (from, to) in [(0, 1), (1, 0)] {
        bed.addresses(to).into_iter().for_each(|to| ping(bed.host(from), to));
    }
    let reports = watches.map(|watch| watch.stop().expect("nothing was missed"));
    (sent, reports.iter().map(|report| report.clear_packets).sum())
}

/// The first gateway's routes; the order of nexthops is the kernel's business.
fn routes(bed: &Bed) -> Vec<Route> {
    let mut routes = our_routes(bed.gateway(0));
    routes.iter_mut().for_each(|route| route.legs.sort());
    routes
}

/// Waits until the first gateway has written this to its log.
fn wait_for_word(bed: &Bed, word: &str) {
    let log = || bed.gateways[0].log();
    let said = comes_true(|| log().contains(word));
    assert!(said, "the log does not say {word:?}, but:\n{}", log());
}

/// The alarms in the first gateway's status that contain this.
fn alarms(bed: &Bed, word: &str) -> usize {
    let status = bed.status(0);
    let alarms = status["alarms"].as_array().expect("status lists the alarms");
    alarms.iter().filter(|alarm| alarm.as_str().is_some_and(|alarm| alarm.contains(word))).count()
}
