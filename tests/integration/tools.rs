//! ping, traceroute, tcpdump, iptables and nft on the tun devices: as on any interface.

mod capture;
mod device;
mod firewall;
mod path;
