//! The events of one link, served one after the other.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use meshtun_config::{HookEvent, Hooks as Programs, Program};
use tokio::{sync::Notify, task::JoinHandle};

use super::{Event, Facts, run, unix};
use crate::status;

/// A queue, and the task that serves it. Dropping it ends the task; a program that runs is left alone.
#[derive(Debug)]
pub(super) struct Lane {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    /// The link or gateway, for the log.
    name: String,
    state: Mutex<State>,
    /// Something waits.
    told: Notify,
    /// Nothing waits, and nothing runs.
    idle: Notify,
}

#[derive(Debug, Default)]
struct State {
    programs: Programs,
    waiting: VecDeque<(Event, Program)>,
    is_running: bool,
    runs: u64,
    failures: u64,
    last_failure: Option<String>,
    last_failure_at: Option<u64>,
}

impl Lane {
    pub(super) fn new(name: &str, programs: &Programs) -> Lane {
        let state = Mutex::new(State { programs: programs.clone(), ..State::default() });
        let shared = Arc::new(Shared { name: name.to_owned(), state, told: Notify::new(), idle: Notify::new() });
        let task = tokio::spawn(serve(Arc::clone(&shared)));
        Lane { shared, task }
    }

    pub(super) fn configure(&self, programs: &Programs) {
        self.shared.state().programs = programs.clone();
    }

    pub(super) fn tell(&self, what: HookEvent, facts: Facts) {
        self.shared.state().tell(Event::new(what, facts));
        self.shared.told.notify_one();
    }

    pub(super) fn is_idle(&self) -> bool {
        self.shared.state().is_idle()
    }

    pub(super) async fn idle(&self) {
        loop {
            let idle = self.shared.idle.notified();
            if self.is_idle() {
                return;
            }
            idle.await;
        }
    }

    pub(super) fn status(&self) -> status::Hooks {
        let state = self.shared.state();
        status::Hooks {
            waiting: state.waiting.len(),
            runs: state.runs,
            failures: state.failures,
            last_failure: state.last_failure.clone(),
            last_failure_at: state.last_failure_at,
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of it is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tell(&mut self, mut event: Event) {
        let Some(program) = self.programs.get(&event.what).cloned() else { return };
        if self.waiting.len() >= LONG {
            let subject = event.subject();
            let before = self.waiting.len();
            let forgotten: u64 =
                self.waiting.iter().filter(|(old, _)| old.subject() == subject).map(|(old, _)| old.folded).sum();
            self.waiting.retain(|(old, _)| old.subject() != subject);
            event.folded = forgotten + (before - self.waiting.len()) as u64;
        }
        self.waiting.push_back((event, program));
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.is_running
    }

    fn next(&mut self) -> Option<(Event, Program)> {
        let next = self.waiting.pop_front();
        self.is_running = next.is_some();
        next
    }

    fn note(&mut self, result: Result<(), String>) {
        self.runs += 1;
        if let Err(failure) = result {
            self.failures += 1;
            self.last_failure = Some(failure);
            self.last_failure_at = Some(unix(SystemTime::now()));
        }
    }
}

async fn serve(shared: Arc<Shared>) {
    loop {
        let next = shared.state().next();
        let Some((event, program)) = next else {
            shared.idle.notify_waiters();
            shared.told.notified().await;
            continue;
        };
        let ended = run::run(&shared.name, &event, &program).await;
        let result = ended.result.map_err(|failure| format!("{}: {program}: {failure}", event.what));
        if let Err(failure) = &result {
            tracing::warn!(hook = shared.name, "hook {failure}");
        }
        shared.state().note(result);
        if let Some(starting) = ended.starting {
            run::give_up(starting).await;
        }
        shared.state().is_running = false;
    }
}

/// From so many waiting events on, one that a newer one of the same subject makes old news is forgotten: so that never
/// more wait than this and one for each channel.
const LONG: usize = 32;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn state() -> State {
        let program = Program { path: "/bin/true".into(), arguments: Vec::new(), timeout: Duration::from_secs(1) };
        let events = [HookEvent::ChannelUp, HookEvent::ChannelDown, HookEvent::LinkDown];
        State { programs: events.map(|event| (event, program.clone())).into(), ..State::default() }
    }

    fn event(what: HookEvent, channel: Option<u64>) -> Event {
        Event::new(what, Facts::default().with("channel", channel))
    }

    #[test]
    fn a_million_events_behind_a_slow_hook_leave_the_newest_of_each_channel_and_none_is_uncounted() {
        let mut state = state();
        let told = 1_000_000;
        for number in 0..told {
            let what = if number % 2 == 0 { HookEvent::ChannelUp } else { HookEvent::ChannelDown };
            state.tell(event(what, Some(number / 2 % 8)));
        }
        assert!(state.waiting.len() <= LONG + 8, "{} wait", state.waiting.len());
        let counted: u64 = state.waiting.iter().map(|(event, _)| 1 + event.folded).sum();
        assert_eq!(counted, told);
        for channel in 0..8 {
            let newest = state.waiting.iter().rfind(|(event, _)| event.subject().1 == Some(channel));
            assert_eq!(newest.map(|(event, _)| event.what), Some(HookEvent::ChannelDown), "{channel}");
        }
    }

    #[test]
    fn events_without_a_program_are_not_kept_and_others_stay_in_order() {
        let mut state = state();
        state.tell(event(HookEvent::LinkUp, None));
        assert!(state.is_idle());
        for what in [HookEvent::ChannelDown, HookEvent::LinkDown, HookEvent::ChannelUp] {
            state.tell(event(what, None));
        }
        let order: Vec<_> = std::iter::from_fn(|| state.next()).map(|(event, _)| event.what).collect();
        assert_eq!(order, [HookEvent::ChannelDown, HookEvent::LinkDown, HookEvent::ChannelUp]);
    }
}
