//! Ready-made labs: two gateways with a host behind each, three sites.
//!
//! ```text
//!  two gateways                                    three sites
//!
//!  host1 ── g1 ══ underlay ══ g2 ── host2          host1 ── g1 ══╗
//!            ╎                 ╎                   host2 ── g2 ══ underlay
//!            ╎····internet·····╎  (optional)       host3 ── g3 ══╝
//! ```
//!
//! Site N has the networks 10.N.0.0/24 and fd00:N::/64: its gateway is .1 and ::1, its host .2 and ::2. Devices are called
//! [`LAN`], [`UNDERLAY`] and [`WAN`] in every node.

mod addresses;
mod drawing;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use meshtun_sys::tun::Tap;

use crate::{
    Lab, LabError, Node,
    faults::Faults,
    lab::End,
    mesh::{GatewayEntry, LinkEntry, MeshFile},
    netlink,
    program::Keys,
};

/// The device between a gateway and its host, in both.
pub const LAN: &str = "lan";

/// A gateway's device into the underlay.
pub const UNDERLAY: &str = "underlay";

/// A gateway's device towards its default route, with [`Options::internet`].
pub const WAN: &str = "wan";

/// The MTU of plain Ethernet.
const ETHERNET: u32 = 1500;

/// What stands where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Two sites, their gateways joined by one cable.
    TwoGateways,
    /// Three sites, their gateways joined by a router that knows the underlay only.
    ThreeSites,
}

/// The address family of the underlay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    #[default]
    V4,
    /// IPv6.
    V6,
}

/// How a topology is built.
#[derive(Clone, Debug)]
pub struct Options {
    /// The underlay's address family; the other one has no addresses there. Inside, both are always used.
    pub underlay: Family,
    /// The underlay's MTU in bytes; the LANs have the same, but at least 1500.
    pub mtu: u32,
    /// A further node, towards which the gateways have their default routes, and which knows the way to every site: what
    /// a gateway does not hold back gets through there in clear, and a watch on [`WAN`] sees it.
    pub internet: bool,
    /// Names the lab: see [`Lab::named`].
    pub name: Option<String>,
    /// Puts an underlay in userspace between the gateways, whose random numbers begin here: see [`Topology::faults`].
    pub faults: Option<u64>,
}

/// A built topology.
#[derive(Debug)]
pub struct Topology {
    /// What stands where.
    pub shape: Shape,
    /// Its sites, by number.
    pub sites: Vec<Site>,
    /// The node behind the default routes, with [`Options::internet`].
    pub internet: Option<Node>,
    /// The node between the gateways in [`Shape::ThreeSites`]; its devices are called as the gateways.
    pub router: Option<Node>,
    /// The underlay in userspace, with [`Options::faults`]: all gateways are on one segment, without a router.
    pub faults: Option<Faults>,
    /// Its namespaces and cables.
    pub lab: Lab,
}

/// A gateway and the host behind it.
#[derive(Clone, Debug)]
pub struct Site {
    /// Counts from 1.
    pub number: u8,
    /// The node `gN`.
    pub gateway: Node,
    /// The node `hostN`.
    pub host: Node,
    /// The gateway's address in the underlay.
    pub underlay: IpAddr,
    /// The gateway's address in its LAN.
    pub gateway_v4: Ipv4Addr,
    /// The gateway's address in its LAN.
    pub gateway_v6: Ipv6Addr,
    /// The host's address.
    pub host_v4: Ipv4Addr,
    /// The host's address.
    pub host_v6: Ipv6Addr,
    /// The site's prefixes.
    pub networks: Vec<IpNet>,
}

impl Default for Options {
    fn default() -> Options {
        Options { underlay: Family::V4, mtu: ETHERNET, internet: false, name: None, faults: None }
    }
}

impl Topology {
    /// Builds it: namespaces, cables, addresses, forwarding in the gateways, default routes in the hosts.
    ///
    /// The gateways reach each other over the underlay; no host reaches another site yet (but see
    /// [`Options::internet`] and [`Self::route_in_clear`]).
    ///
    /// # Errors
    /// [`LabError`]; what was made until then is gone again.
    pub fn build(shape: Shape, options: &Options) -> Result<Topology, LabError> {
        let lab = options.name.as_deref().map_or_else(Lab::new, Lab::named)?;
        let mut topology = Topology { shape, sites: Vec::new(), internet: None, router: None, faults: None, lab };
        for number in 1..=shape.sites() {
            topology.add_site(number, options)?;
        }
        match (options.faults, shape) {
            (Some(seed), _) => topology.join_in_userspace(options, seed)?,
            (None, Shape::TwoGateways) => topology.join_directly(options)?,
            (None, Shape::ThreeSites) => topology.join_by_router(options)?,
        }
        if options.internet {
            topology.add_internet()?;
        }
        Ok(topology)
    }

    /// A `mesh.toml` for it: each gateway linked to each other by so many channels, ports derived.
    ///
    /// # Panics
    /// If there are fewer keys than sites.
    pub fn mesh(&self, keys: &[Keys], channels: u16) -> MeshFile {
        let gateways = self.sites.iter().map(|site| site.entry(&keys[usize::from(site.number) - 1])).collect();
        let pairs: &[(u8, u8, &str)] = match self.shape {
            Shape::TwoGateways => &[(1, 2, "cable")],
            Shape::ThreeSites => &[(1, 2, "ab"), (1, 3, "ac"), (2, 3, "bc")],
        };
        let link = |&(one, other, name): &(u8, u8, &str)| {
            let between = [one, other].map(|number| self.sites[usize::from(number) - 1].name().to_owned());
            LinkEntry { between, name: name.to_owned(), channels, ports: None, options: Vec::new() }
        };
        MeshFile { defaults: Vec::new(), gateways, links: pairs.iter().map(link).collect() }
    }

    /// Routes the sites' networks to each other over the underlay, in clear: the bare wire that a tunnel is compared with.
    ///
    /// Only networks of the underlay's address family.
    ///
    /// # Errors
    /// [`LabError`], for instance if there are such routes.
    pub fn route_in_clear(&self) -> Result<(), LabError> {
        for site in &self.sites {
            for prefix in site.networks.iter().filter(|prefix| prefix.addr().is_ipv4() == site.underlay.is_ipv4()) {
                for other in self.sites.iter().filter(|other| other.number != site.number) {
                    other.gateway.add_route(*prefix, self.underlay_hop(other, site))?;
                }
                if let Some(router) = &self.router {
                    router.add_route(*prefix, site.underlay)?;
                }
            }
        }
        Ok(())
    }

    /// A drawing of it with its addresses, for people.
    pub fn drawing(&self) -> String {
        drawing::draw(self)
    }

    /// Where a gateway sends what is for another one.
    fn underlay_hop(&self, from: &Site, to: &Site) -> IpAddr {
        match self.router {
            None => to.underlay,
            Some(_) => addresses::router(from.number, family_of(from.underlay)),
        }
    }

    fn add_site(&mut self, number: u8, options: &Options) -> Result<(), LabError> {
        let gateway = self.lab.add_node(&format!("g{number}"))?;
        let host = self.lab.add_node(&format!("host{number}"))?;
        let site = Site::new(
            number,
            gateway,
            host,
            addresses::underlay(layout(self.shape, options), number, options.underlay),
        );
        self.lab.connect(end(&site.gateway, LAN), end(&site.host, LAN), options.mtu.max(ETHERNET))?;
        for (node, v4, v6) in
            [(&site.gateway, site.gateway_v4, site.gateway_v6), (&site.host, site.host_v4, site.host_v6)]
        {
            node.add_address(LAN, net(v4, 24))?;
            node.add_address(LAN, net(v6, 64))?;
        }
        site.gateway.forward()?;
        add_default_routes(&site.host, site.gateway_v4, site.gateway_v6)?;
        self.sites.push(site);
        Ok(())
    }

    fn join_directly(&mut self, options: &Options) -> Result<(), LabError> {
        let [one, two] = [&self.sites[0], &self.sites[1]];
        self.lab.connect(end(&one.gateway, UNDERLAY), end(&two.gateway, UNDERLAY), options.mtu)?;
        for site in [one, two] {
            site.gateway.add_address(UNDERLAY, addresses::on_underlay(self.shape, site.underlay))?;
        }
        Ok(())
    }

    fn join_in_userspace(&mut self, options: &Options, seed: u64) -> Result<(), LabError> {
        let mut taps = Vec::new();
        for Site { gateway, underlay, .. } in &self.sites {
            let failed = |source: io::Error| gateway.kernel_says(format!("add the tap {UNDERLAY}"), source);
            taps.push(gateway.run(|| Tap::create(UNDERLAY))?.map_err(|error| failed(error.into()))?);
            netlink::set_mtu(gateway, UNDERLAY, options.mtu)?;
            gateway.set_up(UNDERLAY, true)?;
            gateway.add_address(UNDERLAY, addresses::on_underlay(layout(self.shape, options), *underlay))?;
        }
        let failed = |source| LabError::Start { node: "underlay".into(), program: "its thread".into(), source };
        self.faults = Some(Faults::start(taps, seed).map_err(failed)?);
        Ok(())
    }

    fn join_by_router(&mut self, options: &Options) -> Result<(), LabError> {
        let router = self.lab.add_node("underlay")?;
        router.forward()?;
        for site in &self.sites {
            let hop = addresses::router(site.number, options.underlay);
            self.lab.connect(end(&router, site.name()), end(&site.gateway, UNDERLAY), options.mtu)?;
            router.add_address(site.name(), addresses::on_underlay(self.shape, hop))?;
            site.gateway.add_address(UNDERLAY, addresses::on_underlay(self.shape, site.underlay))?;
            site.gateway.add_route(addresses::whole_underlay(options.underlay), hop)?;
        }
        self.router = Some(router);
        Ok(())
    }

    fn add_internet(&mut self) -> Result<(), LabError> {
        let internet = self.lab.add_node("internet")?;
        internet.forward()?;
        for address in addresses::INTERNET {
            internet.add_address("lo", address)?;
        }
        for site in &self.sites {
            self.lab.connect(end(&internet, site.name()), end(&site.gateway, WAN), ETHERNET)?;
            let (provider, customer) = addresses::wan(site.number);
            for (ours, theirs) in customer.into_iter().zip(provider) {
                internet.add_address(site.name(), theirs)?;
                site.gateway.add_address(WAN, ours)?;
                site.gateway.add_route(addresses::everything(theirs), theirs.addr())?;
                for prefix in site.networks.iter().filter(|prefix| prefix.addr().is_ipv4() == ours.addr().is_ipv4()) {
                    internet.add_route(*prefix, ours.addr())?;
                }
            }
        }
        self.internet = Some(internet);
        Ok(())
    }
}

impl Site {
    /// The gateway's name in a `mesh.toml`: its node's.
    pub fn name(&self) -> &str {
        self.gateway.name()
    }

    fn new(number: u8, gateway: Node, host: Node, underlay: IpAddr) -> Site {
        let v4 = |last| Ipv4Addr::new(10, number, 0, last);
        let v6 = |last| Ipv6Addr::new(0xfd00, number.into(), 0, 0, 0, 0, 0, last);
        let networks = vec![net(v4(0), 24), net(v6(0), 64)];
        let (gateway_v4, gateway_v6, host_v4, host_v6) = (v4(1), v6(1), v4(2), v6(2));
        Site { number, gateway, host, underlay, gateway_v4, gateway_v6, host_v4, host_v6, networks }
    }

    fn entry(&self, keys: &Keys) -> GatewayEntry {
        GatewayEntry {
            name: self.name().to_owned(),
            number: self.number.into(),
            public_key: keys.public().to_owned(),
            underlay: Some(self.underlay),
            address: self.gateway_v4,
            address6: Some(self.gateway_v6),
            networks: self.networks.clone(),
            options: Vec::new(),
        }
    }
}

impl Shape {
    /// How many sites it has.
    pub fn sites(self) -> u8 {
        match self {
            Shape::TwoGateways => 2,
            Shape::ThreeSites => 3,
        }
    }
}

fn add_default_routes(node: &Node, v4: Ipv4Addr, v6: Ipv6Addr) -> Result<(), LabError> {
    node.add_route(addresses::everything(net(v4, 32)), v4.into())?;
    node.add_route(addresses::everything(net(v6, 128)), v6.into())
}

/// Whose addresses the underlay has: on one segment, those of the two gateways and so on.
fn layout(shape: Shape, options: &Options) -> Shape {
    if options.faults.is_some() { Shape::TwoGateways } else { shape }
}

fn family_of(address: IpAddr) -> Family {
    if address.is_ipv4() { Family::V4 } else { Family::V6 }
}

fn end<'a>(node: &'a Node, device: &'a str) -> End<'a> {
    End { node, device }
}

fn net(address: impl Into<IpAddr>, prefix_len: u8) -> IpNet {
    IpNet::new(address.into(), prefix_len).expect("the prefix lengths here fit their address families")
}
