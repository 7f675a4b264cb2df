//! Many channels of one gateway do not initiate at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use meshtun_proto::channel::timers::INITIATIONS_A_SECOND;
use meshtun_proto::channel::{Channel, ChannelConfig, Output, Peer, liveness};
use meshtun_proto::tai64n::{Stamps, Tai64n};
use meshtun_proto::{LocalIdentity, Suite};
use zeroize::Zeroizing;

use super::world::*;

/// When so many channels initiate that start together and are never answered; sorted.
fn initiations(channels: u16, hastened_at: Option<Duration>, time: Duration) -> Vec<Duration> {
    let start = Instant::now();
    let identity = Arc::new(LocalIdentity::new([1; 32]));
    let channel = |number: u16| {
        let peer = Peer::Meshtun { link: "nq".into(), channel: number, local_number: 1, peer_number: 2 };
        let config = ChannelConfig {
            suite: Suite::ChaCha20Poly1305,
            identity: Arc::clone(&identity),
            peer_key: LocalIdentity::new([2; 32]).public_key(),
            preshared_key: Zeroizing::new([0; 32]),
            peer,
            initiates: true,
            probe: liveness::Settings::default(),
        };
        let mut seed = [0; 32];
        seed[..2].copy_from_slice(&number.to_le_bytes());
        let mut channel = Channel::new(config, start, seed);
        channel.spread_over(channels.into());
        channel.start(start);
        channel
    };
    (0..channels).map(channel).flat_map(|channel| of_one(channel, start, hastened_at, time)).collect()
}

fn of_one(mut channel: Channel, start: Instant, hastened_at: Option<Duration>, time: Duration) -> Vec<Duration> {
    let mut stamps = Stamps::new(Tai64n::ZERO);
    let mut initiations = Vec::new();
    let mut hasten = hastened_at.map(|at| start + at);
    while let Some(due) = channel.poll_timeout().filter(|due| *due < start + time) {
        let now = hasten.filter(|at| *at < due).unwrap_or(due);
        if now < due {
            hasten = None;
            channel.hasten(now);
        } else {
            channel.handle_timeout(now, || stamps.next(std::time::UNIX_EPOCH + (now - start)));
        }
        let sent = std::iter::from_fn(|| channel.poll_output()).filter(|it| matches!(it, Output::Transmit { .. }));
        initiations.extend(sent.map(|_| now - start));
    }
    initiations
}

/// The most that fall into any tenth of a second.
fn most_in_a_tenth(mut initiations: Vec<Duration>) -> usize {
    initiations.sort_unstable();
    let within = |at: usize| initiations[at..].partition_point(|it| *it < initiations[at] + 100 * MS);
    (0..initiations.len()).map(within).max().unwrap_or(0)
}

const A_TENTH: usize = INITIATIONS_A_SECOND as usize / 10;

#[test]
fn few_channels_start_within_a_tenth_of_a_second() {
    for channels in [1, 4, 100] {
        let started = initiations(channels, None, 100 * MS).len();
        assert_eq!(started, usize::from(channels));
    }
}

#[test]
fn a_thousand_channels_that_nobody_answers_initiate_at_a_rate_that_stays_bounded() {
    let initiations = initiations(1000, None, 6 * SECOND);
    let first_second = initiations.iter().filter(|at| **at < SECOND).count();
    assert!(first_second >= 1000, "each has tried within a second: {first_second}");
    assert!(initiations.len() >= 4000, "and goes on trying: {}", initiations.len());
    let most = most_in_a_tenth(initiations);
    assert!(most <= 2 * A_TENTH, "{most} in a tenth of a second");
}

#[test]
fn a_network_that_returns_hastens_a_thousand_channels_within_a_second_and_not_at_once() {
    let at = 3 * SECOND;
    let initiations = initiations(1000, Some(at), 5 * SECOND);
    let hastened: Vec<Duration> = initiations.into_iter().filter(|it| (at..at + SECOND).contains(it)).collect();
    assert!(hastened.len() >= 1000, "{}", hastened.len());
    let most = most_in_a_tenth(hastened);
    assert!(most <= 3 * A_TENTH, "{most} in a tenth of a second");
}
