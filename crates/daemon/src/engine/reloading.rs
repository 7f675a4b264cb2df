//! What a reload holds while it goes on.

use std::collections::{BTreeMap, BTreeSet};

use meshtun_config::View;
use meshtun_dataplane::ChannelId;
use meshtun_sys::udp::Udp;

use crate::control::{Caller, Reloaded};

/// A reload that has begun.
pub(super) struct Reloading {
    pub(super) caller: Option<Caller>,
    pub(super) stage: Stage,
    /// What the kernel shall hold until those have gone that go.
    pub(super) interim: View,
    pub(super) going: Vec<ChannelId>,
    /// Those that are to be made then, by link and number, and their sockets as far as they could be bound before.
    pub(super) coming: Vec<(String, u16)>,
    pub(super) sockets: BTreeMap<(String, u16), Udp>,
    /// Those of them that a person had taken down.
    pub(super) stay_down: BTreeSet<(String, u16)>,
    /// The links' MTUs before.
    pub(super) mtus: BTreeMap<String, u16>,
    pub(super) done: Reloaded,
}

/// What a reload waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The routes, to lead elsewhere.
    Leaving,
    /// The channels that go, to have ended.
    Ending,
    /// The kernel, to be as the new file says.
    Making,
}
