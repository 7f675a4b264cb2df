//! The demo's stage: a lab with two running gateways, a watch over their underlay, and what their daemons count.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    time::{Duration, Instant},
};

use meshtun_daemon::status::{Channel, Status};
use netns_lab::{
    gateway::{self, Gateway},
    load::{Marker, TcpLoad},
    program::Program,
    topology::{Options, Shape, Topology, UNDERLAY},
    watch::{self, Watch},
};

use super::Args;
use crate::exit::Failure;

/// Both gateways up, and their underlay watched since before they started.
pub(super) struct Stage {
    gateways: Vec<Gateway>,
    watch: Watch,
    marker: Marker,
    /// From the start of the gateways until all channels had carrier at both ends.
    pub(super) up_after: Duration,
    // The last to go: it holds the namespaces.
    topology: Topology,
}

/// What the first gateway's channels have carried, and what both gateways' channels have dropped, by device.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) channels: BTreeMap<String, Count>,
    /// The slowest handshake of either end.
    pub(super) handshake_ms: f64,
}

/// A device's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) number: u16,
    pub(super) tx_bytes: u64,
    pub(super) rx_bytes: u64,
    pub(super) dropped: u64,
}

/// How long the gateways may take to come up.
const PATIENCE: Duration = Duration::from_secs(15);

impl Stage {
    /// Builds the lab and waits until the link is up.
    pub(super) fn set(args: &Args) -> Result<Stage, Failure> {
        let topology = Topology::build(Shape::TwoGateways, &Options::default()).map_err(Failure::new)?;
        let program = Program::find(Some(&this_program()?)).map_err(Failure::new)?;
        let keys = program.keys(topology.sites.len()).map_err(Failure::new)?;
        let mut mesh = topology.mesh(&keys, args.channels);
        for link in &mut mesh.links {
            link.options.push(("cipher".into(), format!("{:?}", args.cipher)));
        }
        let marker = Marker::random()?;
        let mut watched = watch::Options::new(mesh.ports());
        watched.marker = Some(marker);
        let watch = Watch::start(&topology.sites[0].gateway, UNDERLAY, watched).map_err(Failure::new)?;

        let start = Instant::now();
        let mut gateways = gateway::start_all(&topology, &program, &mesh, &keys).map_err(Failure::new)?;
        for gateway in &mut gateways {
            gateway.wait_until_up(PATIENCE).map_err(Failure::new)?;
        }
        Ok(Stage { gateways, watch, marker, up_after: start.elapsed(), topology })
    }

    /// TCP from the first host to the second; its progress is told once a second.
    pub(super) fn load(&self, flows: usize, duration: Duration) -> TcpLoad {
        let [one, two] = [&self.topology.sites[0], &self.topology.sites[1]];
        let mut load = TcpLoad::new(&one.host, &two.host, two.host_v4.into());
        load.flows = flows;
        load.duration = duration;
        load.marker = Some(self.marker);
        load.every = Duration::from_secs(1);
        load
    }

    /// Asks both daemons.
    pub(super) fn tally(&self) -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        for (place, gateway) in self.gateways.iter().enumerate() {
            let status = gateway.status().map_err(Failure::new)?;
            let status: Status = serde_json::from_value(status).map_err(Failure::new)?;
            for channel in status.links.into_iter().flat_map(|link| link.channels) {
                tally.add(place == 0, channel);
            }
        }
        Ok(tally)
    }

    /// What the watch has seen on the underlay.
    pub(super) fn seen(&self) -> watch::Report {
        self.watch.report()
    }

    /// Ends the gateways in order, and the watch.
    pub(super) fn strike(mut self) -> Result<(), Failure> {
        for gateway in &mut self.gateways {
            gateway.stop(PATIENCE).map_err(Failure::new)?;
        }
        self.watch.stop().map(|_| ()).map_err(Failure::new)
    }
}

impl Tally {
    fn add(&mut self, first_gateway: bool, channel: Channel) {
        let count = self.channels.entry(channel.device).or_default();
        count.number = channel.channel;
        count.dropped += channel.dropped.values().sum::<u64>();
        if first_gateway {
            (count.tx_bytes, count.rx_bytes) = (channel.tx_bytes, channel.rx_bytes);
        }
        self.handshake_ms = self.handshake_ms.max(channel.handshake_ms.unwrap_or_default());
    }
}

fn this_program() -> Result<std::path::PathBuf, Failure> {
    let program = std::env::current_exe()?;
    if Path::exists(&program) { Ok(program) } else { Err(io::Error::from(io::ErrorKind::NotFound).into()) }
}
