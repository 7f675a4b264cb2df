use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn at(seconds: u64, nanoseconds: u32) -> SystemTime {
    UNIX_EPOCH + Duration::new(seconds, nanoseconds)
}

#[test]
fn the_epoch_is_2_to_the_62_and_ten_seconds() {
    assert_eq!(Tai64n::from(at(0, 0)).0, [0x40, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0]);
}

#[test]
fn a_fraction_is_cut_to_the_grain() {
    let stamp = |nanoseconds| Tai64n::from(at(0x1234_5678, nanoseconds)).0;
    assert_eq!(stamp(0)[..8], [0x40, 0, 0, 0, 0x12, 0x34, 0x56, 0x82]);
    assert_eq!(stamp(0xFF_FFFF)[8..], [0, 0, 0, 0]);
    assert_eq!(stamp(0x100_0000)[8..], [1, 0, 0, 0]);
    assert_eq!(stamp(999_999_999)[8..], [59, 0, 0, 0]);
}

#[test]
fn a_clock_before_1970_counts_as_1970() {
    assert_eq!(Tai64n::from(UNIX_EPOCH - Duration::from_secs(5)), Tai64n::from(UNIX_EPOCH));
}

#[test]
fn stamps_follow_a_clock_that_goes_forward() {
    let mut stamps = Stamps::new(Tai64n::ZERO);
    for seconds in [1_000, 1_001, 5_000] {
        assert_eq!(stamps.next(at(seconds, 0)), Tai64n::from(at(seconds, 0)));
    }
}

#[test]
fn stamps_grow_while_the_clock_stands_still_or_goes_back() {
    let mut stamps = Stamps::new(Tai64n::ZERO);
    let mut last = stamps.next(at(1_000_000, 0));
    for seconds in [1_000_000, 1_000_000, 999_999, 0, 500_000] {
        let next = stamps.next(at(seconds, 0));
        assert!(next > last);
        assert_eq!(stamps.last(), next);
        last = next;
    }
    assert!(last < Tai64n::from(at(1_000_001, 0)), "it waits for the clock to catch up");
}

#[test]
fn stamps_start_above_their_floor_even_if_it_lies_in_the_future() {
    let floor = Tai64n::from(at(2_000_000, 0));
    assert!(Stamps::new(floor).next(at(1_000_000, 0)) > floor);
}

#[test]
fn a_successor_carries_and_the_largest_stamp_stays() {
    let mut carried = [0; 12];
    carried[7] = 1;
    assert_eq!(Tai64n([0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]).successor().0, carried);
    assert_eq!(Tai64n([255; 12]).successor(), Tai64n([255; 12]));
}

proptest! {
    #[test]
    fn every_stamp_is_greater_than_all_before_it(
        floor in any::<[u8; 11]>(),
        clock in proptest::collection::vec(0u64..4_000_000_000_000_000_000, 1..50),
    ) {
        // Below the very largest stamps, so that there is room to grow.
        let mut last = Tai64n(std::array::from_fn(|i| if i == 0 { 0x40 } else { floor[i - 1] }));
        let mut stamps = Stamps::new(last);
        for nanoseconds in clock {
            let next = stamps.next(UNIX_EPOCH + Duration::from_nanos(nanoseconds));
            prop_assert!(next > last);
            last = next;
        }
    }
}
