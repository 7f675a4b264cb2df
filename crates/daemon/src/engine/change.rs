//! Changes that take a while: one at a time, the others wait their turn.

use meshtun_config::View;
use meshtun_dataplane::ChannelId;

use super::{
    reading::Read,
    reloading::{Reloading, Stage},
};
use crate::control::{Caller, Target};

/// A change that goes on.
pub(super) enum Change {
    /// A person takes channels down.
    TakeDown {
        target: Target,
        channels: Vec<ChannelId>,
        /// Whether no route leads over them any more.
        is_out: bool,
        /// Who waits for it.
        caller: Caller,
    },
    /// The file is being read.
    Read {
        /// Who waits for it; none after a signal.
        caller: Option<Caller>,
    },
    /// A file was read, and the kernel is asked about it.
    Check { caller: Option<Caller>, read: Box<Read> },
    /// A new file is taken up.
    Reload(Box<Reloading>),
}

impl Change {
    /// What was asked for, in words.
    pub(super) fn what(&self) -> String {
        match self {
            Change::TakeDown { target, .. } => format!("down {target}"),
            Change::Read { .. } | Change::Check { .. } | Change::Reload(_) => "reload".into(),
        }
    }

    /// What it waits for, in words.
    pub(super) fn stage(&self) -> &'static str {
        match self {
            Change::Read { .. } => "the files are being read",
            Change::Check { .. } => "the kernel is asked what is in the way; nothing is changed yet",
            Change::TakeDown { is_out: false, .. } => LEAVING,
            Change::TakeDown { is_out: true, .. } => ENDING,
            Change::Reload(reloading) => match reloading.stage {
                Stage::Leaving => LEAVING,
                Stage::Ending => ENDING,
                Stage::Making => "devices, routes and settings are made as the file says",
            },
        }
    }

    /// The channels that have to end before it can go on; none if it waits for something else.
    pub(super) fn waits_for(&self) -> Option<&[ChannelId]> {
        match self {
            Change::TakeDown { channels, is_out: true, .. } => Some(channels),
            Change::Reload(reloading) if reloading.stage == Stage::Ending => Some(&reloading.going),
            _ => None,
        }
    }

    /// The channels that it takes out.
    pub(super) fn goes(&self) -> &[ChannelId] {
        match self {
            Change::TakeDown { channels, .. } => channels,
            Change::Reload(reloading) => &reloading.going,
            Change::Read { .. } | Change::Check { .. } => &[],
        }
    }

    /// A channel of it was made anew: the other one goes in its place.
    pub(super) fn follow_replacement(&mut self, before: ChannelId, after: ChannelId) {
        let channels = match self {
            Change::TakeDown { channels, .. } => channels,
            Change::Reload(reloading) => &mut reloading.going,
            Change::Read { .. } | Change::Check { .. } => return,
        };
        channels.iter_mut().filter(|id| **id == before).for_each(|id| *id = after);
    }

    /// Whether this channel waits for the routes to lead elsewhere.
    pub(super) fn is_leaving(&self, id: ChannelId) -> bool {
        match self {
            Change::TakeDown { channels, is_out: false, .. } => channels.contains(&id),
            Change::Reload(reloading) => reloading.stage == Stage::Leaving && reloading.going.contains(&id),
            _ => false,
        }
    }

    /// Whether this channel is on its way out for good.
    pub(super) fn takes_out(&self, id: ChannelId) -> bool {
        matches!(self, Change::Reload(reloading) if reloading.going.contains(&id))
    }

    /// What the kernel shall hold, if that is not what the file says.
    pub(super) fn interim(&self) -> Option<&View> {
        match self {
            Change::Reload(reloading) if reloading.stage != Stage::Making => Some(&reloading.interim),
            _ => None,
        }
    }
}

const LEAVING: &str = "routes are made to lead around the channels that go";
const ENDING: &str = "the last packets of the channels that go are sent";
