//! The workers take no memory and give none back for a packet, whatever its kind and whatever the kernel does with it.
//!
//! A test binary of its own, because it brings its own `malloc` (glibc's only).
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod bed;
mod counting;
mod load;

use meshtun_dataplane::Command;
use meshtun_proto::{
    Suite,
    control::{Frame, Signal},
};
use netns_lab::trial;

use crate::{
    bed::{Bed, Wire, eventually},
    load::{Load, Running},
};

/// Inner packets each way that a measurement lasts at least.
const PACKETS: u64 = 10_000;

/// As many before the first measurement of a kind.
const WARM_UP: u64 = 10_000;

#[test]
fn no_kind_of_packet_costs_memory_under_chacha20_poly1305() {
    trial::run_with_tun(|| {
        for apart in [false, true] {
            counting::alone(|| assert_loads_cost_nothing(Suite::ChaCha20Poly1305, apart));
        }
    });
}

#[test]
fn no_kind_of_packet_costs_memory_under_aes_256_gcm() {
    trial::run_with_tun(|| {
        for apart in [false, true] {
            counting::alone(|| assert_loads_cost_nothing(Suite::Aes256Gcm, apart));
        }
    });
}

#[test]
fn a_train_that_waits_for_room_costs_no_memory_under_chacha20_poly1305() {
    trial::run_with_tun(|| {
        for apart in [false, true] {
            counting::alone(|| assert_waiting_costs_nothing(Suite::ChaCha20Poly1305, apart));
        }
    });
}

#[test]
fn a_train_that_waits_for_room_costs_no_memory_under_aes_256_gcm() {
    trial::run_with_tun(|| {
        for apart in [false, true] {
            counting::alone(|| assert_waiting_costs_nothing(Suite::Aes256Gcm, apart));
        }
    });
}

#[test]
fn what_a_worker_allocates_and_frees_is_seen() {
    trial::run_with_tun(|| {
        counting::alone(|| {
            let bed = Bed::up(Suite::ChaCha20Poly1305, false, Wire::Fast);
            let plaintext = Frame::Probe { sequence: 1, interval_micros: 2, signal: Signal::default() }.encode();
            let count = counting::during(|| {
                bed.plane.send(bed.sides[0].channel, Command::Seal { session: 0, plaintext });
                eventually("the frame arrives", || bed.events.poll_event().is_some());
                bed.plane.settle();
            });
            assert!(count.taken >= 1, "the frame's event holds a copy of it: {count:?}");
            assert!(count.given_back >= 1, "the plaintext of the order is freed by the worker: {count:?}");
            assert!(count.first.is_some_and(|first| first.contains("meshtun_dataplane")), "the place is told");
            bed.down();
        });
    });
}

fn assert_loads_cost_nothing(suite: Suite, apart: bool) {
    let bed = Bed::up(suite, apart, Wire::Fast);
    for load in Load::ALL {
        measure(&bed, &[load], &format!("{load:?}"));
    }
    measure(&bed, &Load::ALL, "everything at once");
    bed.down();

    let bed = Bed::up(suite, apart, Wire::WithoutTrains);
    measure(&bed, &Load::ALL, "everything at once, by sockets without trains");
    bed.down();
}

fn assert_waiting_costs_nothing(suite: Suite, apart: bool) {
    let bed = Bed::up(suite, apart, Wire::Slow);
    let fullest = measure(&bed, &Load::ALL, "everything at once, over a slow wire");
    for (side, queued) in bed.sides.iter().zip(fullest) {
        assert!(queued >= side.send_buffer, "{queued} of {} bytes at the most: never full", side.send_buffer);
        let mut dropped = side.counters.snapshot().sending.dropped;
        // Before they are sealed packets may give way to others.
        dropped.retain(|(reason, _)| !reason.label().starts_with("queue-"));
        assert!(dropped.is_empty(), "trains are kept, not dropped: {dropped:?}");
    }
    bed.down();
}

/// Carries packets, then as many again while it counts. Tells how many bytes waited in the sockets at the most.
fn measure(bed: &Bed, loads: &[Load], what: &str) -> [usize; 2] {
    let running = Running::start(bed, loads);
    let mut fullest = carry(bed, WARM_UP, what);
    let count = counting::during(|| {
        let full = carry(bed, PACKETS, what);
        fullest = [0, 1].map(|side| fullest[side].max(full[side]));
    });
    drop(running);
    assert!(
        (count.taken, count.given_back) == (0, 0),
        "{what}: for {PACKETS} packets each way the workers took memory {} times and gave it back {} times, first by {}",
        count.taken,
        count.given_back,
        count.first.unwrap_or_default()
    );
    fullest
}

/// Waits until both ends have sent and received as many packets more; tells how many bytes waited in their sockets.
fn carry(bed: &Bed, packets: u64, what: &str) -> [usize; 2] {
    let carried = || bed.sides.each_ref().map(|side| side.carried());
    let before = carried();
    let mut fullest = [0, 0];
    eventually(what, || {
        fullest = [0, 1].map(|side| fullest[side].max(bed.sides[side].queued()));
        let (now, before) = (carried(), before);
        now.iter().flatten().zip(before.iter().flatten()).all(|(now, before)| now - before >= packets)
    });
    fullest
}
