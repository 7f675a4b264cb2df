use super::*;

const MS: u64 = 1000;

/// A probe of a path with these delays, whose peer's clock is an hour ahead and who held it for 3 ms.
fn times(sent: u64, out: u64, inward: u64) -> Times {
    let arrived_there = sent + out + 3_600_000_000;
    let replied_there = arrived_there + 3 * MS;
    Times { sent, arrived_there, replied_there, arrived: sent + out + 3 * MS + inward }
}

/// Sends probes 250 ms apart that are answered at once, or not.
fn record(recorder: &mut Recorder, start: Instant, answered: impl IntoIterator<Item = bool>) -> u64 {
    let mut sequence = 0;
    for is_answered in answered {
        let now = start + Duration::from_millis(250) * sequence as u32;
        recorder.sent(now, sequence);
        if is_answered {
            recorder.answered(now, sequence, times(sequence * 250 * MS, 5 * MS, 7 * MS));
        }
        sequence += 1;
    }
    let end = start + Duration::from_millis(250) * sequence as u32 + PATIENCE;
    recorder.sent(end, sequence);
    sequence
}

#[test]
fn a_round_trip_leaves_out_the_time_that_the_peer_held_the_probe() {
    let mut recorder = Recorder::default();
    record(&mut recorder, Instant::now(), [true; 5]);
    let took = Duration::from_millis(12);
    let expected = RoundTrip { last: took, smoothed: took, least: took, ..recorder.round_trip.unwrap() };
    assert_eq!(recorder.statistics().round_trip, Some(expected));
    assert_eq!(expected.jitter, Duration::ZERO);
    assert!(expected.variation < Duration::from_millis(2), "it falls from half a round trip: {:?}", expected.variation);
}

#[test]
fn round_trips_are_smoothed_as_rfc_6298_says() {
    let mut recorder = Recorder::default();
    recorder.measure(times(0, 50 * MS, 50 * MS));
    recorder.measure(times(MS, 100 * MS, 80 * MS));
    let round_trip = recorder.statistics().round_trip.unwrap();
    assert_eq!(round_trip.last, Duration::from_millis(180));
    assert_eq!(round_trip.smoothed, Duration::from_millis(110), "7/8 of 100 and 1/8 of 180");
    assert_eq!(round_trip.variation, Duration::from_micros(57_500), "3/4 of 50 and 1/4 of 80");
    assert_eq!(round_trip.least, Duration::from_millis(100));
    assert_eq!(round_trip.jitter, Duration::from_millis(5), "a sixteenth of 80");
}

#[test]
fn each_direction_has_its_own_variation_whatever_the_clocks_say() {
    let mut recorder = Recorder::default();
    for sequence in 0..500 {
        let out = if sequence % 2 == 0 { 5 } else { 9 };
        recorder.measure(times(sequence * 250 * MS, out * MS, 7 * MS));
    }
    let statistics = recorder.statistics();
    assert_eq!(statistics.variation_in, Some(Duration::ZERO));
    let out = statistics.variation_out.unwrap();
    assert!((3900..=4000).contains(&out.as_micros()), "4 ms from probe to probe: {out:?}");
}

#[test]
fn loss_is_counted_in_all_and_over_the_last_hundred() {
    let mut recorder = Recorder::default();
    let pattern = (0..300).map(|sequence| sequence < 150 || sequence % 4 != 0);
    record(&mut recorder, Instant::now(), pattern);
    let statistics = recorder.statistics();
    assert_eq!((statistics.probes, statistics.lost), (300, 37));
    assert_eq!(statistics.recent_loss, Some(0.25));
}

#[test]
fn a_probe_is_lost_only_when_patience_is_over() {
    let (start, mut recorder) = (Instant::now(), Recorder::default());
    recorder.sent(start, 0);
    recorder.sent(start + PATIENCE - Duration::from_millis(1), 1);
    assert_eq!((recorder.statistics().probes, recorder.statistics().recent_loss), (0, None));
    recorder.sent(start + PATIENCE, 2);
    assert_eq!((recorder.statistics().probes, recorder.statistics().recent_loss), (1, Some(1.0)));
}

#[test]
fn replies_that_overtake_one_another_are_all_in_time() {
    let (start, mut recorder) = (Instant::now(), Recorder::default());
    (0..10).for_each(|sequence| recorder.sent(start, sequence));
    for sequence in [3, 1, 0, 2, 9, 8, 7, 6, 5, 4] {
        recorder.answered(start, sequence, times(0, 1, 1));
    }
    assert_eq!((recorder.statistics().probes, recorder.statistics().lost), (10, 0));
}

#[test]
fn a_path_slower_than_patience_is_no_loss_once_its_round_trip_is_known() {
    let (start, mut recorder) = (Instant::now(), Recorder::default());
    let slow = Duration::from_millis(1800);
    for sequence in 0..200u64 {
        let now = start + Duration::from_millis(250) * sequence as u32;
        recorder.sent(now, sequence);
        if let Some(back) = sequence.checked_sub(8) {
            recorder.answered(now, back, times(0, slow.as_micros() as u64, 0));
        }
    }
    assert!(recorder.statistics().lost < 8, "{:?}", recorder.statistics());
}

#[test]
fn a_peer_that_answers_nothing_takes_no_memory() {
    let (start, mut recorder) = (Instant::now(), Recorder::default());
    (0..10_000).for_each(|sequence| recorder.sent(start, sequence));
    assert!(recorder.open.len() <= MAX_OPEN);
    recorder.answered(start, u64::MAX, times(0, 0, 0));
    recorder.answered(start, 0, Times { sent: u64::MAX, arrived_there: 0, replied_there: u64::MAX, arrived: 0 });
}
