//! A gateway's view, looked through.

use meshtun_config::{ChannelView, LinkView, View};

/// All channels with their links, in the order of their ids.
pub(crate) fn channels(view: &View) -> impl Iterator<Item = (&LinkView, &ChannelView)> {
    view.links.iter().flat_map(|link| link.channels.iter().map(move |channel| (link, channel)))
}
