//! What the soaks found, for people and for programs.

use std::{collections::BTreeMap, time::Duration};

use netns_lab::load::UdpFlow;
use serde::Serialize;

use super::{Initiator, conversation::Account};

/// Both soaks; its JSON is one line with these keys.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    scenario: &'static str,
    version: &'static str,
    /// Nothing was lost on the way (what found the peer's buffers full excepted), no flow broke, and every session was
    /// renewed.
    pub(super) pass: bool,
    /// With making the labs.
    seconds: f64,
    soaks: Vec<Figures>,
    /// What is wrong, in words.
    problems: Vec<String>,
}

/// One soak.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    /// Who initiated, and so renewed.
    pub(super) initiator: &'static str,
    /// How long was sent.
    pub(super) seconds: f64,
    /// From the host behind meshtun to the host behind the peer.
    pub(super) datagrams_to_peer: Datagrams,
    /// The other way.
    pub(super) datagrams_to_meshtun: Datagrams,
    /// The TCP flows, half of them opened from either side.
    pub(super) tcp: Tcp,
    /// Each channel.
    pub(super) channels: Vec<Channel>,
    /// Handshakes after the link was up that meshtun initiated and the peer answered.
    pub(super) renewed_by_meshtun: usize,
    /// Handshakes after the link was up that the peer initiated and meshtun answered.
    pub(super) renewed_by_peer: usize,
    /// What meshtun dropped, by reason.
    pub(super) dropped: BTreeMap<String, u64>,
    /// What the lab's devices dropped, by node and device.
    pub(super) dropped_by_devices: BTreeMap<String, u64>,
    /// Datagrams, of whatever was sent, that found the buffers of the peer's sockets full, as the kernel counts them:
    /// they are small, and the machine may stand still for longer than they last.
    pub(super) peer_overruns: u64,
}

/// Numbered datagrams, all flows of a direction together.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Datagrams {
    sent: u64,
    lost: u64,
    duplicates: u64,
    reordered: u64,
    /// Of a flow, and so are these.
    longest_loss: u64,
    longest_gap_ms: f64,
}

/// Conversations, all together.
#[derive(Debug, Default, Serialize)]
pub(super) struct Tcp {
    flows: usize,
    broken: Vec<String>,
    exchanges: u64,
    longest_answer_ms: f64,
}

/// One channel, before the load and after it.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Channel {
    pub(super) device: String,
    pub(super) interface: String,
    /// Sessions that meshtun counts.
    pub(super) sessions_before: u64,
    pub(super) sessions_after: u64,
    /// By how many seconds the peer's latest handshake moved on.
    pub(super) handshake_moved: u64,
    /// Packets that meshtun sent in between.
    pub(super) tx_packets: u64,
    /// Packets that meshtun received in between.
    pub(super) rx_packets: u64,
}

impl Report {
    pub(super) fn new(took: Duration) -> Report {
        let version = env!("CARGO_PKG_VERSION");
        let seconds = round(took.as_secs_f64());
        Report { scenario: "soak", version, pass: true, seconds, soaks: Vec::new(), problems: Vec::new() }
    }

    pub(super) fn add(&mut self, figures: Figures) {
        for problem in figures.problems() {
            self.fail(format!("{} initiates: {problem}", figures.initiator));
        }
        self.soaks.push(figures);
    }

    pub(super) fn fail(&mut self, problem: String) {
        self.pass = false;
        self.problems.push(problem);
    }

    pub(super) fn text(&self) -> String {
        let mut text: String = self.soaks.iter().map(Figures::text).collect();
        for problem in &self.problems {
            text += &format!("FAILED: {problem}\n");
        }
        text + if self.pass { "Every session was renewed, which cost no packet." } else { "Not passed." }
    }
}

impl Figures {
    /// What should not be.
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let [to_peer, to_meshtun] = [&self.datagrams_to_peer, &self.datagrams_to_meshtun];
        // What the peer's sockets had no room for came to it: meshtun and the change of sessions have not lost it.
        for (way, datagrams, excused) in [("the peer", to_peer, self.peer_overruns), ("meshtun", to_meshtun, 0)] {
            let lost = datagrams.lost.saturating_sub(excused);
            if lost > 0 || datagrams.sent == 0 {
                problems.push(format!("{lost} of {} datagrams to {way} were lost", datagrams.sent));
            }
        }
        problems.extend(self.tcp.broken.iter().map(|why| format!("a TCP flow broke: {why}")));
        for channel in &self.channels {
            if channel.sessions_after <= channel.sessions_before || channel.handshake_moved == 0 {
                problems.push(format!("the session of {} was not renewed", channel.device));
            }
            if channel.tx_packets == 0 || channel.rx_packets == 0 {
                problems.push(format!("{} carried nothing in one direction", channel.device));
            }
        }
        let (meant, other) = match self.initiator {
            name if name == Initiator::Meshtun.name() => (self.renewed_by_meshtun, self.renewed_by_peer),
            _ => (self.renewed_by_peer, self.renewed_by_meshtun),
        };
        if meant < self.channels.len() || other > 0 {
            problems.push(format!("of the renewals {meant} were initiated by {}, {other} not", self.initiator));
        }
        problems
    }

    fn text(&self) -> String {
        let mut text = format!("{} initiates, {:.0} s:\n", self.initiator, self.seconds);
        for (way, seen) in [("to the peer", &self.datagrams_to_peer), ("to meshtun", &self.datagrams_to_meshtun)] {
            text += &format!(
                "  datagrams {way}: {} sent, {} lost, {} doubled, {} out of order, longest gap {:.0} ms\n",
                seen.sent, seen.lost, seen.duplicates, seen.reordered, seen.longest_gap_ms
            );
        }
        text += &format!(
            "  TCP: {} flows, {} broken, {} messages answered, the slowest after {:.0} ms\n",
            self.tcp.flows,
            self.tcp.broken.len(),
            self.tcp.exchanges,
            self.tcp.longest_answer_ms
        );
        for channel in &self.channels {
            text += &format!(
                "  {} to {}: session {}, then {}; handshake {} s later; {} packets out, {} in\n",
                channel.device,
                channel.interface,
                channel.sessions_before,
                channel.sessions_after,
                channel.handshake_moved,
                channel.tx_packets,
                channel.rx_packets
            );
        }
        text += &format!("  dropped by meshtun: {:?}, by devices: {:?}", self.dropped, self.dropped_by_devices);
        text + &format!(", by the peer's socket buffers: {}\n", self.peer_overruns)
    }
}

impl From<UdpFlow> for Datagrams {
    fn from(flow: UdpFlow) -> Datagrams {
        Datagrams {
            sent: flow.sent + flow.refused,
            // Refused by the sender's kernel, as where there is no route: lost all the same.
            lost: flow.lost() + flow.refused,
            duplicates: flow.duplicates,
            reordered: flow.reordered,
            longest_loss: flow.longest_loss,
            longest_gap_ms: milliseconds(flow.longest_gap),
        }
    }
}

impl FromIterator<Account> for Tcp {
    fn from_iter<T: IntoIterator<Item = Account>>(accounts: T) -> Tcp {
        let mut tcp = Tcp::default();
        for account in accounts {
            tcp.flows += 1;
            tcp.exchanges += account.exchanges;
            tcp.longest_answer_ms = tcp.longest_answer_ms.max(milliseconds(account.longest));
            tcp.broken.extend(account.broken.map(|error| format!("after {} messages: {error}", account.exchanges)));
        }
        tcp
    }
}

fn milliseconds(time: Duration) -> f64 {
    round(time.as_secs_f64() * 1e3)
}

/// To three decimals: more would pretend.
pub(super) fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        let channel = Channel {
            device: "cable0".into(),
            interface: "wg1-0".into(),
            sessions_before: 1,
            sessions_after: 2,
            handshake_moved: 120,
            tx_packets: 9,
            rx_packets: 9,
        };
        let datagrams = Datagrams { sent: 10, ..Datagrams::default() };
        Figures {
            initiator: Initiator::Meshtun.name(),
            seconds: 130.0,
            datagrams_to_peer: datagrams.clone(),
            datagrams_to_meshtun: datagrams,
            tcp: [Account { exchanges: 3, ..Account::default() }].into_iter().collect(),
            channels: vec![channel],
            renewed_by_meshtun: 1,
            renewed_by_peer: 0,
            dropped: BTreeMap::new(),
            dropped_by_devices: BTreeMap::new(),
            peer_overruns: 0,
        }
    }

    fn problem_of(change: impl FnOnce(&mut Figures)) -> String {
        let mut figures = figures();
        change(&mut figures);
        let mut report = Report::new(Duration::ZERO);
        report.add(figures);
        assert_eq!(report.pass, report.problems.is_empty());
        report.problems.join("; ")
    }

    #[test]
    fn a_soak_without_loss_and_with_new_sessions_passes() {
        assert_eq!(problem_of(|_| {}), "");
    }

    #[test]
    fn whatever_should_not_be_fails_it() {
        assert!(problem_of(|f| f.datagrams_to_meshtun.lost = 1).contains("1 of 10 datagrams to meshtun"));
        assert!(problem_of(|f| f.datagrams_to_peer.sent = 0).contains("0 of 0 datagrams to the peer"));
        assert!(problem_of(|f| f.tcp.broken.push("gone".into())).contains("a TCP flow broke: gone"));
        assert!(problem_of(|f| f.channels[0].sessions_after = 1).contains("cable0 was not renewed"));
        assert!(problem_of(|f| f.channels[0].handshake_moved = 0).contains("cable0 was not renewed"));
        assert!(problem_of(|f| f.channels[0].rx_packets = 0).contains("cable0 carried nothing"));
        assert!(problem_of(|f| f.renewed_by_meshtun = 0).contains("0 were initiated by meshtun"));
        assert!(problem_of(|f| f.renewed_by_peer = 1).contains("1 not"));
    }

    #[test]
    fn datagrams_for_which_the_peer_had_no_room_are_not_held_against_the_link() {
        let lost =
            |to_peer, overruns| problem_of(|f| (f.datagrams_to_peer.lost, f.peer_overruns) = (to_peer, overruns));
        assert_eq!(lost(5, 5), "");
        assert!(lost(6, 5).contains("1 of 10 datagrams to the peer"));
        assert!(problem_of(|f| (f.datagrams_to_meshtun.lost, f.peer_overruns) = (1, 5)).contains("1 of 10"));
    }

    #[test]
    fn who_must_renew_is_who_initiated() {
        let by_peer = |f: &mut Figures| f.initiator = Initiator::Peer.name();
        assert!(problem_of(by_peer).contains("0 were initiated by wireguard-go, 1 not"));
    }

    #[test]
    fn a_soak_that_could_not_run_fails() {
        let mut report = Report::new(Duration::ZERO);
        report.fail("wg is not installed".into());
        assert!(!report.pass && report.text().contains("wg is not installed"));
    }
}
