//! The tun device: opened, given its addresses, closed (tun.c, `open_tun`, `do_ifconfig`, `close_tun`).

pub(crate) mod routes;

use std::{net::IpAddr, sync::Arc};

use ipnet::{IpNet, Ipv4Net};
use meshtun_netlink::{Network, PlainAddress};
use meshtun_openvpn::{
    mtu,
    options::{Ifconfig, Options},
    text::Level,
};
use meshtun_sys::tun::{self, Tun, TunOffloads};

use crate::{fatal::Fatal, log::Log};

/// An open device.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) tun: Arc<Tun>,
    pub(crate) mtu: u16,
    /// What it was given, to be taken away again.
    addresses: Vec<PlainAddress>,
}

impl Device {
    /// Opens the device, without its addresses.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub(crate) fn open(options: &Options, log: &Log) -> Result<Device, Fatal> {
        // The kernel chooses the number for `dev tun`, and takes any other name as it is.
        let name = if options.device.name == "tun" { "tun%d" } else { options.device.name.as_str() };
        let tun = Tun::open(name).map_err(|error| Fatal::new(format_args!("ERROR: {error}")))?;
        log.info(format_args!("TUN/TAP device {} opened", tun.name()));
        Ok(Device { tun: Arc::new(tun), mtu: mtu::tun_mtu(options, options.protocol), addresses: Vec::new() })
    }

    pub(crate) fn name(&self) -> &str {
        self.tun.name()
    }

    /// Whether somebody else has deleted the device.
    pub(crate) fn is_gone(&self) -> bool {
        // What the data plane wants it sets itself.
        self.tun.set_offloads(TunOffloads::default()).is_err_and(|error| tun::is_gone(&error))
    }

    /// Throws away what waits in the device to be sent.
    pub(crate) fn discard(&self) {
        /// Many times what a device's queue holds.
        const MOST: usize = 100_000;
        let mut room = vec![0; tun::LONGEST_READ];
        let _all = (0..MOST).take_while(|_| self.tun.read(&mut room).is_ok()).count();
    }

    /// Sets MTU and addresses and takes it up.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub(crate) async fn configure(&mut self, options: &Options, network: &Network, log: &Log) -> Result<(), Fatal> {
        let name = self.tun.name().to_owned();
        let fatal = |what: &str, error: &dyn std::fmt::Display| Fatal::new(format_args!("Linux can't {what}: {error}"));
        let addresses = addresses(options);
        if !addresses.is_empty() {
            log.info(format_args!("net_iface_mtu_set: mtu {} for {name}", self.mtu));
            log.info(format_args!("net_iface_up: set {name} up"));
            let taken = network.take_up(&name, Some(self.mtu.into()), options.txqueuelen).await;
            taken.map_err(|error| fatal("bring the device up", &error))?;
        }
        for address in addresses {
            log.info(format_args!("{}: {} dev {name}", action(address, "add"), shown(address)));
            let added = network.add_plain_address(&name, address).await;
            added.map_err(|error| fatal("add IP to interface", &error))?;
            self.addresses.push(address);
        }
        Ok(())
    }

    /// Takes its addresses away and closes it; it vanishes unless it was made to stay, or somebody else holds it.
    pub(crate) async fn close(self, network: &Network, log: &Log) {
        log.say(Level::CLOSE, "Closing TUN/TAP interface");
        if self.is_gone() {
            return;
        }
        for address in &self.addresses {
            let line = match address.peer {
                Some(_) => format!("{}: {} dev {}", action(*address, "del"), address.local.addr(), self.name()),
                None => format!("{}: {} dev {}", action(*address, "del"), shown(*address), self.name()),
            };
            log.info(line);
            if let Err(error) = network.remove_plain_address(self.name(), *address).await {
                log.warning(format_args!("Linux can't del IP from iface {}: {error}", self.name()));
            }
        }
    }
}

/// The addresses that the device gets.
fn addresses(options: &Options) -> Vec<PlainAddress> {
    let mut addresses = Vec::new();
    match options.ifconfig {
        Some(Ifconfig::PointToPoint { local, remote }) => {
            let peer = Some(IpAddr::V4(remote));
            addresses.push(PlainAddress { local: IpNet::from(IpAddr::V4(local)), peer });
        }
        Some(Ifconfig::Subnet { local, netmask }) => {
            let net = Ipv4Net::with_netmask(local, netmask).unwrap_or_else(|_| Ipv4Net::from(local));
            addresses.push(PlainAddress { local: net.into(), peer: None });
        }
        None => {}
    }
    if let Some(six) = options.ifconfig_ipv6
        && let Ok(local) = IpNet::new(six.local.into(), six.prefix_len)
    {
        addresses.push(PlainAddress { local, peer: None });
    }
    addresses
}

/// OpenVPN's name for what is done (networking_sitnl.c).
fn action(address: PlainAddress, what: &str) -> String {
    match (address.local, address.peer) {
        (IpNet::V4(_), Some(_)) => format!("net_addr_ptp_v4_{what}"),
        (IpNet::V4(_), None) => format!("net_addr_v4_{what}"),
        (IpNet::V6(_), _) => format!("net_addr_v6_{what}"),
    }
}

fn shown(address: PlainAddress) -> String {
    match address.peer {
        Some(peer) => format!("{} peer {peer}", address.local.addr()),
        None => address.local.to_string(),
    }
}
