//! Names of hosts into addresses.

use std::net::{IpAddr, SocketAddr};

use meshtun_openvpn::options::Family;
use thiserror::Error;

/// Why a name has no address, in OpenVPN's words.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("RESOLVE: Cannot resolve host address: {host}:{port} ({why})")]
pub(crate) struct Unresolved {
    host: String,
    port: u16,
    why: String,
}

/// The addresses of the name that are of the family, in the order in which they are to be tried; one at least.
///
/// # Errors
/// If there is none.
pub(crate) async fn resolve(host: &str, port: u16, family: Family) -> Result<Vec<SocketAddr>, Unresolved> {
    let unresolved = |why: &str| Unresolved { host: host.to_owned(), port, why: why.to_owned() };
    if let Ok(address) = host.parse::<IpAddr>() {
        let address = Some(SocketAddr::new(address, port)).filter(|address| is_of(*address, family));
        return address.map(|only| vec![only]).ok_or_else(|| unresolved("Address family for hostname not supported"));
    }
    match tokio::net::lookup_host((host, port)).await {
        Ok(found) => {
            let found: Vec<SocketAddr> = found.filter(|address| is_of(*address, family)).collect();
            if found.is_empty() { Err(unresolved("No address associated with hostname")) } else { Ok(found) }
        }
        Err(error) => {
            let text = error.to_string();
            Err(unresolved(text.trim_start_matches("failed to lookup address information: ")))
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
