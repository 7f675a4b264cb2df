use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::Suite;

/// One more than the window: the distance at which a counter is too late.
const LIMIT: u64 = WINDOW + 1;

fn accept(window: &mut Window, counter: u64) -> bool {
    let fresh = window.is_fresh(counter);
    window.mark(counter);
    fresh
}

/// Offers the counters in turn and compares what is accepted.
fn check(window: &mut Window, cases: &[(u64, bool)]) {
    for (i, (counter, expected)) in cases.iter().enumerate() {
        assert_eq!(accept(window, *counter), *expected, "case {i}: {counter}");
    }
}

fn all_fresh(window: &mut Window, counters: impl IntoIterator<Item = u64>) {
    for counter in counters {
        assert!(accept(window, counter), "{counter}");
    }
}

/// The cases of the kernel's `drivers/net/wireguard/selftest/counter.c`.
#[test]
fn the_kernels_table_holds() {
    check(
        &mut Window::new(),
        &[
            (0, true),
            (1, true),
            (1, false),
            (9, true),
            (8, true),
            (7, true),
            (7, false),
            (LIMIT, true),
            (LIMIT - 1, true),
            (LIMIT - 1, false),
            (LIMIT - 2, true),
            (2, true),
            (2, false),
            (LIMIT + 16, true),
            (3, false),
            (LIMIT + 16, false),
            (LIMIT * 4, true),
            (LIMIT * 4 - (LIMIT - 1), true),
            (10, false),
            (LIMIT * 4 - LIMIT, false),
            (LIMIT * 4 - (LIMIT + 1), false),
            (LIMIT * 4 - (LIMIT - 2), true),
            (LIMIT * 4 + 1 - LIMIT, false),
            (0, false),
        ],
    );
}

/// The rest of that table: the limit itself is kept by the receive key, before the window.
#[test]
fn the_kernels_table_holds_below_the_message_limit() {
    let reject = Suite::ChaCha20Poly1305.reject_after_messages();
    check(
        &mut Window::new(),
        &[
            (0, true),
            (reject - 1, true),
            (reject - 1, false),
            (reject - 2, true),
            (reject - 2, false),
            (reject - 3, true),
            (0, false),
        ],
    );
}

#[test]
fn the_kernels_runs_up_and_down_hold() {
    let mut window = Window::new();
    all_fresh(&mut window, 1..=WINDOW);
    check(&mut window, &[(0, true), (0, false)]);

    let mut window = Window::new();
    all_fresh(&mut window, 2..=WINDOW + 1);
    check(&mut window, &[(1, true), (0, false)]);

    all_fresh(&mut Window::new(), (0..=WINDOW).rev());

    let mut window = Window::new();
    all_fresh(&mut window, (1..=WINDOW + 1).rev());
    check(&mut window, &[(0, false)]);

    let mut window = Window::new();
    all_fresh(&mut window, (1..=WINDOW).rev());
    check(&mut window, &[(WINDOW + 1, true), (0, false)]);

    let mut window = Window::new();
    all_fresh(&mut window, (1..=WINDOW).rev());
    check(&mut window, &[(0, true), (WINDOW + 1, true)]);
}

#[test]
fn checking_alone_marks_nothing() {
    let mut window = Window::new();
    assert!(window.is_fresh(5) && window.is_fresh(5));
    window.mark(5);
    assert!(!window.is_fresh(5));
}

#[test]
fn marking_a_late_counter_leaves_the_window_as_it_is() {
    let mut window = Window::new();
    window.mark(3 * BITS);
    // The same bit of the ring as a counter that is still fresh.
    window.mark(BITS);
    window.mark(0);
    assert!(window.is_fresh(3 * BITS - 1));
    assert!(window.is_fresh(2 * BITS + 64));
}

#[test]
fn a_jump_further_than_the_ring_forgets_all_of_it() {
    let mut window = Window::new();
    all_fresh(&mut window, 0..BITS);
    let far = 1 << 40;
    check(&mut window, &[(far, true)]);
    all_fresh(&mut window, far - WINDOW..far);
}

#[test]
fn the_largest_number_is_never_fresh() {
    let mut window = Window::new();
    check(&mut window, &[(u64::MAX, false), (u64::MAX - 1, true), (u64::MAX, false)]);
    check(&mut window, &[(u64::MAX - 1, false), (u64::MAX - 2, true)]);
}

/// What the window means, with all of history.
#[derive(Default)]
struct Model {
    seen: HashSet<u64>,
    greatest: u64,
}

impl Model {
    fn accept(&mut self, counter: u64) -> bool {
        let fresh = counter.saturating_add(WINDOW) >= self.greatest && self.seen.insert(counter);
        self.greatest = self.greatest.max(counter);
        fresh
    }
}

/// Steps from the last counter: mostly near, sometimes around the window's edge, seldom far.
fn steps() -> impl Strategy<Value = Vec<i64>> {
    let edge = WINDOW as i64;
    let step = prop_oneof![
        8 => -70i64..70,
        2 => -edge - 70..-edge + 70,
        2 => edge - 70..edge + 70,
        1 => -20_000i64..100_000,
    ];
    proptest::collection::vec(step, 1..400)
}

proptest! {
    #[test]
    fn the_window_agrees_with_a_model_that_forgets_nothing(
        start in prop_oneof![Just(0u64), 0u64..20_000, Just(1 << 60)],
        steps in steps(),
    ) {
        let mut window = Window::new();
        let mut model = Model::default();
        let mut counter = start;
        for step in steps {
            counter = counter.saturating_add_signed(step);
            prop_assert_eq!(accept(&mut window, counter), model.accept(counter), "{}", counter);
        }
    }
}
