//! Devices, addresses and routes: rtnetlink, one short-lived thread and runtime a request.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsFd, AsRawFd},
    thread,
    time::{Duration, Instant},
};

use futures_util::TryStreamExt;
use ipnet::IpNet;
use meshtun_sys::device;
use rtnetlink::{
    Error, Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder, new_connection,
    packet_route::{
        address::AddressHeaderFlags,
        link::{InfoData, InfoVeth, LinkAttribute, LinkFlags, LinkMessage},
        route::RouteMessage,
    },
};

use crate::{LabError, Node, lab::End};

/// A device in a node, as the kernel describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Set up by its owner.
    pub up: bool,
    /// Up and with carrier (`IFF_LOWER_UP`).
    pub carrier: bool,
    /// In bytes.
    pub mtu: u32,
    /// Packets that came in through it.
    pub rx_packets: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Incoming packets dropped.
    pub rx_dropped: u64,
    /// Packets that went out through it.
    pub tx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Outgoing packets dropped.
    pub tx_dropped: u64,
    /// How often it gained or lost carrier.
    pub carrier_changes: u32,
}

pub(crate) fn add_veth(one: End<'_>, other: End<'_>, mtu: u32) -> Result<(), LabError> {
    let peer = LinkMessageBuilder::<LinkUnspec>::new()
        .name(other.device)
        .mtu(mtu)
        .setns_by_fd(other.node.namespace().as_fd().as_raw_fd())
        .build();
    let cable = LinkMessageBuilder::<LinkVeth>::new(one.device, other.device)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .mtu(mtu)
        .build();
    let what = format!("add the cable {} to {}:{}", one.device, other.node.name(), other.device);
    request(one.node, what, async move |handle| handle.link().add(cable).execute().await)?;
    // Not at once while they are made: the kernel opens no veth that has no peer yet.
    for end in [one, other] {
        end.node.set_up(end.device, true)?;
    }
    for end in [one, other] {
        carries(end)?;
    }
    Ok(())
}

/// Waits until the kernel has handled that an end is up: before that it sends nothing there.
fn carries(end: End<'_>) -> Result<(), LabError> {
    // Asking makes it do so.
    let carrier = end.node.run(|| device::carrier(end.device))?;
    let no_carrier = || io::Error::new(io::ErrorKind::NetworkDown, "it is up and has no carrier");
    let has_it = carrier.and_then(|carrier| if carrier { Ok(()) } else { Err(no_carrier()) });
    has_it.map_err(|source| end.node.kernel_says(format!("wait for {}", end.device), source))
}

pub(crate) fn set_mtu(node: &Node, device: &str, mtu: u32) -> Result<(), LabError> {
    request(node, format!("set {device} mtu {mtu}"), async |handle| {
        let index = index_of(&handle, device).await?;
        handle.link().set(LinkMessageBuilder::<LinkUnspec>::new().index(index).mtu(mtu).build()).execute().await
    })
}

pub(crate) fn add_address(node: &Node, device: &str, address: IpNet) -> Result<(), LabError> {
    request(node, format!("add address {address} to {device}"), async |handle| {
        let index = index_of(&handle, device).await?;
        let mut request = handle.address().add(index, address.addr(), address.prefix_len());
        if address.addr().is_ipv6() {
            // Usable at once: even where no duplicates are looked for, the kernel decides that in a work queue.
            request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        }
        request.execute().await
    })?;
    match address.addr() {
        IpAddr::V4(_) => Ok(()),
        IpAddr::V6(address) => node.run(|| wait_for_solicitations(device, address)),
    }
}

/// Waits until neighbours can ask for a new address: the kernel joins its solicited-node group (RFC 4291, section 2.7.1)
/// in a work queue, and a question that comes too early is asked again only after a second.
fn wait_for_solicitations(device: &str, address: Ipv6Addr) {
    const PATIENCE: Duration = Duration::from_secs(1);
    /// `IFF_LOOPBACK` and `IFF_NOARP`: nobody asks there.
    const NOT_ASKED: u16 = 0x08 | 0x80;
    let [.., a, b, c] = address.octets();
    let group = format!("ff0200000000000000000001ff{a:02x}{b:02x}{c:02x}");
    let joined = |line: &str| line.split_ascii_whitespace().skip(1).take(2).eq([device, &group]);
    let start = Instant::now();
    while device::flags(device).is_ok_and(|flags| flags & NOT_ASKED == 0) && start.elapsed() < PATIENCE {
        // Where the file cannot be read, the second is all that is lost.
        if fs::read_to_string("/proc/thread-self/net/igmp6").is_ok_and(|groups| groups.lines().any(joined)) {
            return;
        }
        thread::sleep(Duration::from_micros(200));
    }
}

pub(crate) fn add_route(node: &Node, prefix: IpNet, via: IpAddr) -> Result<(), LabError> {
    let what = format!("add route {prefix} via {via}");
    let Some(route) = route(prefix, via) else {
        return Err(node.kernel_says(what, io::Error::new(io::ErrorKind::InvalidInput, "two address families")));
    };
    request(node, what, async move |handle| handle.route().add(route).execute().await)
}

pub(crate) fn links(node: &Node) -> Result<Vec<Link>, LabError> {
    let messages: Vec<_> =
        request(node, "list devices".into(), async |handle| handle.link().get().execute().try_collect().await)?;
    let mut links: Vec<_> = messages.into_iter().map(link).collect();
    links.sort_by_key(|link| link.index);
    Ok(links)
}

fn route(prefix: IpNet, via: IpAddr) -> Option<RouteMessage> {
    match (prefix.trunc(), via) {
        (IpNet::V4(prefix), IpAddr::V4(via)) => {
            let route = RouteMessageBuilder::<Ipv4Addr>::new();
            Some(route.destination_prefix(prefix.addr(), prefix.prefix_len()).gateway(via).build())
        }
        (IpNet::V6(prefix), IpAddr::V6(via)) => {
            let route = RouteMessageBuilder::<Ipv6Addr>::new();
            Some(route.destination_prefix(prefix.addr(), prefix.prefix_len()).gateway(via).build())
        }
        _ => None,
    }
}

fn link(message: LinkMessage) -> Link {
    let flags = message.header.flags;
    let (up, carrier) = (flags.contains(LinkFlags::Up), flags.contains(LinkFlags::LowerUp));
    let mut link = Link { index: message.header.index, up, carrier, ..Link::default() };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Mtu(mtu) => link.mtu = mtu,
            LinkAttribute::CarrierChanges(count) => link.carrier_changes = count,
            LinkAttribute::Stats64(stats) => {
                (link.rx_packets, link.rx_bytes, link.rx_dropped) =
                    (stats.rx_packets, stats.rx_bytes, stats.rx_dropped);
                (link.tx_packets, link.tx_bytes, link.tx_dropped) =
                    (stats.tx_packets, stats.tx_bytes, stats.tx_dropped);
            }
            _ => {}
        }
    }
    link
}

async fn index_of(handle: &Handle, device: &str) -> Result<u32, Error> {
    let found = handle.link().get().match_name(device).execute().try_next().await?;
    found.map(|message| message.header.index).ok_or(Error::RequestFailed)
}

/// Speaks netlink in a node: on a thread that entered it, with a runtime of its own.
fn request<T: Send>(
    node: &Node,
    what: String,
    ask: impl AsyncFnOnce(Handle) -> Result<T, Error> + Send,
) -> Result<T, LabError> {
    node.run(|| speak(ask))?.map_err(|source| node.kernel_says(what, source))
}

fn speak<T>(ask: impl AsyncFnOnce(Handle) -> Result<T, Error>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let (connection, handle, _messages) = new_connection()?;
        tokio::spawn(connection);
        ask(handle).await.map_err(kernel_error)
    })
}

fn kernel_error(error: Error) -> io::Error {
    match error {
        Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other),
    }
}
