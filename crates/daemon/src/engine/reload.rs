//! A new file, taken up while everything that it does not concern goes on.
//!
//! 1. The file and the keys are read and checked, sockets are bound, the kernel is asked whether something foreign is in the
//!    way. Up to here nothing has changed, and a mistake ends it.
//! 2. Whose key is gone is cut off. Channels that go leave the routes and say goodbye; settings of those that stay change.
//! 3. When nothing of the former is under way any more, their devices go, new ones are made, and their channels start.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Instant, SystemTime},
};

use meshtun_config::{ChannelView, LinkView, View};
use meshtun_dataplane::ChannelId;
use meshtun_netlink::Step;
use meshtun_proto::control::Reason;
use meshtun_sys::udp::Udp;
use serde_json::Value;

use super::{
    Engine, LinkState,
    change::Change,
    pending::Then,
    places,
    reading::{Read, ReadOrNot},
    reloading::{Reloading, Stage},
};
use crate::{
    Error, Fault, Gateway, channels,
    control::{Caller, Refusal, Reloaded},
    keeper::{Made, Survey},
    kept,
    open_files::may_open,
    reload::{Fate, Verdict, describe, has_same_width, obstacle, verdict},
    surroundings::Surroundings,
    underload::HandshakeLoad,
    view,
};

/// A file that can be taken up.
struct Ready {
    gateway: Gateway,
    surroundings: Surroundings,
    /// The most that the MTUs of those links may be whose `mtu` is another.
    ceilings: BTreeMap<String, u16>,
    verdicts: BTreeMap<ChannelId, Verdict>,
    coming: Vec<(String, u16)>,
    sockets: BTreeMap<(String, u16), Udp>,
    done: Reloaded,
}

impl Reloading {
    /// What the kernel had to do.
    pub(super) fn note(&mut self, made: &Made) {
        self.done.steps.extend(made.steps.iter().map(Step::to_string));
        self.done.warnings.extend(made.problems.iter().cloned());
    }
}

impl Engine {
    /// Begins to take the file up as it is now.
    pub(super) fn reload(&mut self, caller: Option<Caller>) {
        self.notifier.reloading();
        self.change = Some(Change::Read { caller });
        self.change_began = SystemTime::now();
        self.reader.read();
    }

    /// The files were read: what the kernel says to them.
    pub(super) fn handle_read(&mut self, read: ReadOrNot) {
        let Some(Change::Read { caller }) = self.change.take_if(|change| matches!(change, Change::Read { .. })) else {
            return;
        };
        match read.and_then(|read| self.may_take(&read.gateway).map(|()| read)) {
            Ok(read) => {
                let number = self.keeper.survey(read.gateway.view.clone());
                self.pending.insert(number, Then::Change);
                self.change = Some(Change::Check { caller, read });
            }
            Err(refusal) => self.refuse_reload(caller, refusal),
        }
    }

    /// The kernel has answered: nothing was changed so far.
    pub(super) fn go_on_reading(&mut self, survey: Result<Survey, Error>, now: Instant) {
        match self.change.take() {
            Some(Change::Check { caller, read }) => {
                match survey.map_err(Refusal::from).and_then(|it| self.prepare(*read, it)) {
                    Ok(ready) => self.begin_reload(ready, caller, now),
                    Err(refusal) => self.refuse_reload(caller, refusal),
                }
            }
            other => self.change = other,
        }
    }

    fn refuse_reload(&self, caller: Option<Caller>, refusal: Refusal) {
        tracing::error!("not reloaded, nothing was changed: {refusal}");
        self.end_reload(caller, Err(refusal));
    }

    fn may_take(&self, new: &Gateway) -> Result<(), Refusal> {
        if let Some(obstacle) = obstacle(&self.gateway, new) {
            return Err(Refusal::Configuration(format!("{}: {obstacle}", self.files.mesh.display())));
        }
        Ok(may_open(view::channels(&new.view).count())?)
    }

    /// Checks everything; changes nothing.
    fn prepare(&self, read: Read, survey: Survey) -> Result<Ready, Refusal> {
        let (Read { gateway, mut warnings }, Survey { mut surroundings, warnings: more, obstacle }) = (read, survey);
        warnings.extend(more);
        let ceilings = self.new_ceilings(&gateway.view, &surroundings);
        self.keep_what_was_learned(&gateway.view, &mut surroundings);
        let verdicts = self.verdicts(&gateway);
        let coming = self.coming(&gateway.view, &verdicts);
        if let Some(obstacle) = obstacle {
            return Err(obstacle.into());
        }
        let sockets = self.bind_early(&gateway.view, &coming, &verdicts)?;
        let changes = describe(&self.gateway, &gateway);
        Ok(Ready {
            gateway,
            surroundings,
            ceilings,
            verdicts,
            coming,
            sockets,
            done: Reloaded { changes, steps: Vec::new(), warnings },
        })
    }

    /// An MTU that the underlay turned out to need stays, where the file says the same as before; so does what is out of the
    /// routes.
    fn keep_what_was_learned(&self, view: &View, surroundings: &mut Surroundings) {
        for link in &view.links {
            let same = self.gateway.view.links.iter().any(|old| old.name == link.name && has_same_width(old, link));
            if let (true, Some(mtu), Some(known)) =
                (same, surroundings.mtus.get_mut(&link.name), self.surroundings.mtus.get(&link.name))
            {
                *mtu = (*mtu).min(*known);
            }
        }
        surroundings.withdrawn.clone_from(&self.surroundings.withdrawn);
    }

    fn new_ceilings(&self, view: &View, surroundings: &Surroundings) -> BTreeMap<String, u16> {
        let before = |name: &str| self.gateway.view.links.iter().find(|old| old.name == name);
        let changed = view.links.iter().filter(|link| before(&link.name).is_none_or(|old| !has_same_width(old, link)));
        changed.filter_map(|link| Some((link.name.clone(), *surroundings.mtus.get(&link.name)?))).collect()
    }

    fn verdicts(&self, new: &Gateway) -> BTreeMap<ChannelId, Verdict> {
        let of_link = |link: &LinkState| -> Vec<(ChannelId, Verdict)> {
            let channels = self.channels_of(link).into_iter();
            channels.map(|it| (it.id, verdict(&self.gateway, new, &link.view, &it.view))).collect()
        };
        self.links.iter().flat_map(of_link).collect()
    }

    /// Channels that are to be made: new ones, and those whose sockets are bound elsewhere.
    fn coming(&self, view: &View, verdicts: &BTreeMap<ChannelId, Verdict>) -> Vec<(String, u16)> {
        let stays = |link: &str, number| {
            self.channels.values().any(|channel| {
                let is_it = channel.link == link && channel.view.number == number;
                is_it && verdicts.get(&channel.id).is_some_and(|verdict| verdict.fate <= Fate::Rekeyed)
            })
        };
        let all = view::channels(view).map(|(link, channel)| (link.name.clone(), channel.number));
        all.filter(|(link, number)| !stays(link, *number)).collect()
    }

    /// Binds the sockets of new channels, but for those whose port has another channel, until that has gone.
    fn bind_early(
        &self,
        view: &View,
        coming: &[(String, u16)],
        verdicts: &BTreeMap<ChannelId, Verdict>,
    ) -> Result<BTreeMap<(String, u16), Udp>, Error> {
        let goes = |id: &ChannelId| verdicts.get(id).is_some_and(|verdict| verdict.fate > Fate::Rekeyed);
        let leaving = self.channels.values().filter(|channel| goes(&channel.id));
        let taken: Vec<u16> = leaving.map(|channel| channel.view.local.port()).collect();
        let mut sockets = BTreeMap::new();
        for (link, channel) in view::channels(view) {
            let key = (link.name.clone(), channel.number);
            if coming.contains(&key) && !taken.contains(&channel.local.port()) {
                sockets.insert(key, channels::bind_one(link, channel)?);
            }
        }
        Ok(sockets)
    }

    fn begin_reload(&mut self, ready: Ready, caller: Option<Caller>, now: Instant) {
        let Ready { gateway, surroundings, ceilings, verdicts, coming, sockets, done } = ready;
        self.cut_off(&verdicts, now);
        let fated = |which: fn(Fate) -> bool| -> Vec<ChannelId> {
            verdicts.iter().filter(|(_, verdict)| which(verdict.fate)).map(|(id, _)| *id).collect()
        };
        let going = fated(|fate| fate > Fate::Rekeyed);
        let interim = self.interim(&gateway.view, &going);
        let old = std::mem::replace(&mut self.gateway, gateway);
        let mtus = std::mem::take(&mut self.surroundings.mtus);
        self.surroundings = surroundings;
        // Those of links that go.
        mtus.iter().for_each(|(link, mtu)| _ = self.surroundings.mtus.entry(link.clone()).or_insert(*mtu));
        let devices = going.iter().filter_map(|id| self.channels.get(id)).map(|channel| channel.view.device.clone());
        self.surroundings.withdrawn.extend(devices);
        self.relink();
        self.widen(&mtus);
        self.take_ceilings(ceilings, now);
        self.take_settings(&old, &fated(|fate| fate <= Fate::Rekeyed), now);
        self.rekey(&fated(|fate| fate == Fate::Rekeyed), now);
        let (stage, nothing_goes, stay_down) = (Stage::Leaving, going.is_empty(), BTreeSet::new());
        let reloading = Reloading { caller, stage, interim, going, coming, sockets, stay_down, mtus, done };
        self.change = Some(Change::Reload(Box::new(reloading)));
        if nothing_goes {
            // The rest follows at once, and the kernel is asked but once.
            self.follow(Then::Change, &Made::default(), now);
        } else {
            self.wish_without(Then::Change, now);
        }
    }

    /// No route leads over them any more.
    pub(super) fn end_those_that_go(&mut self, mut reloading: Box<Reloading>, now: Instant) {
        reloading.stage = Stage::Ending;
        self.close_channels(&reloading.going, Reason::Down, now);
        self.change = Some(Change::Reload(reloading));
    }

    /// Ends the sessions of those whose key is gone.
    fn cut_off(&mut self, verdicts: &BTreeMap<ChannelId, Verdict>, now: Instant) {
        for (id, _) in verdicts.iter().filter(|(_, verdict)| verdict.revoked) {
            self.with_channel(*id, now, |channel, _| channel.revoke(now));
            if let Some(channel) = self.channels.get(id) {
                tracing::info!(channel = channel.name(), "the peer's key was revoked: its sessions have ended");
            }
        }
    }

    /// The new view without what comes and with what goes.
    fn interim(&self, new: &View, going: &[ChannelId]) -> View {
        let mut interim = new.clone();
        let runs = |link: &LinkView, channel: &ChannelView| {
            self.channels.values().any(|it| it.link == link.name && it.view.number == channel.number)
        };
        for link in &mut interim.links {
            let all = std::mem::take(&mut link.channels);
            link.channels = all.into_iter().filter(|channel| runs(link, channel)).collect();
        }
        for channel in going.iter().filter_map(|id| self.channels.get(id)) {
            let Some(old) = self.gateway.view.links.iter().find(|link| link.name == channel.link) else { continue };
            let link = match interim.links.iter_mut().find(|link| link.name == channel.link) {
                Some(link) => link,
                None => {
                    interim.links.push(LinkView { channels: Vec::new(), ..old.clone() });
                    interim.links.last_mut().expect("one was pushed")
                }
            };
            link.channels.retain(|it| it.number != channel.view.number);
            link.channels.push(channel.view.clone());
            link.channels.sort_by_key(|it| it.number);
        }
        interim
    }

    /// The links of the new file in its order, with those of their channels that run.
    fn relink(&mut self) {
        let mut before = std::mem::take(&mut self.links);
        for view in &self.gateway.view.links {
            let place = before.iter().position(|link| link.view.name == view.name);
            let mut link =
                place.map_or_else(|| LinkState::new(view.clone(), Instant::now()), |place| before.swap_remove(place));
            link.view = view.clone();
            self.links.push(link);
        }
        self.places = places(&self.links);
    }

    /// What went has ended: the kernel as the new file wants it.
    pub(super) fn make_new_file_so(&mut self, mut reloading: Reloading, now: Instant) {
        // While those are there whose last words they are.
        self.hear(now);
        for id in &reloading.going {
            let Some(channel) = self.forget(*id) else { continue };
            if channel.is_taken_down() {
                reloading.stay_down.insert((channel.link.clone(), channel.view.number));
            }
            self.surroundings.withdrawn.remove(&channel.view.device);
            self.notifier.forget(&kept::name(&channel.link, channel.view.number));
        }
        let links = &self.gateway.view.links;
        self.surroundings.mtus.retain(|name, _| links.iter().any(|link| link.name == *name));
        self.load = HandshakeLoad::new(view::channels(&self.gateway.view).count(), now);
        reloading.stage = Stage::Making;
        self.change = Some(Change::Reload(Box::new(reloading)));
        self.wish(Then::Change);
    }

    /// Devices and routes are there: the channels on them.
    pub(super) fn finish_reload(&mut self, reloading: Reloading, now: Instant) {
        let Reloading { caller, coming, mut sockets, stay_down, mtus, mut done, .. } = reloading;
        self.hooks.configure(&self.gateway.view);
        self.narrow(&mtus);
        for name in coming {
            let socket = sockets.remove(&name);
            match self.make_new(&name.0, name.1, socket, now) {
                Ok(Some(id)) if stay_down.contains(&name) => {
                    self.with_channel(id, now, |channel, _| channel.take_down(now));
                }
                Ok(_) => {}
                Err(error) => {
                    done.warnings.push(format!("channel {}/{}: {error}; it is tried again", name.0, name.1));
                    let taken_down = stay_down.contains(&name);
                    self.miss(name, &error, taken_down, now);
                }
            }
        }
        done.changes.iter().for_each(|change| tracing::info!("reloaded: {change}"));
        if done.changes.is_empty() {
            tracing::info!("reloaded: nothing differs");
        }
        self.want_names(now);
        let answer = serde_json::to_value(done).map_err(|error| Refusal::Failed(error.to_string()));
        self.end_reload(caller, answer);
    }

    pub(super) fn make_new(
        &mut self,
        link: &str,
        number: u16,
        socket: Option<Udp>,
        now: Instant,
    ) -> Result<Option<ChannelId>, Error> {
        let Some(place) = self.place_of(link) else { return Ok(None) };
        let view = &self.links[place].view;
        let Some(channel) = view.channels.iter().find(|channel| channel.number == number).cloned() else {
            return Ok(None);
        };
        let udp = socket.map_or_else(|| channels::bind_one(view, &channel), Ok)?;
        self.notifier.keep(&kept::name(link, number), &udp);
        self.make_channel(place, &channel, Arc::new(udp), now).map(Some)
    }

    fn end_reload(&self, caller: Option<Caller>, answer: Result<Value, Refusal>) {
        self.notifier.ready(&self.summary());
        if let Some(caller) = caller {
            caller.answer(answer);
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        match error.fault() {
            Fault::Configuration => Refusal::Configuration(error.to_string()),
            _ => Refusal::Failed(error.to_string()),
        }
    }
}
