use std::time::Duration;

use zerocopy::{FromBytes, IntoBytes};

use super::*;
use crate::{
    Suite,
    fixtures::{End, ends},
    message::{INITIATION_LEN, Initiation, RESPONSE_LEN, Response},
};

const AT_ONCE: Duration = Duration::ZERO;

fn pair() -> (End, End) {
    ends(Suite::ChaCha20Poly1305, 0)
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// What `checker` answers under load to a message from `from`.
fn demand(checker: &mut End, after: Duration, from: &str, message: &impl Handshake) -> CookieReply {
    match checker.verify_from(address(from), after, true, message) {
        Err(Refusal::CookieNeeded(reply)) => *reply,
        other => panic!("expected a cookie reply, not {}", other.is_ok()),
    }
}

/// An initiation that bears the cookie which `b` gave `from` at the start.
fn initiation_with_cookie(a: &mut End, b: &mut End, from: &str) -> Initiation {
    let (_, mut initiation) = a.initiate(1);
    let reply = demand(b, AT_ONCE, from, &initiation);
    a.jar.accept(a.now(), &reply).unwrap();
    a.add_macs(AT_ONCE, &mut initiation);
    initiation
}

#[test]
fn without_load_a_right_mac1_is_enough() {
    let (mut a, mut b) = pair();
    let (_, initiation) = a.initiate(1);
    assert_eq!(initiation.macs.mac2, [0; 16]);
    assert_eq!(b.verify(&initiation).unwrap().message(), &initiation);

    let mut response = Response::blank(1, 2);
    b.add_macs(AT_ONCE, &mut response);
    assert!(a.verify(&response).is_ok());
}

#[test]
fn every_altered_byte_up_to_mac1_is_refused() {
    let (mut a, mut b) = pair();
    let (_, initiation) = a.initiate(1);
    for i in 0..INITIATION_LEN - 16 {
        let mut altered = initiation.clone();
        altered.as_mut_bytes()[i] ^= 1;
        assert!(matches!(b.verify(&altered), Err(Refusal::WrongMac1)), "byte {i}");
    }
    let mut response = Response::blank(1, 2);
    b.add_macs(AT_ONCE, &mut response);
    for i in 0..RESPONSE_LEN - 16 {
        let mut altered = response.clone();
        altered.as_mut_bytes()[i] ^= 1;
        assert!(matches!(a.verify(&altered), Err(Refusal::WrongMac1)), "byte {i}");
    }
}

#[test]
fn a_reflected_message_is_refused() {
    let (mut a, _) = pair();
    let (_, initiation) = a.initiate(1);
    assert!(matches!(a.verify(&initiation), Err(Refusal::WrongMac1)));
}

#[test]
fn under_load_a_wrong_mac1_earns_no_cookie() {
    let (mut a, mut b) = pair();
    let (_, mut initiation) = a.initiate(1);
    initiation.macs.mac1[0] ^= 1;
    let refused = b.verify_from(address("192.0.2.1:1"), AT_ONCE, true, &initiation);
    assert!(matches!(refused, Err(Refusal::WrongMac1)));
}

#[test]
fn under_load_a_cookie_proves_the_address() {
    let (mut a, mut b) = pair();
    let with_cookie = initiation_with_cookie(&mut a, &mut b, "192.0.2.1:1");
    assert!(b.verify_from(address("192.0.2.1:1"), AT_ONCE, true, &with_cookie).is_ok());
    assert!(b.verify_from(address("[::ffff:192.0.2.1]:1"), AT_ONCE, true, &with_cookie).is_ok());
    for elsewhere in ["192.0.2.1:2", "192.0.2.2:1", "[2001:db8::1]:1"] {
        demand(&mut b, AT_ONCE, elsewhere, &with_cookie);
    }
}

#[test]
fn a_cookie_serves_responses_too() {
    let (mut a, mut b) = pair();
    initiation_with_cookie(&mut a, &mut b, "192.0.2.1:1");
    let mut response = Response::blank(3, 4);
    a.add_macs(AT_ONCE, &mut response);
    assert!(b.verify_from(address("192.0.2.1:1"), AT_ONCE, true, &response).is_ok());
}

#[test]
fn every_altered_byte_of_mac2_is_refused_under_load_alone() {
    let (mut a, mut b) = pair();
    let with_cookie = initiation_with_cookie(&mut a, &mut b, "192.0.2.1:1");
    for i in 0..16 {
        let mut altered = with_cookie.clone();
        altered.macs.mac2[i] ^= 1;
        demand(&mut b, AT_ONCE, "192.0.2.1:1", &altered);
        assert!(b.verify(&altered).is_ok());
    }
}

#[test]
fn a_checker_forgets_its_cookies_after_their_lifetime() {
    let (mut a, mut b) = pair();
    let with_cookie = initiation_with_cookie(&mut a, &mut b, "192.0.2.1:1");
    let from = address("192.0.2.1:1");
    let late = COOKIE_LIFETIME - Duration::from_millis(1);
    assert!(b.verify_from(from, late, true, &with_cookie).is_ok());
    demand(&mut b, COOKIE_LIFETIME, "192.0.2.1:1", &with_cookie);
}

#[test]
fn a_jar_stops_using_a_cookie_before_the_checker_forgets_it() {
    let (mut a, mut b) = pair();
    let mut initiation = initiation_with_cookie(&mut a, &mut b, "192.0.2.1:1");
    let end = COOKIE_LIFETIME - COOKIE_LATENCY;
    a.add_macs(end - Duration::from_millis(1), &mut initiation);
    assert_ne!(initiation.macs.mac2, [0; 16]);
    a.add_macs(end, &mut initiation);
    assert_eq!(initiation.macs.mac2, [0; 16]);
}

#[test]
fn cookie_replies_to_the_same_message_never_share_a_nonce() {
    let (mut a, mut b) = pair();
    let (_, initiation) = a.initiate(1);
    let replies = [(); 2].map(|()| demand(&mut b, AT_ONCE, "192.0.2.1:1", &initiation));
    assert_ne!(replies[0].nonce, replies[1].nonce);
}

#[test]
fn every_altered_byte_of_a_cookie_reply_is_refused() {
    let (mut a, mut b) = pair();
    let (_, initiation) = a.initiate(1);
    let reply = demand(&mut b, AT_ONCE, "192.0.2.1:1", &initiation);
    for i in 4..reply.as_bytes().len() {
        let mut altered = reply.as_bytes().to_vec();
        altered[i] ^= 1;
        let altered = CookieReply::read_from_bytes(&altered).unwrap();
        let expected = if i < 8 { CookieError::Unasked } else { CookieError::Forged };
        assert_eq!(a.jar.accept(a.now(), &altered), Err(expected), "byte {i}");
    }
    assert_eq!(a.jar.accept(a.now(), &reply), Ok(()), "the true one still counts");
}

#[test]
fn a_cookie_reply_counts_once_and_only_for_the_last_message() {
    let (mut a, mut b) = pair();
    let (_, first) = a.initiate(1);
    let to_first = demand(&mut b, AT_ONCE, "192.0.2.1:1", &first);
    let (_, second) = a.initiate(2);
    let to_second = demand(&mut b, AT_ONCE, "192.0.2.1:1", &second);

    assert_eq!(a.jar.accept(a.now(), &to_first), Err(CookieError::Unasked));
    assert_eq!(a.jar.accept(a.now(), &to_second), Ok(()));
    assert_eq!(a.jar.accept(a.now(), &to_second), Err(CookieError::Unasked));
}

#[test]
fn a_jar_that_sent_nothing_takes_no_cookie() {
    let (mut a, mut b) = pair();
    let (_, initiation) = a.initiate(1);
    let reply = demand(&mut b, AT_ONCE, "192.0.2.1:1", &initiation);
    let (mut stranger, _) = pair();
    assert_eq!(stranger.jar.accept(a.now(), &reply), Err(CookieError::Unasked));
}
