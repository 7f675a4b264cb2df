//! An engine for tests: its channels have carrier and no devices, and its keeper is held up for ever.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use meshtun_config::{Mesh, PublicKey};
use meshtun_dataplane::{ChannelId, DataPlane, PlaneConfig};
use meshtun_proto::LocalIdentity;
use meshtun_sys::udp::{Udp, UdpOptions};

use super::{Engine, EngineParts, Files, Reader};
use crate::{
    Gateway,
    carrier::{Carrier, Carriers},
    channels::{self, ChannelParts},
    fixtures,
    keeper::Keeper,
    notify::Notifier,
    resolve::Resolver,
    stamps::StampStore,
    surroundings::Surroundings,
    view,
};

/// Two links of two channels, with the ids 0 to 3. To be called in a runtime.
pub(super) fn engine() -> Engine {
    let view = fixtures::view(&Mesh::parse("mesh.toml", &fixtures::mesh("")).unwrap());
    let identity = Arc::new(LocalIdentity::new([9; 32]));
    let public_keys = (1..=3).map(|byte| PublicKey([byte; 32])).collect();
    let gateway = Gateway { view, identity, public_keys, preshared_keys: BTreeMap::new() };
    let numbered = (0..).map(ChannelId).zip(view::channels(&gateway.view));
    let channels = numbered.map(|(id, (link, _))| parts(&gateway, id, &link.name, id.0 as u16 % 2)).collect();
    let (plane, _events) = DataPlane::start(&PlaneConfig { cpus: vec![0], pin: false, apart: false }).unwrap();
    let state = tempfile::tempdir().unwrap();
    let files = Files { mesh: state.path().join("mesh.toml"), key: state.path().join("private.key") };
    let mtus = gateway.view.links.iter().map(|link| (link.name.clone(), 1420)).collect();
    let parts = EngineParts {
        channels,
        plane,
        stamps: StampStore::open(state.path(), &[1; 32]).unwrap(),
        resolver: Resolver::new().0,
        keeper: Keeper::stuck(),
        carriers: Carriers::start().unwrap(),
        reader: Reader::new(files.clone()).0,
        files,
        notifier: Notifier::from_environment(),
        surroundings: Surroundings { mtus, ..Surroundings::default() },
        gateway,
        workers: 1,
    };
    Engine::new(parts, Instant::now())
}

impl Engine {
    /// The channel of this number in the first link, made anew with another id.
    pub(super) fn make_anew(&mut self, before: ChannelId, after: ChannelId) {
        let (link, number) = (self.channels[&before].link.clone(), self.channels[&before].view.number);
        let parts = parts(&self.gateway, after, &link, number);
        self.forget(before);
        self.put_in_its_place(before, parts, Instant::now());
    }

    pub(super) fn has_carrier(&self, id: ChannelId) -> bool {
        self.channels[&id].carrier.is_up()
    }
}

fn parts(gateway: &Gateway, id: ChannelId, link: &str, number: u16) -> ChannelParts {
    let link = gateway.view.links.iter().find(|it| it.name == link).unwrap();
    let view = link.channels.iter().find(|it| it.number == number).unwrap().clone();
    let conversation = channels::conversation(gateway, link, &view).unwrap();
    let udp = Arc::new(Udp::bind(&UdpOptions::new("127.0.0.1:0".parse().unwrap())).unwrap());
    let (link, peer, carrier) = (link.name.clone(), link.peer.name.clone(), Carrier::of_nothing());
    ChannelParts { id, link, peer, view, conversation, udp, carrier, counters: Arc::default() }
}

/// Longer than anything here takes.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);
