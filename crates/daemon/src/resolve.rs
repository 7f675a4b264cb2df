//! Endpoint names: looked up beside the engine, again and again while a channel needs an address.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

/// What a look-up found.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) host: String,
    /// Empty if the name has no address, or the look-up failed.
    pub(crate) addresses: Vec<IpAddr>,
    /// Why there are none.
    pub(crate) error: Option<String>,
}

/// The names that are wanted, each looked up at most once at a time and not too often.
#[derive(Debug)]
pub(crate) struct Resolver {
    hosts: BTreeMap<String, Lookup>,
    results: mpsc::Sender<Resolved>,
}

#[derive(Debug)]
struct Lookup {
    under_way: bool,
    not_before: Instant,
    wait: Duration,
}

impl Resolver {
    /// A resolver and where its results come out.
    pub(crate) fn new() -> (Resolver, mpsc::Receiver<Resolved>) {
        let (results, found) = mpsc::channel(64);
        (Resolver { hosts: BTreeMap::new(), results }, found)
    }

    /// Starts a look-up, unless one is under way or the last one was a moment ago.
    pub(crate) fn want(&mut self, host: &str, now: Instant) {
        if self.is_due(host, now) {
            let (host, results) = (host.to_owned(), self.results.clone());
            tokio::spawn(async move {
                let (addresses, error) = look_up(&host).await;
                // The engine has ended.
                let _nobody_listens = results.send(Resolved { host, addresses, error }).await;
            });
        }
    }

    /// Takes note that a look-up has ended.
    pub(crate) fn finished(&mut self, resolved: &Resolved, now: Instant) {
        let Some(lookup) = self.hosts.get_mut(&resolved.host) else { return };
        if let Some(error) = &resolved.error {
            complain(&resolved.host, error, lookup.wait);
        }
        lookup.under_way = false;
        lookup.not_before = now + lookup.wait;
        lookup.wait = (2 * lookup.wait).min(LONGEST_WAIT);
    }

    /// A channel to this host is up: the next look-up is made without waiting.
    pub(crate) fn reached(&mut self, host: &str) {
        self.hosts.remove(host);
    }

    fn is_due(&mut self, host: &str, now: Instant) -> bool {
        let first = Lookup { under_way: false, not_before: now, wait: FIRST_WAIT };
        let lookup = self.hosts.entry(host.to_owned()).or_insert(first);
        let due = !lookup.under_way && now >= lookup.not_before;
        lookup.under_way |= due;
        due
    }
}

/// Between look-ups of one name: from one second, doubled, to half a minute.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A name without an address is told once, when it is looked up for the first time; a channel that waits for it shows it.
fn complain(host: &str, error: &str, wait: Duration) {
    if wait == FIRST_WAIT {
        tracing::warn!("the endpoint {host} has no address: {error}; tried again every {} s", LONGEST_WAIT.as_secs());
    } else {
        tracing::debug!("the endpoint {host} has no address: {error}");
    }
}

/// The addresses of a name, or why there are none.
async fn look_up(host: &str) -> (Vec<IpAddr>, Option<String>) {
    match tokio::net::lookup_host((host, 0)).await {
        Ok(found) => (found.map(|address| address.ip()).collect(), None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    }
}

/// Which of a name's addresses to try: one that the socket can reach, and not the one that was tried last if there is
/// another, so that a dead address family does not keep a channel down.
pub(crate) fn choose(found: &[IpAddr], local: SocketAddr, tried: Option<IpAddr>) -> Option<IpAddr> {
    let reaches = |address: &&IpAddr| match local {
        SocketAddr::V4(_) => address.is_ipv4(),
        SocketAddr::V6(local) => local.ip().is_unspecified() || address.is_ipv6(),
    };
    let usable: Vec<IpAddr> = found.iter().filter(reaches).copied().collect();
    let after = tried.and_then(|tried| usable.iter().position(|address| *address == tried)).map_or(0, |at| at + 1);
    usable.get(after).or(usable.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn an_address_is_chosen_that_the_socket_can_reach() {
        let found = addresses(&["2001:db8::7", "192.0.2.7"]);
        for (local, expected) in
            [("0.0.0.0:1", "192.0.2.7"), ("[::]:1", "2001:db8::7"), ("[2001:db8::1]:1", "2001:db8::7")]
        {
            assert_eq!(choose(&found, local.parse().unwrap(), None), Some(expected.parse().unwrap()), "{local}");
        }
        assert_eq!(choose(&found[..1], "0.0.0.0:1".parse().unwrap(), None), None);
    }

    #[test]
    fn addresses_are_tried_in_turn() {
        let found = addresses(&["192.0.2.1", "192.0.2.2"]);
        let local = "0.0.0.0:1".parse().unwrap();
        let first = choose(&found, local, None);
        let second = choose(&found, local, first);
        assert_eq!([first, second], [Some(found[0]), Some(found[1])]);
        assert_eq!(choose(&found, local, second), first);
    }

    #[test]
    fn a_name_is_looked_up_once_at_a_time_and_more_and_more_rarely() {
        let (mut resolver, _results) = Resolver::new();
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..8 {
            assert!(resolver.is_due("gw", now));
            assert!(!resolver.is_due("gw", now + Duration::from_secs(3600)), "one is under way");
            resolver.finished(&Resolved { host: "gw".into(), addresses: Vec::new(), error: None }, now);
            let started = now;
            while !{ resolver.is_due("gw", now) } {
                now += Duration::from_secs(1);
            }
            waits.push((now - started).as_secs());
            resolver.finished(&Resolved { host: "gw".into(), addresses: Vec::new(), error: None }, now);
            now += Duration::from_secs(60);
        }
        assert!(waits.is_sorted() && waits[0] == 1 && waits[7] == 30, "{waits:?}");
    }

    #[test]
    fn a_host_that_was_reached_is_looked_up_at_once_when_it_is_lost() {
        let (mut resolver, _results) = Resolver::new();
        let now = Instant::now();
        assert!(resolver.is_due("gw", now));
        resolver.finished(&Resolved { host: "gw".into(), addresses: Vec::new(), error: None }, now);
        assert!(!resolver.is_due("gw", now));
        resolver.reached("gw");
        assert!(resolver.is_due("gw", now));
    }
}
