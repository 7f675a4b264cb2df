//! What the plan depends on beside the mesh file: the underlay's MTU.

use std::collections::{BTreeMap, BTreeSet};

use meshtun_config::{ChannelView, Host, LinkView, View};
use meshtun_netlink::{Desired, Network, NetworkError, Route, Way};

use crate::{alarms, prefixes::prefixes, way::way};

/// What the plan depends on and the mesh file does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// The MTU of each link's devices, by the link's name.
    pub(crate) mtus: BTreeMap<String, u16>,
    /// Devices that no route shall lead over: their channels were taken out, and are not back yet.
    pub(crate) withdrawn: BTreeSet<String>,
}

/// The MTU over Ethernet, and what a link gets while the way to its peer is not known.
pub(crate) const USUAL_MTU: u16 = USUAL_UNDERLAY - OVERHEAD;

const USUAL_UNDERLAY: u16 = 1500;

/// What a transport message adds: IPv6 40, UDP 8, header 16, tag 16. Over IPv4 20 less; one figure for both, so that
/// the two ends of a link agree and an underlay may change its family.
const OVERHEAD: u16 = 80;

/// What it adds over IPv4: what a configured MTU must leave room for there.
const OVERHEAD_V4: u16 = 60;

/// The least MTU that a device gets without being told: IPv6's least.
const LEAST_MTU: u16 = 1280;

/// Looks around; what is likely not meant is told in words.
///
/// # Errors
/// If the kernel cannot be asked.
pub(crate) async fn look(network: &Network, view: &View) -> Result<(Surroundings, Vec<String>), NetworkError> {
    let mut warnings = Vec::new();
    let mut surroundings = Surroundings::default();
    for link in &view.links {
        let mtu = link_mtu(link, underlay_mtus(network, link).await?, &mut warnings);
        surroundings.mtus.insert(link.name.clone(), mtu);
    }
    let routes = view.links.iter().flat_map(|link| prefixes(&link.peer)).map(Route::unreachable).collect();
    let actual = network.actual(&Desired { routes, ..Desired::default() }).await?;
    warnings.extend(alarms::all(network, view, &actual).await?);
    Ok((surroundings, warnings))
}

/// The MTUs of the ways that a link's channels take to addresses of the file, and whether they go over IPv4.
async fn underlay_mtus(network: &Network, link: &LinkView) -> Result<Vec<(u16, bool)>, NetworkError> {
    let fixed = |channel: &ChannelView| match channel.remote.as_ref()?.host {
        Host::Address(address) => Some(way(channel, address)),
        Host::Name(_) => None,
    };
    let ways: BTreeSet<Way> = link.channels.iter().filter_map(fixed).collect();
    let mut mtus = Vec::new();
    for way in ways {
        if let Some(mtu) = network.underlay_mtu(&way).await? {
            mtus.push((u16::try_from(mtu).unwrap_or(u16::MAX), way.to.is_ipv4()));
        }
    }
    Ok(mtus)
}

/// The configured MTU, or what the narrowest of the underlay's ways leaves.
fn link_mtu(link: &LinkView, underlay: Vec<(u16, bool)>, warnings: &mut Vec<String>) -> u16 {
    let name = &link.name;
    if let Some(mtu) = link.mtu {
        let tight = underlay.into_iter().find(|(width, v4)| fits(*width, *v4) < mtu);
        warnings.extend(tight.map(|(width, v4)| {
            let most = fits(width, v4);
            format!("link {name}: mtu {mtu} does not fit an underlay of {width} bytes; at most {most} does")
        }));
        return mtu;
    }
    let narrowest = underlay.iter().map(|(width, _)| *width).min().unwrap_or(USUAL_UNDERLAY);
    let mtu = mtu_over(narrowest);
    if mtu < LEAST_MTU {
        warnings.push(format!(
            "link {name}: an underlay of {narrowest} bytes leaves {mtu} for the link; IPv6 needs {LEAST_MTU}"
        ));
    }
    mtu
}

/// The MTU that an underlay of this width leaves, in bytes.
pub(crate) fn mtu_over(underlay: u16) -> u16 {
    underlay.saturating_sub(OVERHEAD).max(LEAST_MTU_V4)
}

/// The least MTU of IPv4 (RFC 791), below which the kernel refuses a device.
const LEAST_MTU_V4: u16 = 68;

fn fits(underlay: u16, v4: bool) -> u16 {
    underlay.saturating_sub(if v4 { OVERHEAD_V4 } else { OVERHEAD })
}

#[cfg(test)]
mod tests {
    use meshtun_config::Mesh;

    use super::*;

    fn link(mtu: &str) -> LinkView {
        let view = crate::fixtures::view(&Mesh::parse("mesh.toml", &crate::fixtures::mesh(mtu)).unwrap());
        view.links.into_iter().next().unwrap()
    }

    fn mtu(configured: &str, underlay: &[(u16, bool)]) -> (u16, usize) {
        let mut warnings = Vec::new();
        let mtu = link_mtu(&link(configured), underlay.to_vec(), &mut warnings);
        (mtu, warnings.len())
    }

    #[test]
    fn the_mtu_is_what_the_narrowest_way_leaves() {
        assert_eq!(mtu("", &[]), (1420, 0));
        assert_eq!(mtu("", &[(1500, true)]), (1420, 0));
        assert_eq!(mtu("", &[(9000, true), (1500, false)]), (1420, 0));
        assert_eq!(mtu("", &[(u16::MAX, false)]), (65_455, 0));
        assert_eq!(mtu("", &[(1300, true)]), (1220, 1));
        assert_eq!(mtu("", &[(100, true)]), (68, 1));
    }

    #[test]
    fn a_configured_mtu_wins_and_is_warned_of_if_it_does_not_fit() {
        assert_eq!(mtu("mtu = 1440", &[(1500, true)]), (1440, 0));
        assert_eq!(mtu("mtu = 1441", &[(1500, true)]), (1441, 1));
        assert_eq!(mtu("mtu = 1440", &[(1500, false)]), (1440, 1));
    }
}
