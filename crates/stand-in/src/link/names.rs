//! Names of hosts into addresses.

use std::net::{IpAddr, SocketAddr};

use meshtun_openvpn::{options::Family, text::Level};

use crate::log::Log;

/// The first address of the name that is of the family; none, with a line in the log, if there is none.
pub(crate) async fn resolve(host: &str, port: u16, family: Family, log: &Log) -> Option<SocketAddr> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(SocketAddr::new(address, port)).filter(|address| is_of(*address, family)).or_else(|| {
            let why = "Address family for hostname not supported";
            log.say(Level::RESOLVE, format_args!("RESOLVE: Cannot resolve host address: {host}:{port} ({why})"));
            None
        });
    }
    let found = tokio::net::lookup_host((host, port)).await;
    match found.map(|mut found| found.find(|address| is_of(*address, family))) {
        Ok(Some(address)) => Some(address),
        Ok(None) => {
            let why = "No address associated with hostname";
            log.say(Level::RESOLVE, format_args!("RESOLVE: Cannot resolve host address: {host}:{port} ({why})"));
            None
        }
        Err(error) => {
            let text = error.to_string();
            let why = text.trim_start_matches("failed to lookup address information: ");
            log.say(Level::RESOLVE, format_args!("RESOLVE: Cannot resolve host address: {host}:{port} ({why})"));
            None
        }
    }
}

fn is_of(address: SocketAddr, family: Family) -> bool {
    match family {
        Family::Any => true,
        Family::V4 => address.is_ipv4(),
        Family::V6 => address.is_ipv6(),
    }
}
