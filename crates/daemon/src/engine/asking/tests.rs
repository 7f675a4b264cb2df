use tokio::sync::oneshot::error::TryRecvError;

use super::{super::bench, *};
use crate::control::Caller;

/// One who asks for it, and what it is answered.
fn asks(engine: &mut Engine, request: Request) -> tokio::sync::oneshot::Receiver<Result<serde_json::Value, Refusal>> {
    let (caller, answer) = Caller::pair();
    engine.handle_asked(Asked { request, caller }, Instant::now());
    answer
}

fn take_down(engine: &mut Engine) -> tokio::sync::oneshot::Receiver<Result<serde_json::Value, Refusal>> {
    asks(engine, Request::TakeDown("nq/0".parse().unwrap()))
}

#[tokio::test]
async fn status_tells_which_change_goes_on_since_when_and_what_it_waits_for() {
    let mut engine = bench::engine();
    let change = |engine: &mut Engine| {
        let status = asks(engine, Request::Status).try_recv().expect("at once").expect("it is told");
        status["change"].clone()
    };
    assert!(change(&mut engine).is_null());
    let before = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let _first = take_down(&mut engine);
    let _second = asks(&mut engine, Request::Reload);
    let shown = change(&mut engine);
    assert_eq!((&shown["what"], &shown["waiting"]), (&json!("down nq/0"), &json!(1)), "{shown}");
    assert!(shown["since"].as_u64().unwrap() >= before, "{shown}");
    let first = shown["stage"].clone();
    engine.follow_change(&Made::default(), Instant::now());
    assert_ne!(change(&mut engine)["stage"], first, "it has come further");
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_not_done_and_keeps_no_place() {
    let mut engine = bench::engine();
    let _stuck = take_down(&mut engine);
    for _ in 0..100 {
        drop(take_down(&mut engine));
    }
    let mut waits = take_down(&mut engine);
    assert_eq!(waits.try_recv(), Err(TryRecvError::Empty), "there is a place");
    assert_eq!(engine.waiting.len(), 1);
}

#[tokio::test]
async fn changes_that_wait_leave_places_for_those_who_want_to_see() {
    let mut engine = bench::engine();
    let _stuck = take_down(&mut engine);
    let mut waiting: Vec<_> = (0..CALLERS).map(|_| take_down(&mut engine)).collect();
    let refused: Vec<_> = waiting.iter_mut().filter_map(|it| it.try_recv().ok()).collect();
    assert_eq!(refused.len(), CALLERS - WAITING);
    let refusal = refused[0].as_ref().expect_err("it is refused").to_string();
    assert!(refusal.contains("`down nq/0` goes on") && refusal.contains("meshtun status"), "{refusal}");
}
