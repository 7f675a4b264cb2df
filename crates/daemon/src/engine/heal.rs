//! Routes made whole again after one of their devices is gone.

use meshtun_config::View;
use meshtun_netlink::Protection;

use super::{Engine, channel::Channel};
use crate::desired::desired;

impl Engine {
    /// Routes go over the channels that are left: with one device the kernel drops a whole IPv4 multipath route.
    pub(super) async fn heal_routes(&mut self) {
        let left = without_failed(&self.view, &self.channels);
        match self.network.converge(&desired(&left, &self.surroundings), Protection::Keep).await {
            Ok(steps) if steps.is_empty() => {}
            Ok(_) => tracing::warn!("routes made anew over the channels that are left"),
            Err(error) => tracing::error!("cannot make the routes anew: {error}"),
        }
    }
}

/// The view without the channels whose devices or sockets are gone.
fn without_failed(view: &View, channels: &[Channel]) -> View {
    let mut left = view.clone();
    let mut states = channels.iter();
    for link in &mut left.links {
        link.channels.retain(|_| !states.next().is_some_and(Channel::has_failed));
    }
    left
}
