//! Routes made whole again after one of their devices is gone.

use std::collections::BTreeSet;

use meshtun_config::View;
use meshtun_netlink::Protection;

use super::Engine;
use crate::desired::desired;

impl Engine {
    /// Routes go over the channels that are left: with one device the kernel drops a whole IPv4 multipath route.
    pub(super) async fn heal_routes(&mut self) {
        let left = self.without_failed();
        match self.network.converge(&desired(&left, &self.surroundings), Protection::Keep).await {
            Ok(steps) if steps.is_empty() => {}
            Ok(_) => tracing::warn!("routes made anew over the channels that are left"),
            Err(error) => tracing::error!("cannot make the routes anew: {error}"),
        }
    }

    /// The view without the channels whose devices or sockets are gone.
    fn without_failed(&self) -> View {
        let mut left = self.gateway.view.clone();
        let failed = self.channels.values().filter(|channel| channel.has_failed());
        let failed: BTreeSet<&str> = failed.map(|channel| channel.view.device.as_str()).collect();
        for link in &mut left.links {
            link.channels.retain(|channel| !failed.contains(channel.device.as_str()));
        }
        left
    }
}
