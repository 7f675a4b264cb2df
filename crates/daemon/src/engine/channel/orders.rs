//! What a channel's conversation orders, carried out: keys, datagrams, carrier.

use std::time::{Instant, SystemTime};

use meshtun_dataplane::{Command, DataPlane};
use meshtun_proto::{
    channel::{Destination, DownReason, Output, Unmatched},
    control::Reason,
};

use super::{super::tidings::Tiding, Channel};

impl Channel {
    /// Carries out all that the conversation ordered. Carrier that is due waits for [`Channel::raise`].
    pub(in crate::engine) fn carry_out(&mut self, now: Instant, plane: &DataPlane) {
        let mut is_new = false;
        while self.parting.is_none()
            && let Some(output) = self.conversation.poll_output()
        {
            is_new |= matches!(output, Output::InstallReceive(_));
            // What follows a new key tells the peer that it may use it, and the peer's first packet may be here before
            // the receiving half has looked at its orders: it would be lost as of an unknown session.
            if is_new && matches!(output, Output::Transmit { .. } | Output::Seal { .. }) {
                plane.settle_receiving(self.id);
                is_new = false;
            }
            self.obey(output, now, plane);
        }
        self.note_state(now);
    }

    /// Whether the path takes longer or shorter packets than at the last call.
    pub(in crate::engine) fn take_path_news(&mut self) -> bool {
        std::mem::take(&mut self.has_path_news)
    }

    /// Whether carrier was lost since the last call.
    pub(in crate::engine) fn take_fall(&mut self) -> bool {
        std::mem::take(&mut self.has_fallen)
    }

    /// Whether carrier is due, once the halves have obeyed what was ordered before.
    pub(in crate::engine) fn is_rising(&self) -> bool {
        self.rising.is_some()
    }

    /// Gives the device carrier, if that is due.
    pub(in crate::engine) fn raise(&mut self, now: Instant) {
        let Some(handshake) = self.rising.take() else { return };
        if self.carrier.set(true) {
            let down_for = now - self.history.carrier_changed;
            self.history.carrier_changed = now;
            self.history.handshake = Some(handshake);
            self.has_path_news |= std::mem::take(&mut self.is_forgotten);
            self.journal.up(&self.peer, &self.endpoint.describe(), handshake, down_for);
            self.tell(true, None);
        }
    }

    /// Whether the peer said goodbye and the channel waits to be taken out of the routes.
    pub(in crate::engine) fn is_parting(&self) -> bool {
        self.parting.is_some()
    }

    /// The routes lead elsewhere: what the goodbye ordered may be done.
    pub(in crate::engine) fn part(&mut self, now: Instant) {
        if let Some(reason) = self.parting.take() {
            self.fall(reason, now);
        }
    }

    /// As if the peer had said goodbye just now.
    #[cfg(test)]
    pub(in crate::engine) fn hear_goodbye(&mut self) {
        self.parting = Some(DownReason::Goodbye { reason: Reason::Down, hold: std::time::Duration::ZERO });
    }

    fn obey(&mut self, output: Output, now: Instant, plane: &DataPlane) {
        match output {
            Output::Transmit { to, datagram } => self.transmit(to, &datagram, now),
            Output::InstallReceive(key) => plane.send(self.id, Command::InstallReceive(key.into())),
            Output::InstallSend(key) => plane.send(self.id, Command::InstallSend(key.into())),
            Output::Use(session) => {
                self.history.sessions += 1;
                self.history.last_handshake = Some(SystemTime::now());
                plane.send(self.id, Command::Use(session));
            }
            Output::Admit(session) => plane.send(self.id, Command::Admit(session)),
            Output::Drain(session) => plane.send(self.id, Command::Drain(session)),
            Output::Retire(session) => plane.send(self.id, Command::Retire(session)),
            Output::Seal { session, plaintext } => plane.send(self.id, Command::Seal { session, plaintext }),
            Output::Endpoint(address) => self.handle_moved(now, address, plane),
            Output::Up { handshake } => self.rising = Some(handshake),
            Output::Down(reason @ DownReason::Goodbye { reason: Reason::Down, .. }) => self.parting = Some(reason),
            Output::Down(reason) => {
                self.is_silent |= matches!(reason, DownReason::NotHeard(_));
                self.fall(reason, now);
            }
            Output::PathMtu(mtu) => (self.path_mtu, self.has_path_news) = (Some(mtu), true),
            Output::Unmatched { why } => self.not_ours(&why, now),
        }
    }

    fn transmit(&mut self, to: Destination, datagram: &[u8], now: Instant) {
        let to = match to {
            Destination::Addr(address) => Some(address),
            Destination::Endpoint => self.endpoint.current(),
        };
        let Some(to) = to else { return };
        if let Err(error) = self.udp.send_to(datagram, &to.into()) {
            self.journal.not_sent(&to, &error, now);
        }
    }

    fn fall(&mut self, reason: DownReason, now: Instant) {
        self.rising = None;
        if self.carrier.is_up() {
            self.tell(false, Some(reason.to_string()));
        }
        if self.carrier.set(false) {
            let up_for = now - self.history.carrier_changed;
            self.history.carrier_changed = now;
            self.has_fallen = true;
            match reason {
                DownReason::Goodbye { .. } | DownReason::Closed => self.journal.down_as_told(&reason, up_for),
                _ => self.journal.down(&reason, up_for),
            }
        }
    }

    fn tell(&self, is_up: bool, reason: Option<String>) {
        // The engine hears as long as it is there.
        let _unheard = self.tidings.send(Tiding { channel: self.id, is_up, reason });
    }

    fn not_ours(&mut self, why: &Unmatched, now: Instant) {
        self.journal.unmatched(why, now);
    }
}
