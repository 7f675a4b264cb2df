//! Datagrams of the link itself, heard on the underlay and sent again: as they were, cut, altered, turned round.

use netns_lab::trial;

use super::attack::{Attack, Heard};
use crate::bed::{PATIENCE, ping, run};

/// Types of messages, in their first byte.
const INITIATION: u8 = 1;
const RESPONSE: u8 = 2;
const TRANSPORT: u8 = 4;

/// Where a transport message's counter lies.
const COUNTER: std::ops::Range<usize> = 8..16;

#[test]
fn a_transport_message_that_is_sent_again_is_counted_as_replayed() {
    trial::run_with_tun(|| {
        let attack = Attack::new();
        let heard = transport(&attack, false);
        attack.expect(&[("replayed", 2 * heard.len() as u64)], |attack| {
            heard.iter().for_each(|message| attack.send(message));
        });
    });
}

#[test]
fn a_transport_message_that_was_altered_is_counted_as_forged() {
    trial::run_with_tun(|| {
        let attack = Attack::new();
        let heard = transport(&attack, false);
        // A counter that has not been used, so that it is not for that that they are dropped; and one bit somewhere.
        let altered = heard.iter().zip([16, 17, 40, 60, usize::MAX]).map(|(message, at)| {
            let mut message = message.clone();
            message[COUNTER].copy_from_slice(&1_000_000_u64.to_le_bytes());
            let at = at.min(message.len() - 1);
            message[at] ^= 1;
            message
        });
        let altered: Vec<_> = altered.collect();
        attack.expect(&[("forged", 2 * altered.len() as u64)], |attack| {
            altered.iter().for_each(|message| attack.send(message));
        });
    });
}

#[test]
fn a_transport_message_that_was_cut_is_counted_as_what_is_left_of_it() {
    trial::run_with_tun(|| {
        let attack = Attack::new();
        let mut message = transport(&attack, false).remove(0);
        message[COUNTER].copy_from_slice(&1_000_000_u64.to_le_bytes());
        let lengths = 0..message.len();
        let short = lengths.clone().filter(|length| *length < 32).count() as u64;
        let long = lengths.clone().filter(|length| *length >= 32).count() as u64;
        attack.expect(&[("malformed", 2 * short), ("forged", 2 * long)], |attack| {
            lengths.for_each(|length| attack.send(&message[..length]));
        });
    });
}

#[test]
fn a_gateways_own_messages_that_come_back_to_it_are_counted_as_strangers() {
    trial::run_with_tun(|| {
        let attack = Attack::new();
        let heard = transport(&attack, true);
        attack.expect(&[("unknown-session", 2 * heard.len() as u64)], |attack| {
            heard.iter().for_each(|message| attack.send(message));
        });
    });
}

#[test]
fn handshake_messages_that_are_sent_again_altered_or_turned_round_change_nothing() {
    trial::run_with_tun(|| {
        let mut attack = Attack::new();
        attack.hear();
        attack.bed.gateways[1].stop(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
        attack.bed.gateways[1].restart().unwrap_or_else(|error| panic!("{error}"));
        attack.bed.wait_until_up();
        ping(attack.bed.host(0), attack.bed.addresses(1)[0]);
        let heard = attack.hear();
        let first =
            |outgoing: bool, kind: u8| heard.iter().find(|heard| heard.outgoing == outgoing && heard.bytes[0] == kind);
        let initiation = &first(false, INITIATION).expect("a gateway that starts initiates").bytes;
        let answer = &first(true, RESPONSE).expect("it was answered").bytes;

        attack.expect(&[("handshake-replayed", 2)], |attack| attack.send(initiation));
        let mut altered = initiation.clone();
        altered[50] ^= 1;
        // What was made for the other end has a MAC1 of the other end's key.
        attack.expect(&[("handshake-wrong-mac1", 4)], |attack| {
            [&altered, answer].into_iter().for_each(|m| attack.send(m))
        });
    });
}

/// Transport messages of five inner packets of different sizes, in one of the two directions.
fn transport(attack: &Attack, outgoing: bool) -> Vec<Vec<u8>> {
    attack.hear();
    for size in [8, 100, 500, 1000, 1392] {
        run(attack.bed.host(1), &format!("ping -n -c 1 -W 20 -s {size} 10.1.0.2"));
    }
    let wanted = |heard: &Heard| heard.outgoing == outgoing && heard.bytes[0] == TRANSPORT && heard.bytes.len() > 32;
    let mut heard: Vec<_> = attack.hear().into_iter().filter(wanted).map(|heard| heard.bytes).collect();
    assert!(heard.len() >= 5, "each ping was heard");
    heard.truncate(5);
    heard
}
