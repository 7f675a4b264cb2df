//! Routes of others inside the links' networks, which take reading the whole table.

use std::time::{Duration, Instant};

use ipnet::IpNet;
use meshtun_netlink::{ActualRoute, ActualRouteKind, Desired, ForeignRoute, Network, NetworkError};

/// What was read last, and when to read again. The kernel tells of each such route that comes or goes, so a reading beside
/// that is for what it did not tell (a route that went with its device), and its cost decides how often.
#[derive(Debug)]
pub(super) struct Others {
    routes: Vec<ActualRoute>,
    /// When they were read, and how long that took; none if they have to be read before anything else.
    read: Option<(Instant, Duration)>,
    /// One of them has changed since.
    is_told: bool,
}

impl Others {
    /// Nothing is known.
    pub(super) fn unknown() -> Others {
        Others { routes: Vec::new(), read: None, is_told: false }
    }

    /// A table that was read just now, and took so long.
    #[cfg(test)]
    pub(super) fn that_took(took: Duration) -> Others {
        Others { read: Some((Instant::now(), took)), ..Others::unknown() }
    }

    /// Other networks are of interest, or we changed one of these ourselves.
    pub(super) fn forget(&mut self) {
        self.read = None;
    }

    /// The kernel tells of a change.
    pub(super) fn tell(&mut self) {
        self.is_told = true;
    }

    /// The kernel tells of one that came, or went, in the place of one of ours: known at once, without a reading.
    pub(super) fn note(&mut self, route: &ForeignRoute) {
        self.routes.retain(|known| {
            (known.prefix, known.metric, known.protocol) != (route.prefix, route.metric, route.protocol)
        });
        if route.is_there {
            let ForeignRoute { prefix, metric, protocol, .. } = *route;
            let kind = ActualRouteKind::Unicast { nexthops: Vec::new(), src: None };
            self.routes.push(ActualRoute { prefix, metric, protocol, kind });
        }
    }

    /// What stood in this place has gone: ours has it, or we deleted it.
    pub(super) fn make_way(&mut self, prefix: &IpNet, metric: u32) {
        self.routes.retain(|known| (known.prefix, known.metric) != (*prefix, metric));
    }

    /// When the change that was told may be looked at.
    pub(super) fn readable_at(&self) -> Option<Instant> {
        self.read.map(|(read, took)| read + took * AFTER_WORD)
    }

    fn is_due(&self, now: Instant) -> bool {
        let Some((read, took)) = self.read else { return true };
        let rest = if self.is_told { took * AFTER_WORD } else { (took * WITHOUT_WORD).min(LONGEST) };
        now >= read + rest
    }

    /// They as they were read last, or anew where that is due.
    pub(super) async fn routes(
        &mut self,
        network: &Network,
        desired: &Desired,
    ) -> Result<Vec<ActualRoute>, NetworkError> {
        let now = Instant::now();
        if self.is_due(now) {
            let routes = network.others(desired).await?;
            *self = Others { routes, read: Some((now, now.elapsed())), is_told: false };
        }
        Ok(self.routes.clone())
    }

    /// They as they were read last, if they were ever read: for who cannot wait.
    pub(super) async fn routes_soon(
        &mut self,
        network: &Network,
        desired: &Desired,
    ) -> Result<Vec<ActualRoute>, NetworkError> {
        if self.read.is_some() { Ok(self.routes.clone()) } else { self.routes(network, desired).await }
    }
}

/// Of the time a tenth goes into reading while others change their routes inside our networks,
const AFTER_WORD: u32 = 10;

/// and a hundredth while they do not,
const WITHOUT_WORD: u32 = 100;

/// but it is done once in a minute.
const LONGEST: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_in_the_place_of_ours_is_known_without_a_reading() {
        let route = |protocol, is_there| ForeignRoute {
            prefix: "10.2.0.0/24".parse().unwrap(),
            metric: 101,
            protocol,
            is_there,
        };
        let mut others = Others { routes: Vec::new(), read: Some((Instant::now(), LONGEST)), is_told: false };
        others.note(&route(4, true));
        others.note(&route(4, true));
        others.note(&route(3, true));
        assert_eq!(others.routes.iter().map(|route| route.protocol).collect::<Vec<_>>(), [4, 3]);
        others.note(&route(4, false));
        assert_eq!(others.routes.iter().map(|route| route.protocol).collect::<Vec<_>>(), [3]);
        others.make_way(&"10.2.0.0/24".parse().unwrap(), 7);
        assert_eq!(others.routes.len(), 1);
        others.make_way(&"10.2.0.0/24".parse().unwrap(), 101);
        assert_eq!(others.routes, []);
    }

    #[test]
    fn a_full_table_is_read_rarely_and_a_small_one_at_each_look() {
        let now = Instant::now();
        let after = |took: u64, told: bool, rest: u64| {
            let read = Some((now, Duration::from_millis(took)));
            Others { routes: Vec::new(), read, is_told: told }.is_due(now + Duration::from_millis(rest))
        };
        assert!(after(1, false, 1000) && after(5, true, 100));
        assert!(!after(400, false, 30_000) && after(400, false, 40_000));
        assert!(!after(2000, false, 59_000) && after(2000, false, 60_000));
        assert!(!after(400, true, 3900) && after(400, true, 4000));
        let mut forgotten = Others { routes: Vec::new(), read: Some((now, LONGEST)), is_told: false };
        forgotten.forget();
        assert!(forgotten.is_due(now));
    }
}
