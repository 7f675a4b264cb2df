//! Which remote is tried, and which of its addresses (init.c, `next_connection_entry`, `do_close_link_socket`).

use std::{collections::VecDeque, net::SocketAddr};

use meshtun_openvpn::{
    options::{Options, Remote},
    text::{Ending, Origin},
};
use rand::seq::SliceRandom;

/// The remotes of the configuration in the order in which they are tried, over and over.
#[derive(Debug, Default)]
pub(super) struct Remotes {
    order: Vec<usize>,
    current: usize,
    /// What the name of the current one resolved to, the one that is tried first.
    addresses: VecDeque<SocketAddr>,
    /// All that it resolved to.
    all: Vec<SocketAddr>,
    /// It was heard: it is tried once more before any other.
    stays: bool,
}

impl Remotes {
    pub(super) fn new(options: &Options) -> Remotes {
        let mut order: Vec<usize> = (0..options.remotes.len()).collect();
        if options.remote_random {
            order.shuffle(&mut rand::rng());
        }
        Remotes { order, ..Remotes::default() }
    }

    /// Whichever is tried in this session.
    pub(super) fn current<'a>(&self, options: &'a Options) -> Option<&'a Remote> {
        options.remotes.get(*self.order.get(self.current)?)
    }

    /// Its address, once it is known.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.addresses.front().copied()
    }

    /// All addresses of its name, those included that were tried before; none if they are not known any more.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        if self.addresses.is_empty() { &[] } else { &self.all }
    }

    /// Takes what its name resolved to.
    pub(super) fn resolved(&mut self, addresses: Vec<SocketAddr>) {
        self.all.clone_from(&addresses);
        self.addresses = addresses.into();
    }

    /// The session is up.
    pub(super) fn established(&mut self) {
        self.stays = true;
    }

    /// A session ended so: goes on to the next address, or to the next remote; a name is resolved anew then.
    pub(super) fn advance(&mut self, ending: Ending) {
        let more = self.addresses.len() > 1;
        if ending.origin == Origin::Hard || !(more || self.stays) {
            self.addresses.clear();
        }
        if std::mem::take(&mut self.stays) {
            return;
        }
        if self.addresses.len() > 1 {
            self.addresses.pop_front();
            return;
        }
        self.addresses.clear();
        self.current = (self.current + 1).checked_rem(self.order.len()).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use meshtun_openvpn::{directive::read_file, text::Signal};

    use super::*;

    fn options(more: &str) -> Options {
        let text = format!("dev tun\nsecret k\nremote a.example\nremote b.example\nremote c.example\n{more}");
        Options::read(&read_file("nq1.conf", text.as_bytes(), &mut |_| unreachable!("nothing is named"))).options
    }

    fn soft() -> Ending {
        Ending::soft(Signal::Usr1, "ping-restart")
    }

    fn address(last: u8) -> SocketAddr {
        ([192, 0, 2, last], 1194).into()
    }

    fn host<'a>(remotes: &Remotes, options: &'a Options) -> &'a str {
        &remotes.current(options).unwrap().host
    }

    #[test]
    fn those_that_are_not_heard_are_tried_in_their_order_and_again_from_the_first() {
        let options = options("");
        let mut remotes = Remotes::new(&options);
        let mut tried = Vec::new();
        for _ in 0..4 {
            tried.push(host(&remotes, &options));
            remotes.advance(soft());
        }
        assert_eq!(tried, ["a.example", "b.example", "c.example", "a.example"]);
    }

    #[test]
    fn all_addresses_of_a_name_are_tried_before_the_next_remote() {
        let options = options("");
        let mut remotes = Remotes::new(&options);
        remotes.resolved(vec![address(1), address(2)]);
        assert_eq!(remotes.address(), Some(address(1)));
        remotes.advance(soft());
        assert_eq!((host(&remotes, &options), remotes.address()), ("a.example", Some(address(2))));
        assert_eq!(remotes.addresses(), [address(1), address(2)], "it may answer from each");
        remotes.advance(soft());
        assert_eq!((host(&remotes, &options), remotes.address()), ("b.example", None));
        assert_eq!(remotes.addresses(), []);
    }

    #[test]
    fn the_one_that_was_heard_is_tried_once_more_and_after_a_signal_its_name_is_resolved_anew() {
        let options = options("");
        let mut remotes = Remotes::new(&options);
        remotes.resolved(vec![address(1)]);
        remotes.established();
        remotes.advance(soft());
        assert_eq!((host(&remotes, &options), remotes.address()), ("a.example", Some(address(1))));
        remotes.established();
        remotes.advance(Ending::hard(Signal::Usr1));
        assert_eq!((host(&remotes, &options), remotes.address()), ("a.example", None));
        remotes.advance(soft());
        assert_eq!(host(&remotes, &options), "b.example");
    }

    #[test]
    fn with_remote_random_the_order_is_another_and_none_is_left_out() {
        let options = options("remote-random\n");
        let mut firsts: Vec<&str> = (0..200).map(|_| host(&Remotes::new(&options), &options)).collect();
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts, ["a.example", "b.example", "c.example"]);
        let mut order = Remotes::new(&options).order;
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2]);
    }

    #[test]
    fn without_a_remote_there_is_none_to_try() {
        let mut remotes = Remotes::default();
        remotes.advance(soft());
        assert!(remotes.current(&options("")).is_none() && remotes.address().is_none());
    }
}
