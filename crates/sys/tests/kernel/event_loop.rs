//! epoll, eventfd, pinning.

use std::time::{Duration, Instant};

use meshtun_sys::{
    epoll::{Epoll, Events, Interest},
    event::EventFd,
    thread,
};

fn tokens(epoll: &Epoll, events: &mut Events) -> Vec<u64> {
    epoll.wait(events, Some(Duration::ZERO)).unwrap();
    let mut tokens: Vec<_> = events.iter().map(|event| event.token).collect();
    tokens.sort_unstable();
    tokens
}

#[test]
fn many_notifications_are_one_until_drained() {
    let (epoll, event, mut events) = (Epoll::new().unwrap(), EventFd::new().unwrap(), Events::with_capacity(4));
    epoll.add(&event, 7, Interest::Read).unwrap();
    assert_eq!(tokens(&epoll, &mut events), []);
    for _ in 0..3 {
        event.notify().unwrap();
    }
    assert_eq!(tokens(&epoll, &mut events), [7]);
    assert_eq!(tokens(&epoll, &mut events), [7], "level-triggered");
    event.drain().unwrap();
    assert_eq!(tokens(&epoll, &mut events), []);
    event.drain().unwrap();
}

#[test]
fn a_token_and_interest_can_be_changed_and_forgotten() {
    let (epoll, event, mut events) = (Epoll::new().unwrap(), EventFd::new().unwrap(), Events::with_capacity(4));
    event.notify().unwrap();
    epoll.add(&event, u64::MAX, Interest::None).unwrap();
    assert_eq!(tokens(&epoll, &mut events), []);
    epoll.modify(&event, 3, Interest::ReadWrite).unwrap();
    assert_eq!(tokens(&epoll, &mut events), [3]);
    let found = events.iter().next().unwrap();
    assert!(found.readable && found.writable && !found.error);
    epoll.delete(&event).unwrap();
    assert_eq!(tokens(&epoll, &mut events), []);
    assert!(epoll.delete(&event).is_err());
}

#[test]
fn more_ready_descriptors_than_room_are_found_by_the_next_waits() {
    let (epoll, mut events) = (Epoll::new().unwrap(), Events::with_capacity(2));
    let all: Vec<_> = (0..5).map(|_| EventFd::new().unwrap()).collect();
    for (event, token) in all.iter().zip(0..) {
        event.notify().unwrap();
        epoll.add(event, token, Interest::Read).unwrap();
    }
    let mut seen = Vec::new();
    while seen.len() < all.len() {
        let found = tokens(&epoll, &mut events);
        assert!((1..=2).contains(&found.len()));
        found.iter().for_each(|&token| all[token as usize].drain().unwrap());
        seen.extend(found);
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3, 4]);
}

#[test]
fn a_wait_ends_with_its_timeout_or_with_a_notification_from_another_thread() {
    let (epoll, event, mut events) = (Epoll::new().unwrap(), EventFd::new().unwrap(), Events::with_capacity(4));
    epoll.add(&event, 1, Interest::Read).unwrap();
    let started = Instant::now();
    assert_eq!(epoll.wait(&mut events, Some(Duration::from_millis(20))).unwrap(), 0);
    assert!(started.elapsed() >= Duration::from_millis(20));
    std::thread::scope(|scope| {
        scope.spawn(|| event.notify().unwrap());
        assert_eq!(epoll.wait(&mut events, None).unwrap(), 1);
    });
}

#[test]
fn a_pinned_thread_runs_on_its_processor_only_and_the_others_stay_free() {
    let before = thread::available_cpus();
    let last = *before.last().unwrap();
    let pinned = std::thread::spawn(move || {
        thread::pin_current(last).unwrap();
        thread::yield_now();
        thread::available_cpus()
    });
    assert_eq!(pinned.join().unwrap(), [last]);
    assert_eq!(thread::available_cpus(), before);
}

#[test]
fn a_processor_that_does_not_exist_is_an_error() {
    for cpu in [1023, 1024, usize::MAX] {
        assert!(thread::pin_current(cpu).is_err(), "{cpu}");
    }
}
