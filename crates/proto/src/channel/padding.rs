//! Path MTU discovery in a channel's conversation: padded probes under the session in use, and answers to the peer's.

use std::time::Instant;

use super::path_mtu::PathMtu;
use super::{Channel, Output, Peer};
use crate::control::Frame;
use crate::message::OVERHEAD;

impl Channel {
    /// Finds out from now on whether the path takes inner packets of `mtu` bytes, and if not how long they may be
    /// ([`Output::PathMtu`]). Towards plain WireGuard nothing is found out.
    ///
    /// `known`: what the path was known to take before.
    pub fn discover_path_mtu(&mut self, mtu: u16, known: Option<u16>) {
        let datagram = |mtu: u16| mtu.saturating_add(OVERHEAD as u16);
        let discovery = || PathMtu::new(datagram(mtu), known.map(datagram));
        self.path_mtu = (self.peer != Peer::WireGuard).then(discovery);
    }

    pub(super) fn go_on_discovering(&mut self, now: Instant) {
        let Some(discovery) = &mut self.path_mtu else { return };
        let session = self.sessions.used().filter(|_| self.up).map(|session| session.index);
        let Some(session) = session else { return discovery.stop() };
        let round_trip = self.liveness.as_ref().and_then(|liveness| liveness.statistics().round_trip);
        if let Some(round_trip) = round_trip {
            discovery.set_round_trip(round_trip.smoothed);
        }
        discovery.start(now);
        let before = discovery.in_use();
        let probe = discovery.handle_timeout(now);
        self.tell_path_mtu(before);
        if let Some(probe) = probe {
            let mut plaintext = Frame::PathMtuProbe { ack: false, sequence: probe.sequence, size: probe.size }.encode();
            plaintext.resize(usize::from(probe.size).saturating_sub(OVERHEAD).max(plaintext.len()), 0);
            self.outputs.push_back(Output::Seal { session, plaintext });
        }
    }

    /// The peer asks whether a size arrives, or answers that it has. `length` is the plaintext's, which shows that no shorter
    /// message claims to be a longer one.
    pub(super) fn take_path_mtu_probe(&mut self, now: Instant, index: u32, length: usize, probe: (bool, u32, u16)) {
        let (is_answer, sequence, size) = probe;
        if self.sessions.get(index).is_none_or(|session| !session.admitted) {
            return;
        }
        if !is_answer {
            if length + OVERHEAD >= usize::from(size) {
                let answer = Frame::PathMtuProbe { ack: true, sequence, size };
                self.outputs.push_back(Output::Seal { session: index, plaintext: answer.encode() });
            }
            return;
        }
        let Some(discovery) = &mut self.path_mtu else { return };
        let before = discovery.in_use();
        discovery.handle_answer(now, sequence, size);
        self.tell_path_mtu(before);
    }

    fn tell_path_mtu(&mut self, before: u16) {
        let in_use = self.path_mtu.as_ref().map_or(before, PathMtu::in_use);
        if in_use != before {
            self.outputs.push_back(Output::PathMtu(in_use - OVERHEAD as u16));
        }
    }
}
