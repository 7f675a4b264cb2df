//! Short scenarios of faults under load; netns-lab/scenarios has the whole ones, with their bounds.

use netns_lab::trial;

use crate::bed::program;

#[test]
fn a_channel_that_is_blocked_one_way_or_both_is_left_within_moments_and_comes_back_by_itself() {
    trial::run_with_tun(|| {
        // Four seconds would pass if nothing saw it; a busy machine may need longer than the second that is promised.
        let outcome = trial::play(
            r#"
            about = "a block one way, and one both ways"

            [load]
            train-rate = 200
            tcp-flows  = 16
            tcp-every  = "20ms"

            [[steps]]
            phase = "one-way"
            block = { channels = [1], from = "g1" }
            lasts = "4s"

            [[steps]]
            phase   = "open"
            unblock = { channels = [1] }

            [[steps]]
            wait-up = "30s"

            [[steps]]
            phase = "both-ways"
            block = { channels = [2] }
            lasts = "4s"

            [[steps]]
            phase   = "open-again"
            unblock = { channels = [2] }

            [[steps]]
            wait-up = "30s"
            lasts   = "500ms"

            [[expect]]
            figure   = "one-way.train_lost"
            at-least = 1

            [[expect]]
            figure  = "one-way.train_gap_ms"
            at-most = 3000

            [[expect]]
            figure   = "both-ways.train_lost"
            at-least = 1

            [[expect]]
            figure  = "both-ways.train_gap_ms"
            at-most = 3000

            [[expect]]
            figure  = "tcp_dead"
            at-most = 0
            "#,
            &program(),
            1,
        );
        // Both ends of both channels lost carrier and got it back.
        assert!(outcome.runs[0].figures["carrier_changes"].as_u64() >= Some(8), "{}", outcome.json());
    });
}

#[test]
fn a_gateway_that_is_killed_and_started_again_carries_every_flow_on() {
    trial::run_with_tun(|| {
        trial::play(
            r#"
            about = "kill -9 and a start"

            [load]
            train-rate = 200
            tcp-flows  = 16
            tcp-every  = "20ms"

            [[steps]]
            phase = "killed"
            kill  = "g1"
            lasts = "1s"

            [[steps]]
            phase = "started"
            start = "g1"

            [[steps]]
            wait-up = "30s"
            lasts   = "3s"

            [[expect]]
            figure   = "killed.train_lost"
            at-least = 1

            [[expect]]
            figure  = "started.train_back_ms"
            at-most = 10000

            [[expect]]
            figure  = "tcp_dead"
            at-most = 0
            "#,
            &program(),
            1,
        );
    });
}
