//! Source ports, chosen by the channel to which the gateway's kernel gives their flows.

use std::{collections::BTreeMap, ops::Range};

use anyhow::{bail, ensure};

use super::super::{
    bed::{Bed, Protocol},
    tool::Path,
};

/// How many ports are tried for a handful of flows.
const TRIED: u16 = 1000;

/// Where flows go, so that the kernel can be asked about them.
#[derive(Clone, Copy)]
pub(super) struct Flows<'a> {
    pub(super) bed: &'a Bed,
    pub(super) path: Path,
    pub(super) protocol: Protocol,
    /// The server's port.
    pub(super) to: u16,
}

impl Flows<'_> {
    /// So many source ports from `first` on, whose flows are spread evenly over all channels, or over all but one, on which
    /// nothing of them comes back, either.
    ///
    /// Even, so that it is not a matter of luck how soon a channel is full. Where there is no tunnel, any ports.
    pub(super) fn even(self, first: u16, count: u16, quiet: Option<&str>) -> anyhow::Result<Vec<u16>> {
        let channels = usize::from(self.bed.subject.channels) - usize::from(quiet.is_some());
        let deal = Deal { count: usize::from(count), channels: channels.max(1) };
        let ports = deal.ports(candidates(first), |port| {
            let there = self.there(port)?;
            let is_quiet = quiet.is_none() || (there.as_deref() != quiet && self.back(port)?.as_deref() != quiet);
            anyhow::Ok(is_quiet.then_some(there))
        })?;
        ensure!(ports.len() == usize::from(count), "the kernel leaves some of the channels without flows");
        Ok(ports)
    }

    /// A source port from `first` on whose flow has one channel both ways, and the channel's device: its devices have the
    /// same name at both ends, where there are several.
    pub(super) fn round(self, first: u16) -> anyhow::Result<(u16, Option<String>)> {
        for port in candidates(first) {
            let there = self.there(port)?;
            if self.bed.subject.channels == 1 || there == self.back(port)? {
                return Ok((port, there));
            }
        }
        bail!("the kernel gives no flow the same channel there and back")
    }

    /// The device on the way to the server.
    fn there(self, port: u16) -> anyhow::Result<Option<String>> {
        self.bed.device_of(self.path, self.protocol, port, self.to)
    }

    /// The device on the way back: the other gateway's kernel chooses by itself.
    fn back(self, port: u16) -> anyhow::Result<Option<String>> {
        self.bed.device_back(self.path, self.protocol, port, self.to)
    }
}

fn candidates(first: u16) -> Range<u16> {
    first..first.saturating_add(TRIED)
}

/// How flows are dealt to channels.
struct Deal {
    count: usize,
    channels: usize,
}

impl Deal {
    /// The first ports that make it even, as far as that goes, of those that have a device.
    fn ports<E>(
        &self,
        candidates: impl Iterator<Item = u16>,
        device_of: impl Fn(u16) -> Result<Option<Option<String>>, E>,
    ) -> Result<Vec<u16>, E> {
        let share = self.count.div_ceil(self.channels);
        let (mut dealt, mut ports) = (BTreeMap::<_, usize>::new(), Vec::new());
        for port in candidates {
            if ports.len() == self.count {
                break;
            }
            let Some(device) = device_of(port)? else { continue };
            let flows = dealt.entry(device).or_default();
            if *flows < share {
                *flows += 1;
                ports.push(port);
            }
        }
        Ok(ports)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Most flows go to the first device; that of some must not be used.
    fn device_of(port: u16) -> Result<Option<Option<String>>, Infallible> {
        let device = [0, 0, 0, 1, 2, 3][usize::from(port % 6)];
        Ok((!port.is_multiple_of(7)).then(|| Some(format!("mt{device}"))))
    }

    fn dealt(deal: &Deal) -> Vec<usize> {
        let ports = deal.ports(0..1000, device_of).unwrap();
        assert!(ports.iter().all(|port| !port.is_multiple_of(7)), "{ports:?}");
        let on = |device: u16| {
            let device = Ok(Some(Some(format!("mt{device}"))));
            ports.iter().filter(|port| device_of(**port) == device).count()
        };
        [0, 1, 2, 3].map(on).to_vec()
    }

    #[test]
    fn every_channel_gets_as_many_flows_as_any_other() {
        assert_eq!(dealt(&Deal { count: 16, channels: 4 }), [4, 4, 4, 4]);
    }

    #[test]
    fn flows_that_cannot_be_even_are_nearly_so() {
        let dealt = dealt(&Deal { count: 18, channels: 4 });
        assert!(dealt.iter().sum::<usize>() == 18 && dealt.iter().all(|flows| (3..=5).contains(flows)), "{dealt:?}");
    }

    #[test]
    fn without_a_tunnel_any_ports_will_do() {
        let deal = Deal { count: 3, channels: 1 };
        assert_eq!(deal.ports(7000..8000, |_| Ok::<_, Infallible>(Some(None))), Ok(vec![7000, 7001, 7002]));
    }

    #[test]
    fn channels_that_get_no_flow_leave_it_short() {
        let deal = Deal { count: 4, channels: 2 };
        assert_eq!(deal.ports(0..1000, |_| Ok::<_, Infallible>(Some(Some("mt0".into())))).unwrap().len(), 2);
    }
}
