//! A new file, taken up while everything that it does not concern goes on.
//!
//! 1. The file and the keys are read and checked, sockets are bound, the kernel is asked whether something foreign is in the
//!    way. Up to here nothing has changed, and a mistake ends it.
//! 2. Whose key is gone is cut off. Channels that go leave the routes and say goodbye; settings of those that stay change.
//! 3. When nothing of the former is under way any more, their devices go, new ones are made, and their channels start.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use meshtun_config::{ChannelView, LinkView, View};
use meshtun_dataplane::ChannelId;
use meshtun_netlink::Step;
use meshtun_proto::control::Reason;
use meshtun_sys::udp::Udp;
use serde_json::Value;

use super::{Engine, LinkState, change::Change};
use crate::{
    Error, Fault, Gateway, channels,
    control::{Caller, Refusal, Reloaded},
    gateway::read_mesh,
    hooks, kept,
    open_files::may_open,
    reload::{Fate, Verdict, describe, obstacle, verdict},
    surroundings::{self, Surroundings},
    underload::HandshakeLoad,
    view,
};

/// A reload that waits for the channels that go.
pub(super) struct Reloading {
    caller: Option<Caller>,
    /// What the kernel shall hold until then.
    interim: View,
    going: Vec<ChannelId>,
    /// Those that are to be made then, by link and number, and their sockets as far as they could be bound before.
    coming: Vec<(String, u16)>,
    sockets: BTreeMap<(String, u16), Udp>,
    /// The links' MTUs before.
    mtus: BTreeMap<String, u16>,
    done: Reloaded,
}

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
    /// The channels that have to end first.
    pub(super) fn closed(&self) -> &[ChannelId] {
        &self.going
    }

    pub(super) fn interim(&self) -> &View {
        &self.interim
    }
}

impl Engine {
    /// Begins to take the file up as it is now.
    pub(super) async fn reload(&mut self, caller: Option<Caller>, now: Instant) {
        self.notifier.reloading();
        match self.prepare().await {
            Ok(ready) => self.begin_reload(ready, caller, now).await,
            Err(refusal) => {
                tracing::error!("not reloaded, nothing was changed: {refusal}");
                self.end_reload(caller, Err(refusal));
            }
        }
    }

    /// Reads and checks everything; changes nothing.
    async fn prepare(&self) -> Result<Ready, Refusal> {
        let (gateway, mut warnings) = self.read_files()?;
        if let Some(obstacle) = obstacle(&self.gateway, &gateway) {
            return Err(Refusal::Configuration(format!("{}: {obstacle}", self.files.mesh.display())));
        }
        may_open(view::channels(&gateway.view).count()).map_err(refusal)?;
        let (mut surroundings, more) =
            surroundings::look(&self.network, &gateway.view).await.map_err(|error| refusal(error.into()))?;
        warnings.extend(more);
        let ceilings = self.new_ceilings(&gateway.view, &surroundings);
        warnings.extend(hooks::problems(&gateway.view));
        self.keep_what_was_learned(&gateway.view, &mut surroundings);
        let verdicts = self.verdicts(&gateway);
        let coming = self.coming(&gateway.view, &verdicts);
        let sockets = self.bind_early(&gateway.view, &coming, &verdicts).map_err(refusal)?;
        let planned = self.keeper.plan(gateway.view.clone(), surroundings.clone()).await;
        planned.map_err(|error| refusal(error.into()))?;
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

    fn read_files(&self) -> Result<(Gateway, Vec<String>), Refusal> {
        let (mesh, warnings) = read_mesh(&self.files.mesh).map_err(refusal)?;
        let warnings = if warnings.is_empty() { Vec::new() } else { vec![warnings.to_string()] };
        Ok((Gateway::load(&mesh, &self.files.key).map_err(refusal)?, warnings))
    }

    /// An MTU that the underlay turned out to need stays, where the file says the same as before; so does what is out of the
    /// routes.
    fn keep_what_was_learned(&self, view: &View, surroundings: &mut Surroundings) {
        for link in &view.links {
            let same = self.gateway.view.links.iter().any(|old| old.name == link.name && old.mtu == link.mtu);
            if let (true, Some(mtu), Some(known)) =
                (same, surroundings.mtus.get_mut(&link.name), self.surroundings.mtus.get(&link.name))
            {
                *mtu = (*mtu).min(*known);
            }
        }
        surroundings.withdrawn.clone_from(&self.surroundings.withdrawn);
    }

    fn new_ceilings(&self, view: &View, surroundings: &Surroundings) -> BTreeMap<String, u16> {
        let mtu = |name: &str| self.gateway.view.links.iter().find(|old| old.name == name).map(|old| old.mtu);
        let changed = view.links.iter().filter(|link| mtu(&link.name) != Some(link.mtu));
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

    async fn begin_reload(&mut self, ready: Ready, caller: Option<Caller>, now: Instant) {
        let Ready { gateway, surroundings, ceilings, verdicts, coming, sockets, mut done } = ready;
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
        // Where nothing goes the rest follows at once, and the kernel is asked but once.
        if !going.is_empty() {
            self.make_so(interim.clone(), &mut done).await;
        }
        self.close_channels(&going, Reason::Down, now);
        self.take_ceilings(ceilings, now);
        self.take_settings(&old, &fated(|fate| fate <= Fate::Rekeyed), now);
        self.rekey(&fated(|fate| fate == Fate::Rekeyed), now);
        self.change = Some(Change::Reload(Box::new(Reloading { caller, interim, going, coming, sockets, mtus, done })));
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
    }

    /// What went has ended: the rest of the new file.
    pub(super) async fn finish_reload(&mut self, reloading: Reloading, now: Instant) {
        // While those are there whose last words they are.
        self.hear(now);
        let Reloading { caller, going, coming, mut sockets, mtus, mut done, .. } = reloading;
        let mut stays_down = BTreeSet::new();
        for id in going {
            let Some(channel) = self.forget(id) else { continue };
            if channel.is_taken_down() {
                stays_down.insert((channel.link.clone(), channel.view.number));
            }
            self.surroundings.withdrawn.remove(&channel.view.device);
            self.notifier.forget(&kept::name(&channel.link, channel.view.number));
        }
        let links = &self.gateway.view.links;
        self.surroundings.mtus.retain(|name, _| links.iter().any(|link| link.name == *name));
        self.load = HandshakeLoad::new(view::channels(&self.gateway.view).count(), now);
        self.make_so(self.gateway.view.clone(), &mut done).await;
        self.hooks.configure(&self.gateway.view);
        self.narrow(&mtus);
        for name in coming {
            let socket = sockets.remove(&name);
            match self.make_new(&name.0, name.1, socket, now) {
                Ok(Some(id)) if stays_down.contains(&name) => {
                    self.with_channel(id, now, |channel, _| channel.take_down(now));
                }
                Ok(_) => {}
                Err(error) => {
                    done.warnings.push(format!("channel {}/{}: {error}; it is tried again", name.0, name.1));
                    let taken_down = stays_down.contains(&name);
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
        let Some(place) = self.links.iter().position(|it| it.view.name == link) else { return Ok(None) };
        let view = &self.links[place].view;
        let Some(channel) = view.channels.iter().find(|channel| channel.number == number).cloned() else {
            return Ok(None);
        };
        let udp = socket.map_or_else(|| channels::bind_one(view, &channel), Ok)?;
        self.notifier.keep(&kept::name(link, number), &udp);
        self.make_channel(place, &channel, Arc::new(udp), now).map(Some)
    }

    async fn make_so(&mut self, view: View, done: &mut Reloaded) {
        let made = self.keeper.want(view, self.surroundings.clone()).await;
        done.steps.extend(made.steps.iter().map(Step::to_string));
        for problem in made.problems {
            tracing::error!("{problem}; it is tried again");
            done.warnings.push(problem);
        }
    }

    fn end_reload(&self, caller: Option<Caller>, answer: Result<Value, Refusal>) {
        self.notifier.ready(&self.summary());
        if let Some(caller) = caller {
            caller.answer(answer);
        }
    }
}

fn refusal(error: Error) -> Refusal {
    match error.fault() {
        Fault::Configuration => Refusal::Configuration(error.to_string()),
        _ => Refusal::Failed(error.to_string()),
    }
}
