//! The way in: what the receiving half opens with.

use std::{
    ops::Range,
    time::{Duration, Instant, UNIX_EPOCH},
};

use meshtun_dataplane::{Authentic, DropReason, Opened, Opening, Together};
use meshtun_openvpn::{
    packet_id::PacketId,
    session::{self, Drop, Kind},
    text::replayed,
    wire::OpenError,
};
use meshtun_sys::clock::LocalTime;

use super::{SESSION, memory::Newest};

/// Opens packets and frames of one session.
#[derive(Debug)]
pub(crate) struct Incoming {
    inner: session::Incoming,
    /// From where seconds are counted.
    began: Instant,
    newest: Newest,
    /// Where in the assembled packet the last one lies.
    assembled: Range<usize>,
    /// Why the last datagram was not opened.
    refused: Option<Refused>,
    /// Nothing is said of replays.
    mute: bool,
}

/// Why a datagram was not opened.
#[derive(Clone, Copy, Debug)]
enum Refused {
    /// The format says so.
    Format(Drop),
    /// It is authentic, and what is in it begins so, which no packet of IP does.
    NoPacket(u8),
}

impl Incoming {
    pub(super) fn new(inner: session::Incoming, mute: bool) -> Incoming {
        let newest = Newest::default();
        Incoming { inner, began: Instant::now(), newest, assembled: 0..0, refused: None, mute }
    }

    /// For whoever keeps it.
    pub(crate) fn newest(&self) -> Newest {
        self.newest.clone()
    }
}

impl Opening for Incoming {
    fn session(&self) -> u32 {
        SESSION
    }

    fn expires(&self) -> Option<Instant> {
        None
    }

    fn authenticate(&self, datagrams: Together<'_>) -> Option<Authentic> {
        let authentic = self.inner.authenticate(datagrams.iter());
        Some(Authentic::of((0..Authentic::MOST).map(|number| authentic.is(number))))
    }

    fn open(&mut self, datagram: &mut [u8], is_authentic: Option<bool>, now: Instant) -> Result<Opened, DropReason> {
        let seconds = now.saturating_duration_since(self.began).as_secs();
        let opened = match is_authentic {
            Some(is_authentic) => self.inner.open_authentic(datagram, is_authentic, seconds),
            None => self.inner.open(datagram, seconds),
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(drop) => {
                self.refused = Some(Refused::Format(drop));
                return Err(reason(&drop));
            }
        };
        self.newest.set(self.inner.newest());
        if opened.kind == Kind::Packet {
            let whole: &[u8] = if opened.is_assembled { self.inner.assembled() } else { datagram };
            if let Some(first) = whole.get(opened.range.start).copied().filter(|first| !matches!(first >> 4, 4 | 6)) {
                self.refused = Some(Refused::NoPacket(first));
                return Err(DropReason::BadInner);
            }
        }
        Ok(match (opened.kind, opened.is_assembled) {
            (Kind::Packet, false) => Opened::Inner(opened.range),
            (Kind::Packet, true) => {
                self.assembled = opened.range;
                Opened::Assembled
            }
            (Kind::Message, false) => Opened::Control(opened.range),
            (Kind::Message, true) => {
                self.assembled = opened.range;
                Opened::AssembledControl
            }
            (Kind::Ping, _) => Opened::Swallowed(opened.range.len()),
            (Kind::Part, _) => Opened::Part,
            (Kind::Empty, _) => {
                self.refused = None;
                return Err(DropReason::BadInner);
            }
        })
    }

    fn assembled(&mut self) -> &mut [u8] {
        self.inner.assembled().get_mut(self.assembled.clone()).unwrap_or_default()
    }

    fn why(&self) -> Option<String> {
        match self.refused? {
            Refused::Format(Drop::Open(OpenError::Replay { .. })) if self.mute => None,
            Refused::Format(Drop::Open(OpenError::Replay { id, .. })) => Some(replayed(id, &time_of(id))),
            Refused::Format(drop) => Some(drop.to_string()),
            Refused::NoPacket(first) => Some(not_written(first)),
        }
    }
}

/// As OpenVPN says it, whose tun device refuses such a packet, and what it is likely from.
fn not_written(first: u8) -> String {
    format!(
        "write to TUN/TAP : Invalid argument (fd=-1,code=22): what the peer sends begins with {first:#04x} and not as a \
         packet of IP does: `comp-lzo` and `compress` must be the same at both ends"
    )
}

fn reason(drop: &Drop) -> DropReason {
    match drop {
        Drop::Open(OpenError::Replay { .. }) => DropReason::Replayed,
        Drop::Open(OpenError::BadTag) => DropReason::Forged,
        Drop::Open(_) => DropReason::Malformed,
        Drop::Unpack(_) => DropReason::BadInner,
        Drop::Fragment(_) => DropReason::BadFragment,
    }
}

fn time_of(id: PacketId) -> String {
    LocalTime::at(UNIX_EPOCH + Duration::from_secs(id.time.into())).to_string()
}

#[cfg(test)]
mod tests {
    use meshtun_openvpn::{
        directive::Place,
        key::StaticKey,
        occ::Message,
        options::{KeyDirection, Options, Protocol, Secret, SecretSource},
        packet_id::Persisted,
        ping::PING,
        session::Start,
    };

    use super::*;

    fn ends(fragment: u16) -> (session::Outgoing, Incoming) {
        let secret = Secret { source: SecretSource::File("key".into()), place: Place { file: None, line: 1 } };
        let options = Options { fragment: (fragment > 0).then_some(fragment), ..Options::new(secret) };
        let keys = StaticKey::from_bytes(&[7; 256]).pair(KeyDirection::Both, options.cipher, options.digest).unwrap();
        let start =
            Start { protocol: Protocol::Udp, is_ipv6: false, now: 1, persisted: Persisted::default(), seed: [3; 32] };
        let (outgoing, incoming) = session::begin(&options, &keys, &start).unwrap();
        (outgoing, Incoming::new(incoming, false))
    }

    /// What the last datagram of a payload is, and what was put together then.
    fn carried(payload: &[u8], fragment: u16) -> (usize, Opened, Vec<u8>) {
        let (mut outgoing, mut incoming) = ends(fragment);
        let mut datagrams = outgoing.seal(payload).unwrap();
        let (last, parts) = datagrams.split_last_mut().unwrap();
        for part in parts {
            assert_eq!(incoming.open(part, None, Instant::now()), Ok(Opened::Part));
        }
        let opened = incoming.open(last, None, Instant::now()).unwrap();
        (datagrams.len(), opened, incoming.assembled().to_vec())
    }

    /// forward.c, `process_incoming_link_part2`: `fragment_incoming`, decompression, `is_ping_msg`, `is_occ_msg`, the device.
    #[test]
    fn what_came_in_pieces_is_looked_at_once_it_is_whole() {
        let reply = Message::Reply([b'x'; 700].to_vec()).encode();
        let (pieces, opened, assembled) = carried(&reply, 300);
        assert!(pieces > 1);
        assert_eq!((opened, assembled), (Opened::AssembledControl, reply));

        let (pieces, opened, _) = carried(&PING, 52);
        assert!(pieces > 1);
        assert_eq!(opened, Opened::Swallowed(PING.len()), "and not given to the device");

        let packet = [0x45; 700];
        let (_, opened, assembled) = carried(&packet, 300);
        assert_eq!((opened, &assembled[..]), (Opened::Assembled, &packet[..]));
    }

    /// With `comp-lzo` or `compress` at one end alone nothing but this is to be seen of it.
    #[test]
    fn what_is_no_packet_is_not_given_to_the_device_and_told() {
        for (payload, fragment) in [(&[0xfa, 0x45, 0, 0][..], 0), (&[0xfa; 700][..], 300)] {
            let (mut outgoing, mut incoming) = ends(fragment);
            let mut datagrams = outgoing.seal(payload).unwrap();
            let last = datagrams.iter_mut().map(|datagram| incoming.open(datagram, None, Instant::now())).last();
            assert_eq!(last, Some(Err(DropReason::BadInner)));
            let why = incoming.why().unwrap();
            assert!(why.starts_with("write to TUN/TAP : Invalid argument (fd=-1,code=22)"), "{why}");
            assert!(why.contains("0xfa") && why.contains("comp-lzo"), "{why}");
        }
    }
}
