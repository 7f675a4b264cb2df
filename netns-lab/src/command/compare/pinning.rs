//! Which channel runs on which processor.
//!
//! Channel i is on processor i at the first gateway and on processor i + 1 at the second, modulo their number: both ends of
//! a channel on different ones, as on machines of their own.

use std::{path::Path, process::Command};

use meshtun_sys::thread::available_cpus;

/// The processors that this process may use.
#[derive(Clone, Debug)]
pub(crate) struct Pinning {
    cpus: Vec<usize>,
}

impl Pinning {
    /// All processors that this process may use.
    pub(crate) fn new() -> Pinning {
        Pinning { cpus: available_cpus() }
    }

    /// The processor of a channel at a gateway, counted from 0.
    pub(crate) fn processor(&self, gateway: usize, channel: u16) -> usize {
        self.cpus[(usize::from(channel) + gateway) % self.cpus.len()]
    }

    /// A program that is bound to a channel's processor at a gateway.
    pub(crate) fn command(&self, program: &Path, gateway: usize, channel: u16) -> Command {
        let mut command = Command::new("taskset");
        command.arg("--cpu-list").arg(self.processor(gateway, channel).to_string()).arg(program);
        command
    }

    /// What meshtun's workers at a gateway are pinned to: one for each processor.
    ///
    /// With fewer channels than workers the two halves of a channel are on different workers, the sending half on the
    /// first: the same order at both ends then has one end's sending half and the other's receiving half apart.
    pub(crate) fn workers(&self, gateway: usize, channels: u16) -> Vec<usize> {
        let shift = if usize::from(channels) < self.cpus.len() { 0 } else { gateway };
        self.cpus.iter().copied().cycle().skip(shift).take(self.cpus.len()).collect()
    }

    /// What was pinned where, for people.
    pub(crate) fn lines(&self) -> Vec<String> {
        let all = self.cpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let [four, one] = [4, 1].map(|channels| [0, 1].map(|gateway| listed(&self.workers(gateway, channels))));
        let [first, second] =
            [0, 1].map(|gateway| listed(&[0, 1, 2, 3].map(|channel| self.processor(gateway, channel))));
        vec![
            format!(
                "Processors: {all}. Channel i of openvpn is pinned to the i-th of them at the first gateway and the next \
                 one at the second (4 channels: {first} and {second}), so that no channel's two ends share one."
            ),
            format!(
                "meshtun pins its workers: `--cpus {}` at the first gateway and `--cpus {}` at the second with 4 channels, \
                 `{}` and `{}` with one, whose two halves are on different workers.",
                four[0], four[1], one[0], one[1]
            ),
            "wireguard-go, boringtun and gotatun spread over all processors by themselves and are not pinned; neither are \
             iperf3 and the other loads."
                .to_owned(),
        ]
    }
}

fn listed(cpus: &[usize]) -> String {
    cpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_channel_are_on_different_processors() {
        for cpus in [vec![0, 1], vec![2, 3, 5, 7]] {
            let pinning = Pinning { cpus };
            assert!((0..16).all(|channel| pinning.processor(0, channel) != pinning.processor(1, channel)));
            let [one, other] = [0, 1].map(|gateway| pinning.workers(gateway, 16));
            assert!(one.iter().zip(&other).all(|(one, other)| one != other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn the_only_channel_s_sending_half_and_its_receiving_half_at_the_other_end_are_apart() {
        let pinning = Pinning { cpus: vec![4, 6] };
        // Workers 0 and 1 have the sending and the receiving half.
        assert_eq!([0, 1].map(|gateway| pinning.workers(gateway, 1)), [[4, 6], [4, 6]]);
    }
}
