//! Where a channel's peer is, and who may say so.

use std::net::SocketAddr;

use meshtun_config::{Host, RemoteEndpoint};

/// A peer's endpoint. One that the file gives as an address stays there, so that nobody who relays the peer's
/// datagrams draws our traffic to himself; one that is named or learned follows the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    origin: Origin,
    current: Option<SocketAddr>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Fixed,
    Named { host: String, port: u16 },
    Learned,
}

/// What came of an authenticated message from somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// It came from where the peer is known to be.
    None,
    /// The peer is there now.
    Followed,
    /// It is not where the file says, and the file is right.
    Refused,
}

impl Endpoint {
    /// As the file gives it.
    pub(super) fn new(remote: Option<&RemoteEndpoint>) -> Endpoint {
        match remote {
            None => Endpoint { origin: Origin::Learned, current: None },
            Some(RemoteEndpoint { host: Host::Address(address), port }) => {
                Endpoint { origin: Origin::Fixed, current: Some(SocketAddr::new(*address, *port)) }
            }
            Some(RemoteEndpoint { host: Host::Name(host), port }) => {
                Endpoint { origin: Origin::Named { host: host.clone(), port: *port }, current: None }
            }
        }
    }

    /// Where to send, if it is known.
    pub(super) fn current(&self) -> Option<SocketAddr> {
        self.current
    }

    /// The name and port to look up, if the file gives a name.
    pub(super) fn name(&self) -> Option<(&str, u16)> {
        match &self.origin {
            Origin::Named { host, port } => Some((host, *port)),
            Origin::Fixed | Origin::Learned => None,
        }
    }

    /// The peer was heard from this address.
    pub(super) fn heard_from(&mut self, address: SocketAddr) -> Move {
        if self.current == Some(address) {
            return Move::None;
        }
        if self.origin == Origin::Fixed {
            return Move::Refused;
        }
        self.current = Some(address);
        Move::Followed
    }

    /// The file gives another endpoint, or the same; whether the peer is to be found elsewhere now. Where the file gives no
    /// address, the last one known stays.
    pub(super) fn take_remote(&mut self, remote: Option<&RemoteEndpoint>) -> bool {
        let new = Endpoint::new(remote);
        let before = self.current;
        self.current = match (&new.origin, &self.origin) {
            (Origin::Fixed, _) => new.current,
            (Origin::Named { host, port }, Origin::Named { host: same, .. }) if host == same => {
                before.map(|address| SocketAddr::new(address.ip(), *port))
            }
            (Origin::Named { .. }, _) => None,
            (Origin::Learned, _) => before,
        };
        self.origin = new.origin;
        self.current != before
    }

    /// What to call the peer's place in a message.
    pub(super) fn describe(&self) -> String {
        match (&self.origin, self.current) {
            (Origin::Named { host, port }, Some(address)) => format!("{host}:{port} ({address})"),
            (Origin::Named { host, port }, None) => format!("{host}:{port}"),
            (_, Some(address)) => address.to_string(),
            (_, None) => "an endpoint that is not known yet".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn remote(host: Host) -> RemoteEndpoint {
        RemoteEndpoint { host, port: 6011 }
    }

    #[test]
    fn an_endpoint_given_as_an_address_stays_there() {
        let mut endpoint = Endpoint::new(Some(&remote(Host::Address("192.0.2.1".parse().unwrap()))));
        assert_eq!(endpoint.heard_from(address("192.0.2.1:6011")), Move::None);
        assert_eq!(endpoint.heard_from(address("203.0.113.9:6011")), Move::Refused);
        assert_eq!(endpoint.heard_from(address("192.0.2.1:7000")), Move::Refused);
        assert_eq!(endpoint.current(), Some(address("192.0.2.1:6011")));
    }

    #[test]
    fn a_learned_endpoint_follows_the_peer() {
        let mut endpoint = Endpoint::new(None);
        assert_eq!((endpoint.current(), endpoint.name()), (None, None));
        for from in ["192.0.2.1:6011", "203.0.113.9:6011"] {
            assert_eq!(endpoint.heard_from(address(from)), Move::Followed);
            assert_eq!(endpoint.current(), Some(address(from)));
            assert_eq!(endpoint.heard_from(address(from)), Move::None);
        }
    }

    #[test]
    fn a_new_file_moves_an_endpoint_only_if_it_says_something_else() {
        let at = |text: &str, port| RemoteEndpoint { host: Host::Address(text.parse().unwrap()), port };
        let mut endpoint = Endpoint::new(Some(&at("192.0.2.1", 6011)));
        assert!(!endpoint.take_remote(Some(&at("192.0.2.1", 6011))));
        assert!(endpoint.take_remote(Some(&at("192.0.2.2", 6011))));
        assert_eq!(endpoint.current(), Some(address("192.0.2.2:6011")));
        assert!(!endpoint.take_remote(None), "the last address known stays");
        assert_eq!(endpoint.heard_from(address("192.0.2.9:1")), Move::Followed);
        let named = |port| RemoteEndpoint { host: Host::Name("gw.example.net".into()), port };
        assert!(endpoint.take_remote(Some(&named(7))));
        assert_eq!(endpoint.current(), None, "to be looked up");
        endpoint.heard_from(address("192.0.2.1:7"));
        assert!(endpoint.take_remote(Some(&named(8))));
        assert_eq!(endpoint.current(), Some(address("192.0.2.1:8")));
    }

    #[test]
    fn a_named_endpoint_is_looked_up_and_follows_the_peer() {
        let mut endpoint = Endpoint::new(Some(&remote(Host::Name("gw.example.net".into()))));
        assert_eq!(endpoint.name(), Some(("gw.example.net", 6011)));
        assert_eq!(endpoint.heard_from(address("192.0.2.1:6011")), Move::Followed);
        assert_eq!(endpoint.describe(), "gw.example.net:6011 (192.0.2.1:6011)");
    }
}
