use std::time::Duration;

use super::*;

/// What one queue gets: half of the pool.
const SMALL: usize = 8;
const LARGE: usize = 4;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

struct Bench {
    queue: Queue,
    pool: Pool,
    start: Instant,
    /// Lost for want of memory.
    lost: Vec<(u16, u8)>,
    /// Popped late.
    late: Vec<(u16, u8)>,
}

impl Bench {
    fn new() -> Bench {
        Bench::with_room(LARGE)
    }

    fn with_room(large: usize) -> Bench {
        Bench {
            queue: Queue::new(),
            pool: Pool::new(2 * SMALL, 2 * large),
            start: Instant::now(),
            lost: Vec::new(),
            late: Vec::new(),
        }
    }

    /// A UDP packet over IPv4 of a flow (its source port) with a number in its last byte.
    fn push(&mut self, flow: u16, number: u8, length: usize, at: u64) {
        let read = &mut self.pool.spare_mut()[..10 + length];
        read.fill(0);
        let packet = &mut read[10..];
        (packet[0], packet[9]) = (0x45, 17);
        packet[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        packet[20..22].copy_from_slice(&flow.to_be_bytes());
        packet[length - 1] = number;
        let lost = &mut self.lost;
        self.queue.push(&mut self.pool, 10 + length, self.start + ms(at), |read| lost.push(of(read)));
    }

    fn pop(&mut self, at: u64) -> Option<(u16, u8)> {
        let Next { slot, is_late } = self.queue.pop(&mut self.pool, self.start + ms(at))?;
        let popped = of(self.pool.bytes_mut(slot));
        if is_late {
            self.late.push(popped);
        }
        self.pool.free(slot);
        Some(popped)
    }

    fn pop_all(&mut self, at: u64) -> Vec<(u16, u8)> {
        std::iter::from_fn(|| self.pop(at)).collect()
    }
}

fn of(read: &[u8]) -> (u16, u8) {
    (u16::from_be_bytes([read[30], read[31]]), read[read.len() - 1])
}

#[test]
fn a_flow_keeps_its_order() {
    let mut bench = Bench::new();
    (0..8).for_each(|number| bench.push(7, number, 100, 0));
    let expected: Vec<_> = (0..8).map(|number| (7, number)).collect();
    assert_eq!(bench.pop_all(1), expected);
    assert!(bench.queue.is_empty() && bench.lost.is_empty());
}

#[test]
fn large_packets_of_two_flows_take_turns() {
    let mut bench = Bench::new();
    for (flow, number) in [(1, 0), (1, 1), (2, 0), (2, 1)] {
        bench.push(flow, number, 60_000, 0);
    }
    // A quantum is not used up by 60,000 bytes: each sends on into debt once.
    assert_eq!(bench.pop_all(1), [(1, 0), (1, 1), (2, 0), (2, 1)]);
    let mut bench = Bench::new();
    for (flow, number) in [(1, 0), (1, 1), (2, 0), (2, 1)] {
        bench.push(flow, number, 65_535, 0);
    }
    assert_eq!(bench.pop_all(1), [(1, 0), (2, 0), (1, 1), (2, 1)]);
}

#[test]
fn a_sparse_flow_goes_before_a_busy_one() {
    let mut bench = Bench::new();
    (0..4).for_each(|number| bench.push(1, number, 65_535, 0));
    assert_eq!(bench.pop(0), Some((1, 0)));
    assert_eq!(bench.pop(0), Some((1, 1)));
    bench.push(2, 0, 84, 1);
    assert_eq!(bench.pop(1), Some((2, 0)), "the ping has not waited for the two that were there before it");
    assert_eq!(bench.pop_all(1), [(1, 2), (1, 3)]);
}

#[test]
fn a_flow_that_is_always_new_does_not_starve_the_others() {
    let mut bench = Bench::new();
    (0..4).for_each(|number| bench.push(1, number, 65_535, 0));
    let mut served = Vec::new();
    for number in 0..=255 {
        bench.push(2, number, 1000, 0);
        served.extend(bench.pop(0));
    }
    // One super-packet for every quantum of the other's, about 65 packets.
    assert_eq!(served.iter().filter(|(flow, _)| *flow == 1).count(), 4, "{served:?}");
}

#[test]
fn when_the_memory_is_full_the_longest_queue_loses_its_oldest() {
    let mut bench = Bench::new();
    (0..3).for_each(|number| bench.push(1, number, 40_000, 0));
    bench.push(2, 0, 40_000, 0);
    bench.push(3, 0, 40_000, 0);
    assert_eq!(bench.lost, [(1, 0)]);
    bench.push(1, 3, 40_000, 0);
    assert_eq!(bench.lost, [(1, 0), (1, 1)]);
    let left: std::collections::BTreeSet<_> = bench.pop_all(1).into_iter().collect();
    assert_eq!(left, [(1, 2), (1, 3), (2, 0), (3, 0)].into());
}

#[test]
fn small_packets_have_room_of_their_own() {
    let mut bench = Bench::new();
    (0..4).for_each(|number| bench.push(1, number, 65_535, 0));
    (0..SMALL as u8).for_each(|number| bench.push(2, number, 64, 0));
    assert!(bench.lost.is_empty());
    // Whose memory is full gives way, however many bytes another size holds.
    bench.push(3, 0, 64, 0);
    assert_eq!(bench.lost, [(2, 0)]);
    bench.push(3, 0, 65_535, 0);
    assert_eq!(bench.lost, [(2, 0), (1, 0)]);
}

#[test]
fn a_packet_for_which_no_other_can_make_room_is_lost_alone() {
    let mut bench = Bench::new();
    let mut others: Vec<_> = (0..10).map(|_| Queue::new()).collect();
    for other in &mut others {
        (0..10).for_each(|_| {
            bench.pool.spare_mut()[..3000].fill(0);
            other.push(&mut bench.pool, 3000, bench.start, |_| {});
        });
    }
    (0..4).for_each(|number| bench.push(1, number, 64, 0));
    bench.push(2, 0, 65_535, 0);
    assert_eq!(bench.lost, [(2, 0)]);
    assert_eq!(bench.pop_all(0).len(), 4);
}

#[test]
fn a_half_that_takes_all_it_gets_leaves_room_for_others() {
    let mut bench = Bench::new();
    (0..100).for_each(|number| bench.push(1, number, 65_535, 0));
    (0..100).for_each(|number| bench.push(2, number, 64, 0));
    let mut others = [Queue::new(), Queue::new()];
    for other in &mut others {
        for length in [3000, 100] {
            bench.pool.spare_mut()[..length].fill(0);
            other.push(&mut bench.pool, length, bench.start, |_| panic!("lost"));
        }
    }
    assert_eq!(bench.pop_all(0).len(), LARGE + SMALL);
}

#[test]
fn a_flow_that_waits_too_long_for_too_long_loses_packets_and_no_other_does() {
    let mut bench = Bench::new();
    for at in 0..300 {
        // Two wait at any time, so that the one that is served has waited 20 ms.
        bench.push(1, (at % 250) as u8, 3000, at * 10);
        if at % 10 == 0 {
            bench.push(2, 0, 84, at * 10);
            bench.pop(at * 10);
        }
        if at >= 2 {
            bench.pop(at * 10);
        }
    }
    assert!(bench.late.len() >= 5, "{:?}", bench.late);
    assert!(bench.late.iter().all(|(flow, _)| *flow == 1), "{:?}", bench.late);
    assert!(bench.lost.is_empty(), "{:?}", bench.lost);
}

#[test]
fn of_many_super_packets_the_flows_that_have_more_to_come_lose_a_segment_at_once_and_once_in_a_while() {
    let mut bench = Bench::with_room(2 * ENOUGH);
    let half = ENOUGH as u8 / 2;
    (0..half).for_each(|number| bench.push(1, number, 65_535, 0));
    (0..half).for_each(|number| bench.push(2, number, 65_535, 0));
    assert_eq!((bench.pop(0), &bench.late[..]), (Some((1, 0)), &[][..]), "not more than may wait are left");
    for number in half..half + 4 {
        bench.push(1, number, 65_535, 0);
        bench.push(2, number, 65_535, 0);
    }
    bench.push(3, 0, 65_535, 0);
    assert_eq!([bench.pop(1), bench.pop(1)], [Some((2, 0)), Some((3, 0))]);
    assert_eq!(bench.late, [(2, 0)], "nothing waits behind the third flow's");
    assert_eq!([bench.pop(1), bench.pop(1)], [Some((1, 1)), Some((2, 1))]);
    assert_eq!(bench.late, [(2, 0), (1, 1)]);
    let heard = 1 + flow::HEARD_AFTER.as_millis() as u64;
    assert_eq!([bench.pop(heard), bench.pop(heard)], [Some((1, 2)), Some((2, 2))]);
    assert_eq!(bench.late, [(2, 0), (1, 1), (1, 2), (2, 2)]);
}

#[test]
fn clearing_gives_back_all_memory() {
    let mut bench = Bench::new();
    (0..4).for_each(|number| bench.push(number, 0, 65_535, 0));
    (0..SMALL as u16).for_each(|number| bench.push(number, 1, 64, 0));
    let mut cleared = 0;
    bench.queue.clear(&mut bench.pool, |_| cleared += 1);
    assert_eq!((cleared, bench.queue.is_empty(), bench.pop(1)), (4 + SMALL, true, None));
    (0..4).for_each(|number| bench.push(number, 2, 65_535, 0));
    (0..SMALL as u16).for_each(|number| bench.push(number, 3, 64, 0));
    assert!(bench.lost.is_empty());
    assert_eq!(bench.pop_all(1).len(), 4 + SMALL);
}

#[test]
fn any_bytes_can_wait() {
    let mut bench = Bench::new();
    for length in [0, 1, 10, 11, 30] {
        bench.pool.spare_mut()[..length].fill(0x45);
        bench.queue.push(&mut bench.pool, length, bench.start, |_| {});
    }
    let mut popped = 0;
    while let Some(next) = bench.queue.pop(&mut bench.pool, bench.start) {
        bench.pool.free(next.slot);
        popped += 1;
    }
    assert_eq!(popped, 5);
}
