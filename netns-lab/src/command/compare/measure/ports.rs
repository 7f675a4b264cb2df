//! Source ports, chosen by the channel to which the gateway's kernel gives their flows.

use std::collections::BTreeMap;

use anyhow::ensure;

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
    /// So many source ports from `first` on, whose flows are spread evenly over all channels, or over all but one.
    ///
    /// Even, so that it is not a matter of luck how soon a channel is full. Where there is no tunnel, any ports.
    pub(super) fn even(self, first: u16, count: u16, but: Option<&str>) -> anyhow::Result<Vec<u16>> {
        let channels = usize::from(self.bed.subject.channels) - usize::from(but.is_some());
        let deal = Deal { count: usize::from(count), channels: channels.max(1), but };
        let ports = deal.ports(first..first.saturating_add(TRIED), |port| self.device_of(port))?;
        ensure!(ports.len() == usize::from(count), "the kernel leaves some of the channels without flows");
        Ok(ports)
    }

    /// The device of the flow from a source port.
    pub(super) fn device_of(self, port: u16) -> anyhow::Result<Option<String>> {
        self.bed.device_of(self.path, self.protocol, port, self.to)
    }
}

/// How flows are dealt to channels.
struct Deal<'a> {
    count: usize,
    channels: usize,
    /// The device that gets none.
    but: Option<&'a str>,
}

impl Deal<'_> {
    /// The first ports that make it even, as far as that goes.
    fn ports<E>(
        &self,
        candidates: impl Iterator<Item = u16>,
        device_of: impl Fn(u16) -> Result<Option<String>, E>,
    ) -> Result<Vec<u16>, E> {
        let share = self.count.div_ceil(self.channels);
        let (mut dealt, mut ports) = (BTreeMap::<_, usize>::new(), Vec::new());
        for port in candidates {
            if ports.len() == self.count {
                break;
            }
            let device = device_of(port)?;
            if self.but.is_some() && device.as_deref() == self.but {
                continue;
            }
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

    /// Most flows go to the first device.
    fn device_of(port: u16) -> Result<Option<String>, Infallible> {
        Ok(Some(format!("mt{}", [0, 0, 0, 1, 2, 3][usize::from(port % 6)])))
    }

    fn dealt(deal: &Deal<'_>) -> Vec<usize> {
        let ports = deal.ports(0..1000, device_of).unwrap();
        let on = |device: u16| ports.iter().filter(|port| device_of(**port) == Ok(Some(format!("mt{device}")))).count();
        [0, 1, 2, 3].map(on).to_vec()
    }

    #[test]
    fn every_channel_gets_as_many_flows_as_any_other() {
        assert_eq!(dealt(&Deal { count: 16, channels: 4, but: None }), [4, 4, 4, 4]);
    }

    #[test]
    fn a_channel_can_be_left_without_flows() {
        let dealt = dealt(&Deal { count: 16, channels: 3, but: Some("mt2") });
        assert_eq!((dealt[2], dealt.iter().sum::<usize>()), (0, 16), "{dealt:?}");
        assert!(dealt.iter().max() == Some(&6), "{dealt:?}");
    }

    #[test]
    fn without_a_tunnel_any_ports_will_do() {
        let deal = Deal { count: 3, channels: 1, but: None };
        assert_eq!(deal.ports(7000..8000, |_| Ok::<_, Infallible>(None)), Ok(vec![7000, 7001, 7002]));
    }

    #[test]
    fn channels_that_get_no_flow_leave_it_short() {
        let deal = Deal { count: 4, channels: 2, but: None };
        assert_eq!(deal.ports(0..1000, |_| Ok::<_, Infallible>(Some("mt0".into()))).unwrap().len(), 2);
    }
}
