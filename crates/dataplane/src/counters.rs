//! Counters of the halves: one writer each, read at any time, folded when asked.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)*) => {
        /// Why a packet or a datagram was dropped. The label is the metric's label too.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(usize)]
        pub enum DropReason { $($(#[$doc])* $name,)* }

        impl DropReason {
            /// All of them, in the order of their numbers.
            pub const ALL: &[DropReason] = &[$(DropReason::$name,)*];

            /// The word that `status` and the metrics use.
            pub fn label(self) -> &'static str {
                match self { $(DropReason::$name => $label,)* }
            }
        }
    };
}

drop_reasons! {
    /// Sending: no session may carry inner packets.
    NoSession = "no-session",
    /// Sending: the peer's address is not known.
    NoEndpoint = "no-endpoint",
    /// Sending: what came from the tun device is no IP packet, or its virtio header contradicts it.
    BadSuperPacket = "bad-super-packet",
    /// Sending: packets came faster than they could be sealed and sent, and the memory for those that wait was full.
    QueueFull = "queue-full",
    /// Sending: the packet's flow had waited too long for too long (RFC 8289).
    QueueDelay = "queue-delay",
    /// Sending: longer than the device's MTU.
    TooBig = "too-big",
    /// Sending: longer than the underlay's MTU.
    TooBigForUnderlay = "too-big-for-underlay",
    /// Sending: the underlay has no way to the peer, or a firewall of this machine refused.
    Unreachable = "unreachable",
    /// Sending: any other error of the socket.
    SendError = "send-error",
    /// Receiving: neither a WireGuard message nor long enough to be one.
    Malformed = "malformed",
    /// Receiving: longer than the receive buffer.
    Truncated = "truncated",
    /// Receiving: a transport message for a session that this channel does not have.
    UnknownSession = "unknown-session",
    /// Receiving: from an address that the channel shall not hear.
    WrongPeer = "wrong-peer",
    /// Receiving: authentication failed.
    Forged = "forged",
    /// Receiving: a counter that was seen before, or one too old to tell.
    Replayed = "replayed",
    /// Receiving: the session is past its time or its message limit.
    Expired = "expired",
    /// Receiving: an inner packet before the peer's hello matched.
    NotAdmitted = "not-admitted",
    /// Receiving: authentic, but neither an IP packet nor a control frame.
    BadInner = "bad-inner",
    /// Receiving: an authentic part of a packet that does not fit the others, or whose others never came.
    BadFragment = "bad-fragment",
    /// Receiving: an inner packet whose source is not of the peer's networks.
    BadSource = "bad-source",
    /// Receiving: an inner packet whose destination is not of our networks.
    BadDestination = "bad-destination",
    /// Receiving: the control side could not take a handshake message or control frame in time.
    ControlBusy = "control-busy",
    /// Receiving: the tun device is down.
    DeviceDown = "device-down",
    /// Receiving: the tun device refused the packet.
    DeviceError = "device-error",
}

impl DropReason {
    /// The datagram was authentic and came in its turn: what is wrong is inside it.
    pub(crate) fn is_of_content(self) -> bool {
        matches!(self, DropReason::BadInner | DropReason::BadFragment)
    }
}

/// A number with one writer. Adding is a load and a store, never an atomic read-modify-write.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

#[derive(Debug)]
pub(crate) struct Drops([Counter; DropReason::ALL.len()]);

impl Default for Drops {
    fn default() -> Drops {
        Drops(std::array::from_fn(|_| Counter::default()))
    }
}

impl Drops {
    pub(crate) fn add(&self, reason: DropReason, n: u64) {
        self.0[reason as usize].add(n);
    }

    fn get(&self, reason: DropReason) -> u64 {
        self.0[reason as usize].get()
    }

    fn snapshot(&self) -> Vec<(DropReason, u64)> {
        let counted = DropReason::ALL.iter().map(|&reason| (reason, self.0[reason as usize].get()));
        counted.filter(|(_, n)| *n > 0).collect()
    }
}

/// Written by the sending half alone. Aligned to two cache lines, the stride of the adjacent-line prefetcher.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct SendCounters {
    pub(crate) packets: Counter,
    pub(crate) bytes: Counter,
    pub(crate) messages: Counter,
    pub(crate) super_packets: Counter,
    pub(crate) trains: Counter,
    /// Bytes of datagrams that the socket took.
    pub(crate) wire_bytes: Counter,
    /// When something was last sent, as `heard`.
    said: AtomicU64,
    pub(crate) drops: Drops,
}

/// Written by the receiving half alone.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct ReceiveCounters {
    pub(crate) packets: Counter,
    pub(crate) bytes: Counter,
    pub(crate) messages: Counter,
    pub(crate) super_packets: Counter,
    pub(crate) trains: Counter,
    pub(crate) icmp_errors: Counter,
    /// Bytes of datagrams that the socket gave.
    pub(crate) wire_bytes: Counter,
    /// Bytes of what came out of authentic datagrams.
    pub(crate) authentic_bytes: Counter,
    /// Authentic inner packets, whether they may pass or not.
    pub(crate) data: Counter,
    /// When the last authentic message came, in microseconds since the counters began; 0 before the first.
    heard: AtomicU64,
    pub(crate) drops: Drops,
}

/// A channel's counters. They survive sessions and end with the channel.
#[derive(Debug)]
pub struct Counters {
    pub(crate) sending: SendCounters,
    pub(crate) receiving: ReceiveCounters,
    began: Instant,
}

impl Default for Counters {
    /// They begin now.
    fn default() -> Counters {
        Counters { sending: SendCounters::default(), receiving: ReceiveCounters::default(), began: Instant::now() }
    }
}

/// The sending half's numbers at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SendSnapshot {
    /// Inner packets sealed and given to the kernel.
    pub packets: u64,
    /// Their bytes, without padding.
    pub bytes: u64,
    /// Transport messages sealed: inner packets, keepalives and control frames.
    pub messages: u64,
    /// Reads from the tun device: one may be a super-packet of many segments.
    pub super_packets: u64,
    /// Calls that sent datagrams.
    pub trains: u64,
    /// Bytes of datagrams sent, without UDP and IP headers.
    pub wire_bytes: u64,
    /// Packets dropped, by reason, without the zeros.
    pub dropped: Vec<(DropReason, u64)>,
}

/// The receiving half's numbers at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiveSnapshot {
    /// Inner packets written to the tun device.
    pub packets: u64,
    /// Their bytes, without padding.
    pub bytes: u64,
    /// Authenticated transport messages: inner packets, keepalives and control frames.
    pub messages: u64,
    /// Writes to the tun device: one may be a super-packet of many segments.
    pub super_packets: u64,
    /// Calls that received datagrams.
    pub trains: u64,
    /// ICMP errors let through although a router on the way sent them (part of `packets`).
    pub icmp_errors: u64,
    /// Bytes of datagrams received, without UDP and IP headers, authentic or not.
    pub wire_bytes: u64,
    /// Bytes of opened messages: inner packets with their padding, frames, and what the format keeps to itself.
    pub authentic_bytes: u64,
    /// Datagrams and packets dropped, by reason, without the zeros.
    pub dropped: Vec<(DropReason, u64)>,
}

/// Both halves' numbers. They are read one after another while the halves run: no total is exact to the packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CountersSnapshot {
    /// tun → UDP.
    pub sending: SendSnapshot,
    /// UDP → tun.
    pub receiving: ReceiveSnapshot,
}

impl Counters {
    /// The numbers as they stand.
    pub fn snapshot(&self) -> CountersSnapshot {
        CountersSnapshot { sending: self.sending.snapshot(), receiving: self.receiving.snapshot() }
    }

    /// What the channel's timers need: (inner packets sent, messages sent, inner packets received, messages received).
    ///
    /// A packet that came counts as received even if the filter or the device refuses it: its sender waits for a sign of
    /// life (WireGuard arms its keepalive before it looks at the source).
    ///
    /// A packet that the underlay refused counts as sent here: nobody will answer it either, and a channel whose underlay
    /// is gone must not pass for one that has nothing to say.
    pub fn traffic(&self) -> (u64, u64, u64, u64) {
        let (sending, receiving) = (&self.sending, &self.receiving);
        let refused = [DropReason::Unreachable, DropReason::SendError, DropReason::TooBigForUnderlay];
        let refused: u64 = refused.into_iter().map(|reason| sending.drops.get(reason)).sum();
        let sent = sending.packets.get() + refused;
        (sent, sending.messages.get(), receiving.data.get(), receiving.messages.get())
    }

    /// When the last authentic message came, to the turn of the receiving half; none before the first.
    pub fn heard(&self) -> Option<Instant> {
        self.moment(&self.receiving.heard)
    }

    /// When the socket last took something to send, to the turn of the sending half; none before the first.
    pub fn said(&self) -> Option<Instant> {
        self.moment(&self.sending.said)
    }

    /// Authentic messages were received in a turn that began now.
    pub(crate) fn hear(&self, now: Instant) {
        self.receiving.heard.store(self.micros(now), Relaxed);
    }

    /// Something was sent in a turn that began now.
    pub(crate) fn say(&self, now: Instant) {
        self.sending.said.store(self.micros(now), Relaxed);
    }

    fn moment(&self, micros: &AtomicU64) -> Option<Instant> {
        let micros = micros.load(Relaxed);
        (micros > 0).then(|| self.began + Duration::from_micros(micros))
    }

    fn micros(&self, now: Instant) -> u64 {
        (now.saturating_duration_since(self.began).as_micros() as u64).max(1)
    }
}

impl SendCounters {
    fn snapshot(&self) -> SendSnapshot {
        SendSnapshot {
            packets: self.packets.get(),
            bytes: self.bytes.get(),
            messages: self.messages.get(),
            super_packets: self.super_packets.get(),
            trains: self.trains.get(),
            wire_bytes: self.wire_bytes.get(),
            dropped: self.drops.snapshot(),
        }
    }
}

impl ReceiveCounters {
    fn snapshot(&self) -> ReceiveSnapshot {
        ReceiveSnapshot {
            packets: self.packets.get(),
            bytes: self.bytes.get(),
            messages: self.messages.get(),
            super_packets: self.super_packets.get(),
            trains: self.trains.get(),
            icmp_errors: self.icmp_errors.get(),
            wire_bytes: self.wire_bytes.get(),
            authentic_bytes: self.authentic_bytes.get(),
            dropped: self.drops.snapshot(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_drop_reason_has_a_label_of_its_own() {
        let labels: std::collections::BTreeSet<_> = DropReason::ALL.iter().map(|r| r.label()).collect();
        assert_eq!(labels.len(), DropReason::ALL.len());
    }

    #[test]
    fn counters_of_the_two_halves_share_no_cache_line() {
        let counters = Counters::default();
        let sending = std::ptr::from_ref(&counters.sending).addr();
        let receiving = std::ptr::from_ref(&counters.receiving).addr();
        assert_eq!((sending % 128, receiving % 128), (0, 0));
        assert!(sending.abs_diff(receiving) >= size_of::<SendCounters>().min(size_of::<ReceiveCounters>()));
    }

    #[test]
    fn what_the_underlay_refused_counts_as_sent_for_the_timers_and_nowhere_else() {
        let counters = Counters::default();
        counters.sending.packets.add(5);
        counters.sending.messages.add(6);
        counters.sending.drops.add(DropReason::Unreachable, 3);
        counters.sending.drops.add(DropReason::NoSession, 7);
        counters.receiving.data.add(2);
        assert_eq!(counters.traffic(), (8, 6, 2, 0));
        assert_eq!(counters.snapshot().sending.packets, 5);
    }

    #[test]
    fn the_last_sign_of_life_is_told_to_the_microsecond() {
        let counters = Counters::default();
        assert_eq!(counters.heard(), None);
        counters.hear(counters.began);
        assert!(counters.heard().is_some());
        let now = counters.began + Duration::from_micros(1234);
        counters.hear(now);
        assert_eq!(counters.heard(), Some(now));
    }

    #[test]
    fn a_snapshot_lists_only_the_reasons_that_happened() {
        let counters = Counters::default();
        counters.receiving.drops.add(DropReason::Forged, 3);
        counters.sending.packets.add(7);
        let snapshot = counters.snapshot();
        assert_eq!(snapshot.receiving.dropped, [(DropReason::Forged, 3)]);
        assert_eq!((snapshot.sending.packets, snapshot.sending.dropped.len()), (7, 0));
    }
}
