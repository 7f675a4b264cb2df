//! The channels, the devices and the routes.

use std::{error::Error, fs, net::Ipv4Addr, process::Command as Program, sync::Arc, time::Instant};

use meshtun_dataplane::{
    ChannelId, ChannelParts, Command, Counters, DataPlane, Events, Filter, Format, PlaneConfig, Transport,
};
use meshtun_proto::{Suite, noise::SessionKeys};
use meshtun_sys::{
    device, thread,
    tun::Tun,
    udp::{Udp, UdpOptions},
};

/// The device that packets are written into.
pub(crate) const INJECTOR: &str = "gen";

/// Where all packets come from.
pub(crate) const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 1);

const MTU: u16 = 1420;

/// An address that is routed into the channel.
pub(crate) fn destination(channel: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 100 + channel, 0, 1)
}

/// The data plane with its channels.
pub(crate) struct Rig {
    plane: DataPlane,
    channels: Vec<Arc<Counters>>,
    _events: Events,
}

/// Inner packets, all channels together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Carried {
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

impl Rig {
    pub(crate) fn up(channels: u8, workers: usize, suite: Suite) -> Result<Rig, Box<dyn Error>> {
        prepare_namespace()?;
        let cpus = thread::available_cpus().into_iter().cycle().take(workers).collect();
        // As the daemon does: halves apart where channels are fewer than workers.
        let config = PlaneConfig { cpus, pin: false, apart: usize::from(channels) < workers };
        let (mut plane, events) = DataPlane::start(&config)?;
        let channels = (0..channels).map(|number| add_channel(&mut plane, number, suite));
        let channels = channels.collect::<Result<_, _>>()?;
        plane.settle();
        Ok(Rig { plane, channels, _events: events })
    }

    pub(crate) fn channels(&self) -> usize {
        self.channels.len()
    }

    pub(crate) fn carried(&self) -> Carried {
        self.channels.iter().fold(Carried::default(), |all, counters| {
            let snapshot = counters.snapshot();
            Carried { sent: all.sent + snapshot.sending.packets, received: all.received + snapshot.receiving.packets }
        })
    }

    /// What was dropped, in words.
    pub(crate) fn dropped(&self) -> Vec<String> {
        let snapshots = self.channels.iter().map(|counters| counters.snapshot());
        let dropped = snapshots.flat_map(|s| s.sending.dropped.into_iter().chain(s.receiving.dropped));
        dropped.map(|(reason, packets)| format!("{} {packets}", reason.label())).collect()
    }

    pub(crate) fn down(self) {
        self.plane.shutdown();
    }
}

fn prepare_namespace() -> Result<(), Box<dyn Error>> {
    for (key, value) in [
        ("ipv6/conf/all/disable_ipv6", "1"),
        ("ipv6/conf/default/disable_ipv6", "1"),
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
        ("ipv4/ip_forward", "1"),
    ] {
        fs::write(format!("/proc/sys/net/{key}"), value)?;
    }
    ip("link set lo up")?;
    make_device(INJECTOR)
}

fn make_device(name: &str) -> Result<(), Box<dyn Error>> {
    ip(&format!("tuntap add dev {name} mode tun vnet_hdr"))?;
    ip(&format!("link set {name} mtu {MTU} txqueuelen 1000 up"))
}

fn add_channel(plane: &mut DataPlane, number: u8, suite: Suite) -> Result<Arc<Counters>, Box<dyn Error>> {
    let name = format!("c{number}");
    make_device(&name)?;
    ip(&format!("rule add iif {name} blackhole"))?;
    let tun = Tun::attach(&name)?;
    tun.carrier()?.set(true)?;
    while !device::is_running(&name)? {
        std::thread::yield_now();
    }
    ip(&format!("route add {}/32 dev {name}", destination(number)))?;
    let udp = Udp::bind(&UdpOptions::new("127.0.0.1:0".parse()?))?;
    let id = ChannelId(number.into());
    let addresses = ("fe80::2:0".parse()?, "fe80::1:0".parse()?);
    let filter = Filter::new(&["10.2.0.0/16".parse()?], &["10.96.0.0/11".parse()?], addresses, false);
    let endpoint = Some(udp.local_addr());
    let parts = ChannelParts {
        tun: Arc::new(tun),
        transport: Transport::Udp(Arc::new(udp)),
        format: Format::WireGuard,
        mtu: MTU,
        endpoint,
        filter: Arc::new(filter),
        first: Vec::new(),
    };
    let counters = plane.add_channel(id, parts)?;
    // What it sends it receives itself: both ends know the session by one index and have one key.
    let session = u32::from(number);
    let (send, receive) =
        SessionKeys::new(suite, session, session, [7; 32].into(), [7; 32].into()).into_halves(Instant::now());
    for command in [
        Command::InstallReceive(receive.into()),
        Command::Admit(session),
        Command::InstallSend(send.into()),
        Command::Use(session),
    ] {
        plane.send(id, command);
    }
    Ok(counters)
}

fn ip(arguments: &str) -> Result<(), Box<dyn Error>> {
    let done = Program::new("ip").args(arguments.split(' ')).status()?;
    if done.success() { Ok(()) } else { Err(format!("`ip {arguments}` failed").into()) }
}
