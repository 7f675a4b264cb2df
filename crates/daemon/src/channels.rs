//! Channels made from the view: sockets, devices, halves, conversations.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use meshtun_config::{ChannelView, Cipher, Host, LinkView, Probe, RemoteEndpoint, View};
use meshtun_dataplane::{
    ChannelId, ChannelParts as Halves, ClampMss, Command, Counters, DataPlane, Filter, Format, Transport,
};
use meshtun_proto::{
    Suite,
    channel::{Channel as Conversation, ChannelConfig, Peer, liveness::Settings},
};
use meshtun_sys::{
    tun::Tun,
    udp::{BindError, Udp, UdpOptions},
};
use zeroize::Zeroizing;

use crate::{
    Error, Gateway,
    carrier::Carrier,
    kept::{self, KeptSockets},
    keys::random_bytes,
    notify::Notifier,
    prefixes::{local_prefixes, prefixes},
    surroundings::Surroundings,
    view,
};

/// What a running channel is made of.
pub(crate) struct ChannelParts {
    pub(crate) id: ChannelId,
    pub(crate) link: String,
    pub(crate) peer: String,
    pub(crate) view: ChannelView,
    pub(crate) conversation: Conversation,
    pub(crate) udp: Arc<Udp>,
    pub(crate) carrier: Carrier,
    pub(crate) counters: Arc<Counters>,
}

/// Binds every channel's socket, or takes over the one that the service runner kept; it keeps them from here on.
///
/// # Errors
/// The first that cannot be bound.
pub(crate) fn bind(view: &View, notifier: &Notifier) -> Result<Vec<Udp>, Error> {
    let mut kept = KeptSockets::passed();
    let take = |(link, channel): (&LinkView, &ChannelView)| {
        let options = udp_options(channel);
        kept.take(link, channel, &options).map_err(|error| not_bound(link, channel, error))
    };
    let taken = view::channels(view).map(take).collect::<Result<Vec<Option<Udp>>, Error>>()?;
    // Before others are bound: their ports may be the same.
    kept.close(notifier);
    let bind = |((link, channel), taken): ((&LinkView, &ChannelView), Option<Udp>)| {
        let udp = taken.map_or_else(|| bind_one(link, channel), Ok)?;
        notifier.keep(&kept::name(&link.name, channel.number), &udp);
        Ok(udp)
    };
    view::channels(view).zip(taken).map(bind).collect()
}

/// Binds one channel's socket.
///
/// # Errors
/// Why it cannot be bound, with the channel's name.
pub(crate) fn bind_one(link: &LinkView, channel: &ChannelView) -> Result<Udp, Error> {
    Udp::bind(&udp_options(channel)).map_err(|error| not_bound(link, channel, error))
}

/// The underlay's address and device may come later than we do, or go for a while.
fn udp_options(channel: &ChannelView) -> UdpOptions {
    UdpOptions { free: true, device: channel.underlay_device.clone(), ..UdpOptions::new(channel.local) }
}

fn not_bound(link: &LinkView, channel: &ChannelView, error: BindError) -> Error {
    Error::Socket { channel: format!("{}/{}", link.name, channel.number), error }
}

/// Attaches every channel's device and gives its halves to the data plane; `sockets` as [`bind`] made them.
///
/// # Errors
/// The first channel that cannot be made, and why.
pub(crate) fn make(
    gateway: &Gateway,
    surroundings: &Surroundings,
    sockets: Vec<Udp>,
    plane: &mut DataPlane,
) -> Result<Vec<ChannelParts>, Error> {
    let numbered = (0..).map(ChannelId).zip(view::channels(&gateway.view).zip(sockets));
    let channels = numbered.map(|(id, ((link, channel), udp))| {
        let mtu = surroundings.mtus[&link.name];
        make_one(gateway, id, link, channel, mtu, Arc::new(udp), Arc::default(), plane)
    });
    channels.collect()
}

/// Attaches one channel's device, which is there and has nobody attached, and gives its halves to the data plane.
///
/// # Errors
/// Why the device, the halves or the conversation cannot be had; the data plane has nothing of it then.
#[expect(clippy::too_many_arguments, reason = "a channel is made of all these")]
pub(crate) fn make_one(
    gateway: &Gateway,
    id: ChannelId,
    link: &LinkView,
    channel: &ChannelView,
    mtu: u16,
    udp: Arc<Udp>,
    counters: Arc<Counters>,
    plane: &mut DataPlane,
) -> Result<ChannelParts, Error> {
    let tun = Tun::attach(&channel.device)?;
    let carrier = Carrier::down(tun.carrier().map_err(Error::system("watch a device's carrier"))?);
    let halves = Halves {
        tun: Arc::new(tun),
        transport: Transport::Udp(Arc::clone(&udp)),
        format: Format::WireGuard,
        mtu,
        endpoint: fixed_endpoint(channel),
        filter: Arc::new(filter(&gateway.view, link, channel)),
        first: vec![Command::ClampMss(clamp_mss(link))],
    };
    let conversation = conversation(gateway, link, channel)?;
    let counters = plane.add_channel_again(id, halves, counters)?;
    let (link, peer) = (link.name.clone(), link.peer.name.clone());
    Ok(ChannelParts { id, link, peer, view: channel.clone(), conversation, udp, carrier, counters })
}

/// The peer's endpoint, if the file gives it as an address.
fn fixed_endpoint(channel: &ChannelView) -> Option<SocketAddr> {
    match channel.remote.as_ref()? {
        RemoteEndpoint { host: Host::Address(address), port } => Some(SocketAddr::new(*address, *port)),
        RemoteEndpoint { host: Host::Name(_), .. } => None,
    }
}

/// To what a link's channels lower the segment sizes of TCP.
pub(crate) fn clamp_mss(link: &LinkView) -> ClampMss {
    if link.clamp_mss { ClampMss::ToMtu } else { ClampMss::Off }
}

/// Which inner packets may come out of a channel.
pub(crate) fn filter(view: &View, link: &LinkView, channel: &ChannelView) -> Filter {
    let link_locals = (channel.peer_link_local, channel.link_local);
    Filter::new(&prefixes(&link.peer), &local_prefixes(view), link_locals, link.transit)
}

/// How a link's channels are probed.
pub(crate) fn probe(link: &LinkView) -> Settings {
    let Probe { interval, down_after, up_after, hold_down } = link.probe;
    Settings { interval, down_after: down_after.into(), up_after: up_after.into(), hold_down }
}

/// A channel's conversation, at its beginning.
///
/// # Errors
/// If the kernel has no randomness.
pub(crate) fn conversation(gateway: &Gateway, link: &LinkView, channel: &ChannelView) -> Result<Conversation, Error> {
    let preshared_key = gateway.preshared_keys.get(&link.name).map_or([0; 32], |key| *key.as_bytes());
    let config = ChannelConfig {
        suite: match link.cipher {
            Cipher::ChaCha20Poly1305 => Suite::ChaCha20Poly1305,
            Cipher::Aes256Gcm => Suite::Aes256Gcm,
        },
        identity: Arc::clone(&gateway.identity),
        peer_key: link.peer.public_key.0,
        preshared_key: Zeroizing::new(preshared_key),
        peer: match link.peer.is_wireguard {
            true => Peer::WireGuard,
            false => Peer::Meshtun {
                link: link.name.clone(),
                channel: channel.number,
                local_number: gateway.view.number,
                peer_number: link.peer.number,
            },
        },
        initiates: fixed_endpoint(channel).is_some(),
        probe: probe(link),
    };
    let seed = random_bytes().map_err(Error::system("get random bytes"))?;
    let mut conversation = Conversation::new(config, Instant::now(), seed);
    conversation.spread_over(view::channels(&gateway.view).count());
    Ok(conversation)
}
