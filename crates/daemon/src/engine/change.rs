//! Changes that take a while: one at a time, the others wait their turn.

use meshtun_config::View;
use meshtun_dataplane::ChannelId;

use super::{
    reading::Read,
    reloading::{Reloading, Stage},
};
use crate::control::Caller;

/// A change that goes on.
pub(super) enum Change {
    /// A person takes channels down.
    TakeDown {
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
