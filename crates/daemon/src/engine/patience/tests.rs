use meshtun_proto::control::Reason;
use tokio::time::timeout;

use super::{
    super::bench::{self, DEADLINE},
    *,
};
use crate::{control::Caller, keeper::Word};

const MS: Duration = Duration::from_millis(1);
const FIRST: ChannelId = ChannelId(0);
const ANEW: ChannelId = ChannelId(9);

#[tokio::test]
async fn a_channel_whose_peer_said_goodbye_goes_before_the_peer_stops_receiving() {
    let mut engine = bench::engine();
    let now = Instant::now();
    engine.with_channel(FIRST, now, |channel, _| channel.hear_goodbye());
    engine.let_part(now);
    let end = engine.patience.first().unwrap();
    assert!(end < now + LINGER);
    engine.lose_patience(end - MS);
    assert!(engine.has_carrier(FIRST) && engine.is_leaving(FIRST));
    engine.lose_patience(end);
    assert!(!engine.has_carrier(FIRST) && !engine.is_leaving(FIRST));
    assert!(engine.has_carrier(ChannelId(1)));
    assert_eq!(engine.patience.first(), None);
    // The answer that comes at last has nothing to do with another goodbye.
    engine.with_channel(FIRST, end, |channel, _| channel.hear_goodbye());
    engine.handle_word(Word::Made(1, Made::default()), end);
    assert!(engine.channels[&FIRST].is_parting());
}

#[tokio::test]
async fn a_goodbye_that_was_followed_in_time_is_not_followed_twice() {
    let mut engine = bench::engine();
    let now = Instant::now();
    engine.with_channel(FIRST, now, |channel, _| channel.hear_goodbye());
    engine.let_part(now);
    engine.handle_word(Word::Made(1, Made::default()), now);
    assert!(!engine.has_carrier(FIRST));
    engine.with_channel(FIRST, now, |channel, _| channel.hear_goodbye());
    engine.lose_patience(now + DEADLINE);
    assert!(engine.channels[&FIRST].is_parting());
}

#[tokio::test]
async fn a_person_who_takes_a_channel_down_does_not_wait_for_ever() {
    let mut engine = bench::engine();
    let now = Instant::now();
    let (caller, mut answer) = Caller::pair();
    engine.take_down(&"nq/0".parse().unwrap(), caller, now);
    let end = engine.patience.first().unwrap();
    engine.lose_patience(end - MS);
    assert!(!engine.channels[&FIRST].is_taken_down());
    engine.lose_patience(end);
    assert!(engine.channels[&FIRST].is_taken_down());
    engine.go_on_changing(end + LINGER);
    engine.with_channel(FIRST, end + DEADLINE, |channel, _| channel.fold(end + DEADLINE));
    engine.go_on_changing(end + DEADLINE);
    let answer = answer.try_recv().expect("it is over").unwrap_or_else(|refusal| panic!("{refusal}"));
    assert_eq!(answer["channels"][0], "nq/0");
}

#[tokio::test]
async fn what_is_made_anew_while_it_is_taken_down_is_taken_down_in_its_place() {
    let mut engine = bench::engine();
    let now = Instant::now();
    let (caller, _answer) = Caller::pair();
    engine.take_down(&"nq/0".parse().unwrap(), caller, now);
    engine.make_anew(FIRST, ANEW);
    assert!(engine.is_leaving(ANEW), "it does not come back into the routes");
    engine.handle_word(Word::Made(1, Made::default()), now);
    assert!(engine.channels[&ANEW].is_taken_down() && !engine.channels[&ChannelId(1)].is_taken_down());
}

#[tokio::test]
async fn to_take_down_what_is_gone_meanwhile_is_an_error() {
    let mut engine = bench::engine();
    let now = Instant::now();
    let (caller, mut answer) = Caller::pair();
    engine.take_down(&"nq/0".parse().unwrap(), caller, now);
    engine.forget(FIRST);
    engine.handle_word(Word::Made(1, Made::default()), now);
    let refusal = answer.try_recv().expect("an answer").expect_err("nothing was taken down").to_string();
    assert!(refusal.contains("meshtun status"), "{refusal}");
}

#[tokio::test]
async fn a_restart_does_not_wait_for_a_keeper_that_is_held_up() {
    let engine = bench::engine();
    timeout(DEADLINE, engine.close(Reason::Restarting, Duration::ZERO)).await.expect("it ended");
}

#[tokio::test]
async fn a_key_that_is_gone_is_cut_off_although_its_channel_waits_to_part() {
    let mut engine = bench::engine();
    let now = Instant::now();
    engine.with_channel(FIRST, now, |channel, _| channel.hear_goodbye());
    engine.let_part(now);
    assert!(engine.channels[&FIRST].is_parting(), "and nothing that its conversation orders is done");
    engine.with_channel(FIRST, now, |channel, _| channel.revoke(now));
    assert!(!engine.channels[&FIRST].is_parting() && !engine.has_carrier(FIRST));
}
