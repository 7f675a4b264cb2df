//! Which way datagrams take through the underlay.

use std::net::IpAddr;

use meshtun_config::ChannelView;
use meshtun_netlink::Way;

/// The way that a channel's datagrams take to this address of its peer.
pub(crate) fn way(channel: &ChannelView, to: IpAddr) -> Way {
    let from = Some(channel.local.ip()).filter(|from| !from.is_unspecified() && from.is_ipv4() == to.is_ipv4());
    Way { to, from, device: channel.underlay_device.clone() }
}
