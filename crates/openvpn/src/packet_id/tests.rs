use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::options::ReplayWindow;

fn rule(packets: u32, seconds: u64) -> ReplayWindow {
    ReplayWindow { packets, time: Duration::from_secs(seconds) }
}

fn id(time: u32, id: u32) -> PacketId {
    PacketId { time, id }
}

/// OpenVPN's own way of remembering, which takes eight bytes a packet: when each id of the window was seen, newest first.
struct Model {
    packets: usize,
    seconds: u64,
    newest: PacketId,
    seen: std::collections::VecDeque<Seen>,
    reaped: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Seen {
    Never,
    At(u64),
    Expired,
}

impl Model {
    fn new(packets: usize, seconds: u64) -> Self {
        Self { packets, seconds, newest: PacketId::default(), seen: Default::default(), reaped: 0 }
    }

    fn accept(&mut self, packet: PacketId, now: u64) -> bool {
        if self.reaped + 5 <= now {
            self.reap(now);
        }
        let passes = packet.id != 0 && if self.packets == 0 { self.test_in_order(packet) } else { self.test(packet) };
        if passes {
            self.add(packet, now);
        }
        passes
    }

    fn test(&self, packet: PacketId) -> bool {
        if packet.time != self.newest.time {
            return packet.time > self.newest.time;
        }
        if packet.id > self.newest.id {
            return true;
        }
        self.seen.get((self.newest.id - packet.id) as usize) == Some(&Seen::Never)
    }

    fn test_in_order(&self, packet: PacketId) -> bool {
        match packet.time.cmp(&self.newest.time) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => self.newest.id == 0 || packet.id == self.newest.id + 1,
            std::cmp::Ordering::Greater => packet.id == 1,
        }
    }

    fn add(&mut self, packet: PacketId, now: u64) {
        if self.packets == 0 {
            self.newest = packet;
            return;
        }
        let window = self.packets as u32;
        let beyond = packet.id >= window && packet.id - window > self.newest.id;
        if self.seen.is_empty() || packet.time > self.newest.time || beyond {
            self.newest = id(packet.time, packet.id.saturating_sub(window));
            self.seen.clear();
        }
        while self.newest.id < packet.id {
            self.seen.push_front(Seen::Never);
            self.seen.truncate(self.packets);
            self.newest.id += 1;
        }
        if let Some(seen) = self.seen.get_mut((self.newest.id - packet.id) as usize) {
            *seen = Seen::At(now);
        }
    }

    fn reap(&mut self, now: u64) {
        self.reaped = now;
        let mut expire = false;
        for seen in self.seen.iter_mut().filter(|_| self.seconds > 0) {
            match *seen {
                Seen::Expired => break,
                Seen::At(at) if at + self.seconds < now => expire = true,
                _ => {}
            }
            if expire {
                *seen = Seen::Expired;
            }
        }
    }
}

/// Ids around a newest one that moves on, mostly in order, sometimes late, repeated, far ahead, or of another time.
fn traffic() -> impl Strategy<Value = Vec<(PacketId, u64)>> {
    let step = prop_oneof![
        8 => Just((0, 1_i64)),
        2 => (Just(0), -70_i64..3),
        1 => (Just(0), -400_i64..400),
        1 => (-1_i64..2, -5_i64..5),
    ];
    prop::collection::vec((step, prop_oneof![6 => Just(0_u64), 2 => 0..4_u64, 1 => 0..40_u64]), 1..300).prop_map(
        |steps| {
            let (mut time, mut newest, mut now) = (1_000_i64, 0_i64, 100_u64);
            let mut packet_of = |((times, ids), seconds): ((i64, i64), u64)| {
                now += seconds;
                if times != 0 {
                    newest = newest.min(20);
                }
                time = (time + times).max(1);
                let this = (newest + ids).max(0);
                newest = newest.max(this);
                (id(time as u32, this as u32), now)
            };
            steps.into_iter().map(&mut packet_of).collect()
        },
    )
}

proptest! {
    #[test]
    fn the_window_judges_as_openvpn_does(
        packets in prop::sample::select(&[0_usize, 1, 5, 63, 64, 65, 128, 200]),
        seconds in prop::sample::select(&[0_u64, 1, 5, 15, 600]),
        traffic in traffic(),
    ) {
        let mut window = Window::new(rule(packets as u32, seconds));
        let mut model = Model::new(packets, seconds);
        for (packet, now) in traffic {
            let verdict = window.accept(packet, now);
            prop_assert_eq!(verdict.is_ok(), model.accept(packet, now), "{:?} at {}: {:?}", packet, now, verdict);
            prop_assert_eq!(window.newest(), model.newest);
        }
    }

    #[test]
    fn no_id_passes_twice_whatever_happens(
        packets in 0..200_u32,
        seconds in 0..30_u64,
        traffic in traffic(),
        resumed in any::<prop::sample::Index>(),
    ) {
        let mut passed = std::collections::BTreeSet::new();
        let mut window = Window::new(rule(packets, seconds));
        let restart = resumed.index(traffic.len());
        for (at, (packet, now)) in traffic.into_iter().enumerate() {
            if at == restart {
                let newest = window.newest();
                window = Window::new(rule(packets, seconds));
                window.resume(newest);
            }
            if window.accept(packet, now).is_ok() {
                prop_assert!(passed.insert(packet), "{:?} passed twice", packet);
            }
        }
    }

    #[test]
    fn the_file_gives_back_what_was_kept(received in any::<Option<(u32, u32)>>(), sent in any::<Option<u32>>()) {
        let received = received.map(|(time, number)| id(time.max(1), number));
        let kept = Persisted { received, sent };
        prop_assert_eq!(Persisted::from_bytes(&kept.to_bytes()), kept);
    }

    #[test]
    fn no_file_does_harm(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let _kept = Persisted::from_bytes(&bytes);
    }
}

#[test]
fn reasons_tell_what_was_wrong() {
    let mut window = Window::new(rule(64, 15));
    assert_eq!(window.accept(id(9, 0), 100), Err(Replay::Zero));
    assert_eq!(window.accept(id(9, 200), 100), Ok(()));
    assert_eq!(window.accept(id(9, 200), 100), Err(Replay::Seen { behind: 0 }));
    assert_eq!(window.accept(id(9, 190), 100), Ok(()));
    assert_eq!(window.accept(id(9, 190), 100), Err(Replay::Seen { behind: 10 }));
    assert_eq!(window.accept(id(9, 136), 100), Err(Replay::Late { behind: 64 }));
    assert_eq!(window.accept(id(8, 500), 100), Err(Replay::TimeBacktrack));
    assert_eq!(window.backtrack(), 64);
    assert_eq!(window.accept(id(9, 180), 116), Err(Replay::Late { behind: 20 }), "a newer one was seen 16 s before");

    let mut stream = Window::new(rule(0, 0));
    assert_eq!(stream.accept(id(9, 2), 100), Err(Replay::OutOfOrder));
    assert_eq!(stream.accept(id(9, 1), 100), Ok(()));
    assert_eq!(stream.accept(id(9, 3), 100), Err(Replay::OutOfOrder));
    assert_eq!(stream.accept(id(9, 2), 100), Ok(()));
    assert_eq!(stream.accept(id(9, u32::MAX), 100), Err(Replay::OutOfOrder));
}

#[test]
fn the_widest_window_holds_as_many_as_it_says() {
    let mut window = Window::new(rule(65_536, 600));
    window.accept(id(1, 100_000), 0).unwrap();
    assert_eq!(window.accept(id(1, 100_000 - 65_535), 0), Ok(()));
    assert_eq!(window.accept(id(1, 100_000 - 65_536), 0), Err(Replay::Late { behind: 65_536 }));
    for number in 100_001..400_000 {
        window.accept(id(1, number), 0).unwrap();
    }
    assert_eq!(window.accept(id(1, 399_999 - 65_535), 0), Err(Replay::Seen { behind: 65_535 }));
}

#[test]
fn after_a_restart_what_may_have_been_seen_stays_refused() {
    let mut window = Window::new(rule(64, 0));
    window.resume(id(1_000, 50));
    assert_eq!(window.accept(id(999, 60), 0), Err(Replay::TimeBacktrack));
    assert_eq!(window.accept(id(1_000, 50), 0), Err(Replay::Late { behind: 0 }));
    assert_eq!(window.accept(id(1_000, 52), 0), Ok(()));
    assert_eq!(window.accept(id(1_000, 50), 0), Err(Replay::Late { behind: 2 }));
    assert_eq!(window.accept(id(1_000, 51), 0), Ok(()));
}

#[test]
fn a_sender_never_goes_back_in_time() {
    assert_eq!(SendIds::new(1_000, None).take(), Some(id(1_000, 1)));
    assert_eq!(SendIds::new(1_000, Some(900)).take(), Some(id(1_000, 1)));
    assert_eq!(SendIds::new(1_000, Some(1_000)).take(), Some(id(1_001, 1)), "a restart within a second");
    assert_eq!(SendIds::new(1_000, Some(87_400)).take(), Some(id(87_401, 1)), "the clock went back by a day");
    assert_eq!(SendIds::new(0, None).take(), Some(id(1, 1)), "zero is no time for OpenVPN");
    let mut ids = SendIds::new(1_000, None);
    assert_eq!((ids.take(), ids.take(), ids.time()), (Some(id(1_000, 1)), Some(id(1_000, 2)), 1_000));
}

/// A file as OpenVPN on a 64-bit machine writes it.
#[test]
fn openvpns_own_file_is_read_and_keeps_its_place() {
    let mut theirs = Vec::new();
    theirs.extend(1_700_000_000_i64.to_ne_bytes());
    theirs.extend(77_u32.to_ne_bytes());
    theirs.extend([0xaa; 4]);
    let kept = Persisted::from_bytes(&theirs);
    assert_eq!(kept, Persisted { received: Some(id(1_700_000_000, 77)), sent: None });
    assert_eq!(kept.to_bytes()[..12], theirs[..12]);
    assert_eq!(Persisted::from_bytes(&theirs[..15]), Persisted::default(), "cut short");
    assert_eq!(Persisted::from_bytes(&[]), Persisted::default());
}
