//! What is measured on a bed, and how.
//!
//! | module | what it measures |
//! |---|---|
//! | [`tcp`] | iperf3 with cubic: throughput, retransmissions, processor time |
//! | [`udp`], [`search`] | our own datagrams: the highest rate without loss, what a datagram costs at a given rate |
//! | [`rtt`] | an echo at a steady pace, alone and beside 16 TCP flows |
//! | [`memory`], [`kernel`] | what the subject's processes hold, and what the kernel counts of its sockets |

mod kernel;
mod memory;
mod ports;
mod rtt;
mod search;
mod tcp;
mod udp;

use std::time::Duration;

use super::{
    bed::Bed,
    tool::{Path, Subject, Tool},
};

/// TCP flows that load a tunnel while its round trips are measured; UDP flows that share a rate.
const FLOWS: u16 = 16;

/// Datagrams a second of all flows together where the rate is given.
pub(crate) const PACED: u32 = 60_000;

/// Something to measure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Test {
    /// How much so many TCP streams carry together, to the server or from it.
    Tcp {
        /// How many.
        streams: usize,
        /// From the server to the client.
        reverse: bool,
    },
    /// The highest rate of datagrams with so much payload of which under 0.1 % are lost.
    UdpHighest {
        /// Payload of a datagram.
        bytes: usize,
    },
    /// What a datagram costs at a rate that is no load.
    UdpPaced {
        /// Payload of a datagram.
        bytes: usize,
        /// How many flows share the rate.
        flows: u16,
        /// Datagrams a second, all flows together.
        rate: u32,
    },
    /// Round trips while nothing else is carried.
    RttIdle,
    /// Round trips beside 16 TCP flows.
    RttLoaded {
        /// On a channel that carries such flows, or on one that carries none.
        same_channel: bool,
    },
    /// What the subject's processes at the first gateway hold; meant to be the last on a bed.
    Memory,
}

/// What a test gave. One test may give several.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Figure {
    /// The test's name, with what of it this is: `rtt-idle-p99`.
    pub(crate) test: String,
    /// How much.
    pub(crate) value: f64,
    /// Of what.
    pub(crate) unit: &'static str,
    /// Busy seconds of the whole machine for each 10⁹ bytes of payload that were received, where that is known.
    pub(crate) cpu_seconds_per_gb: Option<f64>,
    /// What the subject did meanwhile that it should not: the kernel counts it.
    pub(crate) complaints: Vec<String>,
    /// What a reader of the figure should know, which says nothing about the subject.
    pub(crate) notes: Vec<String>,
}

/// Measures, and remembers what shortens the next measurement of the same kind.
#[derive(Default)]
pub(crate) struct Measuring {
    rates: udp::Rates,
}

impl Test {
    /// Everything.
    pub(crate) const ALL: &[Test] = &[
        Test::RttIdle,
        Test::Tcp { streams: 1, reverse: false },
        Test::Tcp { streams: 1, reverse: true },
        Test::Tcp { streams: 16, reverse: false },
        Test::Tcp { streams: 16, reverse: true },
        Test::RttLoaded { same_channel: true },
        Test::RttLoaded { same_channel: false },
        Test::UdpPaced { bytes: 64, flows: FLOWS, rate: PACED },
        Test::UdpHighest { bytes: 64 },
        Test::UdpHighest { bytes: 300 },
        Test::UdpHighest { bytes: 1300 },
        Test::Memory,
    ];

    /// Its name on the command line, with which its figures' names begin.
    pub(crate) fn name(&self) -> String {
        match *self {
            Test::Tcp { streams, reverse: false } => format!("tcp-{streams}"),
            Test::Tcp { streams, reverse: true } => format!("tcp-{streams}-reverse"),
            Test::UdpHighest { bytes } => format!("udp-{bytes}-highest"),
            Test::UdpPaced { bytes, .. } => format!("udp-{bytes}-paced"),
            Test::RttIdle => "rtt-idle".into(),
            Test::RttLoaded { same_channel: true } => "rtt-loaded".into(),
            Test::RttLoaded { same_channel: false } => "rtt-loaded-other-channel".into(),
            Test::Memory => "memory".into(),
        }
    }

    /// Whether it says anything about this subject.
    pub(crate) fn is_for(&self, subject: &Subject) -> bool {
        match self {
            Test::RttLoaded { same_channel: false } => subject.channels > 1,
            Test::Memory => subject.tool != Tool::Bare,
            _ => true,
        }
    }

    /// About how long it takes when so much time is given to what is measured.
    pub(crate) fn takes(&self, seconds: Duration) -> Duration {
        match self {
            Test::Tcp { .. } => tcp::OMITTED + seconds + Duration::from_millis(300),
            // Some ten tries, fewer in later rounds.
            Test::UdpHighest { .. } => seconds + 8 * (udp::TRY + udp::PATIENCE),
            Test::UdpPaced { .. } => seconds + udp::PATIENCE,
            Test::RttIdle => seconds + Duration::from_millis(100),
            Test::RttLoaded { .. } => rtt::WARM_UP + seconds + Duration::from_millis(500),
            Test::Memory => Duration::ZERO,
        }
    }
}

impl Measuring {
    /// Runs one test on a path of a bed, with so much time for what is measured. It takes a little longer, see
    /// [`Test::takes`].
    ///
    /// # Errors
    /// If nothing could be measured: the server cannot be reached, iperf3 failed, no rate is carried without loss.
    pub(crate) fn measure(
        &mut self,
        bed: &Bed,
        path: Path,
        test: &Test,
        seconds: Duration,
    ) -> anyhow::Result<Vec<Figure>> {
        let name = test.name();
        match *test {
            Test::Tcp { streams, reverse } => tcp::measure(bed, path, &name, tcp::Load { streams, reverse, seconds }),
            Test::UdpHighest { bytes } => self.rates.highest(bed, path, &name, bytes, seconds),
            Test::UdpPaced { bytes, flows, rate } => {
                udp::paced(bed, path, &name, udp::Paced { bytes, flows, rate }, seconds)
            }
            Test::RttIdle => rtt::idle(bed, path, &name, seconds),
            Test::RttLoaded { same_channel } => rtt::loaded(bed, path, &name, same_channel, seconds),
            Test::Memory => memory::measure(&bed.processes(), &name),
        }
    }
}

impl Figure {
    /// One without processor time and complaints.
    fn new(test: impl Into<String>, value: f64, unit: &'static str) -> Figure {
        Figure { test: test.into(), value, unit, cpu_seconds_per_gb: None, complaints: Vec::new(), notes: Vec::new() }
    }
}

/// How it is measured, for the report.
pub(crate) fn method() -> Vec<String> {
    [
        "TCP: iperf3 with `--congestion cubic`; the first second does not count; payload received; ← is from the server to \
         the client.",
        "CPU s/GB: busy seconds of all processors of the machine, so both gateways, both hosts and iperf3, for each 10⁹ \
         bytes of payload received in the same time.",
        "Round trips: 200 datagrams of 64 bytes a second, sent back by the server; alone, beside 16 TCP flows (cubic) on \
         all channels, and beside 16 TCP flows on all channels but the one of these datagrams. Between the gateways the \
         flows are spread evenly; those of hosts fall as they fall, because a host in a namespace of the same machine lends \
         the gateway's kernel a random hash for each connection.",
        "Datagrams: 16 flows, spread over the channels in the same way; one call a datagram to send and one to receive, without \
         trains; a receive buffer of 4 MiB; a sender that was held up catches up at twice its rate. The highest rate is \
         searched by tries of 1 s, to 5 %, and confirmed by one that lasts: under 0.1 % lost.",
        "Memory: resident memory of all processes of the tool at the first gateway, after the other tests and at its peak.",
    ]
    .map(str::to_owned)
    .into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_test_has_a_name_of_its_own() {
        let names: BTreeSet<_> = Test::ALL.iter().map(Test::name).collect();
        assert_eq!(names.len(), Test::ALL.len());
        assert!(names.contains("tcp-16-reverse") && names.contains("rtt-loaded-other-channel"), "{names:?}");
    }
}
