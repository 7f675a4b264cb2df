//! Names of services for their ports (services(5)).

/// The port of a service of this name, or of one that is also called so; over UDP where it has several.
pub(super) fn port(name: &str) -> Option<u16> {
    find(&std::fs::read_to_string("/etc/services").unwrap_or_default(), name)
}

fn find(services: &str, name: &str) -> Option<u16> {
    let mut found = services.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (own, (port, protocol)) = (words.next()?, words.next()?.split_once('/')?);
        let is_it = own == name || words.any(|other| other == name);
        Some((protocol == "udp", port.parse().ok()?)).filter(|_| is_it)
    });
    let first: (bool, u16) = found.next()?;
    Some(found.chain([first]).find(|(is_udp, _)| *is_udp).unwrap_or(first).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_found_by_its_names_and_rather_over_udp() {
        let text = "# comment\nopenvpn\t\t1194/tcp\nopenvpn 1194/udp\nisakmp 500/udp ike # key exchange\nx 5/tcp y\nx 6/udp y\nbad\n";
        let of = |name| find(text, name);
        assert_eq!([of("openvpn"), of("ike"), of("x"), of("y")], [Some(1194), Some(500), Some(6), Some(6)]);
        assert_eq!([of("exchange"), of("bad"), of(""), of("500/udp")], [None; 4]);
    }
}
