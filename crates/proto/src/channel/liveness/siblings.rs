//! Channels of one link that fail together: what fails under one often takes others along, and the flows of one that is
//! found dead must not move to another that is as dead and only not found out yet.

use std::time::{Duration, Instant};

use super::{Failure, Liveness, LivenessState};

/// How a channel that is up stands, as its silence tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was heard as lately as usual.
    Well,
    /// It is silent for longer than usual, which a lost probe may explain.
    Quiet,
    /// It is silent for two thirds of its detection time.
    Suspect,
}

/// Whether somebody wants to know when the channel is suspect; to hear anything ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watch {
    Off,
    On,
    /// It is, and has not been asked yet.
    Over,
}

/// What becomes of a channel whose sibling has fallen silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// It goes down at once: [`Liveness::go_along`].
    GoAlong,
    /// It does so when it is suspect: [`Liveness::watch`].
    Watch,
}

/// What becomes of the channels of a link of which another one has fallen silent, or was watched and is suspect: those that
/// are as silent go along, if there is one that is well and can carry in their place.
pub fn to_go_along<T>(siblings: impl IntoIterator<Item = (T, Standing)>) -> Vec<(T, Course)> {
    let (mut well, mut courses) = (false, Vec::new());
    for (sibling, standing) in siblings {
        match standing {
            Standing::Well => well = true,
            Standing::Quiet => courses.push((sibling, Course::Watch)),
            Standing::Suspect => courses.push((sibling, Course::GoAlong)),
        }
    }
    if well { courses } else { Vec::new() }
}

impl Liveness {
    /// How it stands, if both ends are up; all that was heard so far must have been told.
    pub fn standing(&self, now: Instant) -> Option<Standing> {
        let is_up = self.connected && self.state == LivenessState::Up && self.peer == Some(LivenessState::Up);
        let silence = now.saturating_duration_since(self.heard);
        let excused = self.excused.is_some_and(|until| until > now);
        is_up.then_some(match () {
            () if silence < self.usual_silence() => Standing::Well,
            () if silence < self.suspicious_silence() || excused => Standing::Quiet,
            () => Standing::Suspect,
        })
    }

    /// Goes down before its time, because [`to_go_along`] says so.
    ///
    /// That costs nothing yet: only if it stays silent for the detection time, as a failure of its own would have, it pays
    /// for one with hold-down, and so does the peer when it is told.
    pub fn go_along(&mut self, now: Instant) {
        if self.state == LivenessState::Up {
            let silence = now.saturating_duration_since(self.heard);
            self.unproven = Some(now - self.up_since);
            self.go_down(now, Failure::WithSibling(silence));
        }
    }

    /// A sibling has fallen silent while this one was [`Standing::Quiet`]: [`Liveness::take_suspicion`] is to tell if it
    /// becomes suspect, too.
    pub fn watch(&mut self) {
        self.watch = Watch::On;
    }

    /// Whether it became suspect while it was watched; once.
    pub fn take_suspicion(&mut self) -> bool {
        let is_over = self.watch == Watch::Over;
        if is_over {
            self.watch = Watch::Off;
        }
        is_over
    }

    pub(super) fn keep_watch(&mut self, now: Instant) {
        if self.watch_over().is_some_and(|at| at <= now) {
            self.watch = Watch::Over;
        }
    }

    pub(super) fn watch_over(&self) -> Option<Instant> {
        let is_on = self.watch == Watch::On && self.state == LivenessState::Up;
        let due = self.heard + self.suspicious_silence();
        is_on.then(|| self.excused.map_or(due, |excused| excused.max(due)))
    }

    /// The peer has gone down with a sibling.
    pub(super) fn follow_sibling(&mut self, now: Instant) {
        self.unproven = Some(now - self.up_since);
        self.go_down(now, Failure::WithSiblingAtPeer);
    }

    /// What went down with a sibling would have gone down by itself.
    pub(super) fn prove(&mut self, now: Instant) {
        if let Some(was_up) = self.unproven.take() {
            self.hold.fail(now, was_up);
        }
    }

    /// One interval has certainly brought a probe or a reply, if nothing was lost.
    pub(super) fn usual_silence(&self) -> Duration {
        self.longer_interval() * 5 / 4
    }

    /// Two thirds: of three exchanges that must fail, two have. With a `down_after` of 1 it is longer than the detection
    /// time.
    fn suspicious_silence(&self) -> Duration {
        (self.detection_time() * 2 / 3).max(self.usual_silence())
    }
}

#[cfg(test)]
mod tests {
    use Standing::{Quiet, Suspect, Well};

    use super::*;

    #[test]
    fn the_silent_go_along_only_where_another_is_well() {
        let (go, watch) = (Course::GoAlong, Course::Watch);
        let table = [
            (vec![], vec![]),
            (vec![Well, Well], vec![]),
            (vec![Suspect, Well, Suspect], vec![(0, go), (2, go)]),
            (vec![Suspect, Quiet, Well], vec![(0, go), (1, watch)]),
            (vec![Suspect, Suspect, Suspect], vec![]),
            (vec![Suspect, Quiet], vec![]),
        ];
        for (standings, expected) in table {
            assert_eq!(to_go_along(standings.iter().copied().enumerate()), expected, "{standings:?}");
        }
    }
}
