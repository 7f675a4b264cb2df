use super::*;

const MS: Duration = Duration::from_millis(1);

/// Two machines that hand each other their frames at once.
struct Two {
    now: Instant,
    ends: [Liveness; 2],
    /// Whether what an end sends arrives.
    passes: [bool; 2],
}

impl Two {
    fn new(settings: Settings) -> Two {
        let now = Instant::now();
        Two { now, ends: [0, 1].map(|_| Liveness::new(settings, now)), passes: [true; 2] }
    }

    fn connected(settings: Settings) -> Two {
        let mut two = Two::new(settings);
        for end in &mut two.ends {
            end.admit();
            end.connect(two.now);
        }
        two.run(MS * 50);
        two
    }

    fn take(&mut self, to: usize, frame: Frame) -> Option<Frame> {
        let end = &mut self.ends[to];
        match frame {
            Frame::Probe { sequence, interval_micros, signal } => {
                let interval = Duration::from_micros(interval_micros.into());
                Some(end.take_probe(self.now, self.now, sequence, interval, &signal))
            }
            Frame::ProbeReply { sequence, sent_micros, held_micros, signal } => {
                end.take_reply(self.now, self.now, sequence, (sent_micros, held_micros), &signal);
                None
            }
            other => panic!("{other:?}"),
        }
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.now += MS;
            for from in [0, 1] {
                self.ends[from].handle_timeout(self.now);
                let Some(probe) = self.ends[from].poll_probe(self.now, 0.5) else { continue };
                let reply = if self.passes[from] { self.take(1 - from, probe) } else { None };
                if let Some(reply) = reply.filter(|_| self.passes[1 - from]) {
                    self.take(from, reply);
                }
            }
        }
    }

    fn states(&self) -> [LivenessState; 2] {
        [0, 1].map(|end| self.ends[end].state())
    }
}

use LivenessState::{Down, Init, Up};

fn signal(state: LivenessState, clock_micros: u64) -> Signal {
    Signal { state, diagnosis: Diagnosis::None, clock_micros }
}

/// One end in a state, that is ready to go on.
fn in_state(state: LivenessState) -> (Liveness, Instant) {
    let now = Instant::now();
    let mut end = Liveness::new(Settings::default(), now);
    end.connect(now);
    (end.good, end.needed, end.state, end.heard, end.told) = (9, 1, state, now, now);
    (end, now)
}

#[test]
fn the_states_follow_one_another_as_rfc_5880_says() {
    let table = [
        (Down, Down, Init),
        (Down, Init, Up),
        (Down, Up, Down),
        (Init, Down, Init),
        (Init, Init, Up),
        (Init, Up, Up),
        (Up, Down, Down),
        (Up, Init, Up),
        (Up, Up, Up),
    ];
    for (ours, heard, then) in table {
        let (mut end, now) = in_state(ours);
        end.take_signal(now, now, &signal(heard, 1));
        assert_eq!(end.state(), then, "{ours:?} that hears {heard:?}");
    }
}

#[test]
fn an_end_that_is_not_ready_stays_down() {
    let unready: [fn(&mut Liveness, Instant); 3] =
        [|end, _| end.good = 0, |end, now| end.hold.fail_often(now), |end, _| end.connected = false];
    for spoil in unready {
        for heard in [Down, Init, Up] {
            let (mut end, now) = in_state(Down);
            spoil(&mut end, now);
            end.take_signal(now, now, &signal(heard, 1));
            assert_eq!(end.state(), Down);
        }
    }
}

#[test]
fn a_hold_down_that_is_waived_at_both_ends_holds_nothing_up() {
    let mut two = Two::connected(Settings::default());
    two.ends.iter_mut().for_each(|end| end.hold.fail_often(two.now));
    two.passes = [false; 2];
    two.run(2000 * MS);
    two.passes = [true; 2];
    two.run(2000 * MS);
    assert_eq!(two.states(), [Down, Down]);
    two.ends[0].waive_hold_down(two.now);
    two.run(2000 * MS);
    assert_ne!(two.states()[0], Up, "the other end holds it down");
    two.ends[1].waive_hold_down(two.now);
    two.run(300 * MS);
    assert_eq!(two.states(), [Up, Up]);
}

#[test]
fn a_signal_that_was_overtaken_tells_nothing_but_that_the_peer_lives() {
    let (mut end, now) = in_state(Up);
    end.take_signal(now, now, &signal(Up, 10));
    let later = now + MS;
    end.take_signal(later, later, &signal(Down, 9));
    assert_eq!((end.state(), end.peer().map(|(state, _)| state)), (Up, Some(Up)));
    assert_eq!(end.last_heard(), later);
    end.restarted();
    end.take_signal(later, later, &signal(Init, 3));
    assert_eq!(end.peer().map(|(state, _)| state), Some(Init), "another life has another clock");
}

#[test]
fn an_end_that_is_up_takes_it_back_when_its_peer_does_not_follow() {
    let (mut end, mut now) = in_state(Down);
    end.take_signal(now, now, &signal(Init, 1));
    assert_eq!(end.state(), Up);
    for clock in 2..200 {
        now += 50 * MS;
        end.heard(now);
        end.take_signal(now, now, &signal(Init, clock));
        end.handle_timeout(now);
    }
    assert_eq!((end.state(), end.failure()), (Down, Some(Failure::PeerDown)));
}

#[test]
fn only_what_tells_the_peers_state_keeps_an_end_in_init() {
    let (mut end, mut now) = in_state(Down);
    end.take_signal(now, now, &signal(Down, 1));
    assert_eq!(end.state(), Init);
    for _ in 0..20 {
        now += 50 * MS;
        end.heard(now);
        end.handle_timeout(now);
    }
    assert_eq!((end.state(), end.failure(), end.is_deaf()), (Down, None, false));
}

#[test]
fn both_come_up_together_and_go_down_together() {
    for blocked in [0, 1] {
        let mut two = Two::connected(Settings::default());
        assert_eq!(two.states(), [Up, Up]);
        two.passes[blocked] = false;
        two.run(760 * MS);
        assert_eq!(two.states(), [Down, Down]);
        let heard_nothing = 1 - blocked;
        assert_eq!(two.ends[heard_nothing].failure(), Some(Failure::NotHeard(750 * MS)));
        assert_eq!(two.ends[blocked].failure(), Some(Failure::NotHeardByPeer));
        assert_eq!([0, 1].map(|end| two.ends[end].is_deaf()), [heard_nothing == 0, heard_nothing == 1]);
    }
}

#[test]
fn each_end_tells_who_went_along_with_a_sibling() {
    let mut two = Two::connected(Settings::default());
    two.ends[0].go_along(two.now);
    assert!(matches!(two.ends[0].failure(), Some(Failure::WithSibling(_))));
    while two.states() != [Down, Down] {
        two.run(MS);
    }
    assert_eq!(two.ends[1].failure(), Some(Failure::WithSiblingAtPeer));
}

#[test]
fn after_a_failure_up_after_round_trips_in_a_row_are_needed() {
    for up_after in [1, 3, 10] {
        let settings = Settings { up_after, ..Settings::default() };
        let mut two = Two::connected(settings);
        two.passes = [false; 2];
        two.run(2000 * MS);
        two.passes = [true; 2];
        let began = two.now;
        while two.states() != [Up, Up] {
            two.run(MS);
        }
        let probes = (two.now - began).as_millis() / 218;
        assert!((u128::from(up_after) - 1..=u128::from(up_after)).contains(&probes), "{up_after}: {probes}");
    }
}

#[test]
fn a_lost_round_trip_makes_them_begin_anew() {
    let mut two = Two::connected(Settings { up_after: 4, ..Settings::default() });
    two.passes = [false; 2];
    two.run(2000 * MS);
    for _ in 0..20 {
        two.passes = [true; 2];
        two.run(2 * 219 * MS);
        two.passes = [false; 2];
        two.run(219 * MS);
        assert_eq!(two.states(), [Down, Down]);
    }
}

#[test]
fn a_suspect_channel_is_probed_once_out_of_turn() {
    let (mut end, now) = in_state(Up);
    end.take_signal(now, now, &signal(Up, 1));
    end.next_probe = now + Duration::from_secs(9);
    assert_eq!(end.poll_timeout(), Some(now + 250 * MS * 5 / 4));
    let then = now + 313 * MS;
    end.handle_timeout(then);
    assert!(end.poll_probe(then, 0.0).is_some());
    end.handle_timeout(then + 10 * MS);
    assert_eq!(end.poll_probe(then + 10 * MS, 0.0), None);
    end.heard(then + 20 * MS);
    assert_eq!(end.poll_timeout(), Some(then + 250 * MS), "the next probe is due before it is suspect again");
}

#[test]
fn with_a_down_after_of_one_a_probe_comes_before_the_interval_is_over() {
    let sharp = Settings { down_after: 1, ..Settings::default() };
    for (random, most) in [(0.0, 225), (1.0, 188), (7.0, 188), (-1.0, 225)] {
        assert!(sharp.until_next_probe(random) <= MS * most);
        assert!(sharp.until_next_probe(random) >= sharp.interval * 3 / 4 - MS);
    }
    let mut two = Two::connected(sharp);
    two.run(Duration::from_secs(60));
    assert_eq!(two.states(), [Up, Up]);
}

#[test]
fn without_a_session_nothing_is_due() {
    let mut two = Two::connected(Settings::default());
    two.ends[0].disconnect();
    assert_eq!((two.ends[0].state(), two.ends[0].poll_timeout()), (Down, None));
    assert_eq!(two.ends[0].poll_probe(two.now, 0.0), None);
}

#[test]
fn a_peer_that_lies_about_its_interval_and_its_clock_does_no_harm() {
    let (mut end, now) = in_state(Up);
    let odd = signal(Up, u64::MAX);
    end.take_probe(now, now, u64::MAX, Duration::MAX, &odd);
    assert!(end.detection_time() <= Duration::from_secs(180));
    end.take_reply(now, now, u64::MAX, (u64::MAX, u32::MAX), &odd);
    end.take_reply(now, now, 0, (0, 0), &odd);
    // Who was held up for an hour is excused for an interval.
    end.handle_timeout(now + Duration::from_secs(3600));
    end.handle_timeout(now + Duration::from_secs(3601));
    assert_eq!(end.state(), Down);
}

#[test]
fn who_was_held_up_looks_at_what_came_meanwhile_before_silence_is_believed() {
    let mut two = Two::connected(Settings::default());
    two.run(MS * 1000);
    assert_eq!(two.states(), [LivenessState::Up; 2]);
    // The machine of both stands still; what they sent each other is taken right after the timers.
    two.now += MS * 5000;
    two.run(MS * 1000);
    assert_eq!(two.states(), [LivenessState::Up; 2]);
    assert_eq!(two.ends[0].failure(), None);
}

#[test]
fn whoever_was_held_up_believes_silence_an_interval_later_all_the_same() {
    let mut two = Two::connected(Settings::default());
    two.run(MS * 1000);
    two.passes = [false; 2];
    two.now += MS * 5000;
    two.run(MS * 10);
    assert_eq!(two.states(), [LivenessState::Up; 2]);
    two.run(Settings::default().interval);
    assert_eq!(two.states(), [LivenessState::Down; 2]);
    // And being held up again and again is no excuse.
    let mut two = Two::connected(Settings::default());
    two.passes = [false; 2];
    for _ in 0..4 {
        two.now += MS * 1000;
        two.run(MS);
    }
    assert_eq!(two.states(), [LivenessState::Down; 2]);
}
