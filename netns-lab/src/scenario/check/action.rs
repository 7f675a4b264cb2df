//! What a step does, and where.

use std::{ops::Range, time::Duration};

use toml::Spanned;

use super::Checker;
use crate::scenario::{
    action::{Action, Chaos, Place, Weather},
    file::{self, CableKind, Flap, PathEntry, Problem, StepEntry, Where},
};

impl Checker<'_> {
    pub(super) fn action(&self, span: Range<usize>, step: &StepEntry) -> Result<Action, Problem> {
        let mut actions = Vec::new();
        for (entry, blocked) in [(&step.block, true), (&step.unblock, false)] {
            if let Some(entry) = entry {
                actions.push(Action::Block { place: self.place(entry.span(), entry.get_ref())?, blocked });
            }
        }
        if let Some(entry) = &step.path {
            actions.push(self.path(entry)?);
        }
        let gateway = |entry: &Spanned<String>| self.gateways(entry.span(), Some(entry.get_ref()), false);
        if let Some(entry) = &step.kill {
            actions.push(Action::Kill(gateway(entry)?));
        }
        if let Some(entry) = &step.stop {
            actions.push(Action::Stop(gateway(entry)?));
        }
        if let Some(entry) = &step.start {
            actions.push(Action::Start(gateway(entry)?));
        }
        if let Some(entry) = &step.meshtun {
            let asked = entry.get_ref();
            let at = self.gateways(entry.span(), Some(&asked.at), false)?;
            actions.push(Action::Meshtun { at, command: asked.command.clone(), may_fail: asked.may_fail });
        }
        if let Some(entry) = &step.run {
            let asked = entry.get_ref();
            let at = self.node(entry.span(), &asked.at)?;
            actions.push(Action::Run { at, command: asked.command.clone(), may_fail: asked.may_fail });
        }
        if let Some(entry) = &step.reload {
            let reload = entry.get_ref();
            let at = self.gateways(entry.span(), reload.at.as_ref(), true)?;
            if reload.channels.is_some_and(|channels| !(1..=16).contains(&channels)) {
                return Err(self.source.problem(Some(entry.span()), "channels must be from 1 to 16"));
            }
            actions.push(Action::Reload { at, channels: reload.channels, defaults: file::pairs(&reload.defaults) });
        }
        if let Some(entry) = &step.wait_up {
            actions.push(Action::WaitUp(entry.get_ref().0));
        }
        if let Some(entry) = &step.flap {
            actions.push(self.flap(entry)?);
        }
        if let Some(entry) = &step.chaos {
            self.must_be_faulty(entry.span())?;
            let raw = entry.get_ref();
            let or = |time: Option<file::Time>, seconds| time.map_or(Duration::from_secs(seconds), |time| time.0);
            let (every, longest) = (or(raw.every, 3), or(raw.longest, 8));
            if every.is_zero() || longest.is_zero() {
                return Err(self.source.problem(Some(entry.span()), "every and longest must be more than nothing"));
            }
            actions.push(Action::Chaos(Chaos { every, longest, only_paths: raw.only_paths }));
        }
        if let Some(count) = step.count {
            if self.raw.cable != CableKind::Faulty {
                self.must_be_faulty(span.clone())?;
            }
            actions.push(Action::Count(count));
        }
        match actions.len() {
            0 => Ok(Action::Rest),
            1 => Ok(actions.swap_remove(0)),
            _ => Err(self.source.problem(Some(span), "a step does one thing: make several steps of this one")),
        }
    }

    fn path(&self, entry: &Spanned<PathEntry>) -> Result<Action, Problem> {
        let raw = entry.get_ref();
        self.must_be_faulty(entry.span())?;
        for (name, share) in
            [("loss", raw.loss), ("reorder", raw.reorder), ("duplicate", raw.duplicate), ("corrupt", raw.corrupt)]
        {
            if !(0.0..=1.0).contains(&share) {
                return Err(self.source.problem(Some(entry.span()), format!("{name} is a share, from 0 to 1")));
            }
        }
        if raw.burst < 1.0 || raw.megabits.is_some_and(|rate| rate <= 0.0) {
            let what = "burst is a number of packets, at least 1; megabits must be more than 0";
            return Err(self.source.problem(Some(entry.span()), what));
        }
        let place = Where { channels: raw.channels.clone(), from: raw.from.clone(), to: raw.to.clone() };
        let weather = Weather {
            delay: raw.delay.0,
            jitter: raw.jitter.0,
            loss: raw.loss,
            burst: raw.burst,
            reorder: raw.reorder,
            duplicate: raw.duplicate,
            corrupt: raw.corrupt,
            bits_per_second: raw.megabits.map(|rate| (rate * 1e6) as u64),
            queue: raw.queue,
            blocked: raw.blocked,
        };
        Ok(Action::Path { place: self.place(entry.span(), &place)?, weather })
    }

    fn flap(&self, entry: &Spanned<Flap>) -> Result<Action, Problem> {
        let raw = entry.get_ref();
        let place = Where { channels: Some(raw.channels.clone()), from: raw.from.clone(), to: raw.to.clone() };
        if raw.down.0.is_zero() || raw.up.0.is_zero() {
            return Err(self.source.problem(Some(entry.span()), "up and down must be more than nothing"));
        }
        Ok(Action::Flap { place: self.place(entry.span(), &place)?, down: raw.down.0, up: raw.up.0 })
    }

    fn must_be_faulty(&self, span: Range<usize>) -> Result<(), Problem> {
        if self.raw.cable == CableKind::Faulty {
            return Ok(());
        }
        Err(self
            .source
            .problem(Some(span), "a plain cable has no such faults: say cable = \"faulty\" at the beginning"))
    }

    /// Which ways a place means: one way if only `from` or only `to` leaves no doubt, both ways if neither is given.
    fn place(&self, span: Range<usize>, entry: &Where) -> Result<Place, Problem> {
        let sites = *self.raw.sites.get_ref();
        let number = |name: &Option<String>| match name {
            None => Ok(None),
            Some(name) => Ok(Some(self.gateways(span.clone(), Some(name), false)?[0])),
        };
        let (from, to) = (number(&entry.from)?, number(&entry.to)?);
        if from.is_some() && from == to {
            return Err(self.source.problem(Some(span), "from and to are the same gateway"));
        }
        if let Some(channel) = entry.channels.iter().flatten().find(|channel| **channel >= 16) {
            return Err(self.source.problem(Some(span), format!("there is no channel {channel}: the last is 15")));
        }
        let all = (0..sites).flat_map(|one| (0..sites).map(move |other| (usize::from(one), usize::from(other))));
        let ways = all.filter(|(one, other)| {
            one != other && from.is_none_or(|from| from == *one) && to.is_none_or(|to| to == *other)
        });
        Ok(Place { channels: entry.channels.clone(), ways: ways.collect() })
    }

    /// Gateways by name, counted from 0.
    pub(super) fn gateways(&self, span: Range<usize>, name: Option<&String>, all: bool) -> Result<Vec<usize>, Problem> {
        let sites = usize::from(*self.raw.sites.get_ref());
        let Some(name) = name.filter(|name| *name != "all") else { return Ok((0..sites).collect()) };
        let found = name.strip_prefix('g').and_then(|number| number.parse::<usize>().ok());
        if let Some(number) = found.filter(|number| (1..=sites).contains(number)) {
            return Ok(vec![number - 1]);
        }
        let names: Vec<_> = (1..=sites).map(|number| format!("g{number}")).collect();
        let or_all = if all { " or leave it out for all" } else { "" };
        let what = format!("there is no gateway {name:?}: say {} or \"all\"{or_all}", names.join(", "));
        Err(self.source.problem(Some(span), what))
    }

    fn node(&self, span: Range<usize>, name: &str) -> Result<String, Problem> {
        let sites = usize::from(*self.raw.sites.get_ref());
        let known = (1..=sites).flat_map(|number| [format!("g{number}"), format!("host{number}")]);
        let known: Vec<_> = known.chain(["internet".to_owned()]).collect();
        if known.iter().any(|node| node == name) {
            return Ok(name.to_owned());
        }
        Err(self.source.problem(Some(span), format!("there is no node {name:?}: there are {}", known.join(", "))))
    }
}
