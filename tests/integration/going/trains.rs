//! Numbered datagrams through a link in both directions and both families at once, while something is done to it.

use std::{thread, time::Duration};

use netns_lab::{
    load::{UdpFlow, UdpReport, UdpTrain},
    topology::{Family, Shape},
};

use crate::bed::Bed;

/// Two gateways that take no channel for dead because the machine stood still for a while: what is lost is lost by what the
/// test does.
pub(crate) fn patient(channels: u16) -> Bed {
    Bed::new(Shape::TwoGateways, channels, Family::V4, |mesh| {
        mesh.defaults.push(("probe".into(), "{ interval = \"250ms\", down_after = 40 }".into()));
    })
}

/// A train of 1,000 datagrams a second from each host to the other's addresses, 16 flows each: enough that every channel
/// carries some.
pub(crate) fn trains(bed: &Bed, duration: Duration) -> Vec<UdpTrain> {
    let both = [(0, 1), (1, 0)];
    let train = |(from, to): (usize, usize)| {
        bed.addresses(to).map(|address| UdpTrain {
            flows: 16,
            rate: 1000 / 16,
            duration,
            patience: Duration::from_secs(1),
            ..UdpTrain::new(bed.host(from), bed.host(to), address)
        })
    };
    both.into_iter().flat_map(train).collect()
}

/// Sends them, and does something when they run.
pub(crate) fn under_trains<T>(bed: &Bed, duration: Duration, act: impl FnOnce() -> T) -> (Vec<UdpReport>, T) {
    let trains = trains(bed, duration);
    thread::scope(|scope| {
        let sending: Vec<_> = trains.iter().map(|train| scope.spawn(|| train.run())).collect();
        thread::sleep(duration / 4);
        let done = act();
        let reports = sending
            .into_iter()
            .map(|sending| sending.join().expect("a load does not panic").unwrap_or_else(|error| panic!("{error}")));
        (reports.collect(), done)
    })
}

/// That every datagram that was sent came.
pub(crate) fn assert_nothing_lost(what: &str, reports: &[UdpReport]) {
    for report in reports {
        let UdpFlow { sent, received, refused, longest_gap, .. } = report.total();
        assert!(sent > 0, "{what}: the load ran");
        assert_eq!((sent - received, refused), (0, 0), "{what}: of {sent}, the longest gap {longest_gap:?}");
    }
}
