//! Devices and addresses of the underlay that come and go.
//!
//! A socket is bound to a device by its index: one that was deleted and made anew is another, and nothing tells the socket.
//! So the names are looked up again at each word of the kernel, and four times a second besides.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use meshtun_dataplane::ChannelId;
use meshtun_netlink::UnderlayNews;
use meshtun_sys::device;

use super::{Engine, channel::Channel};

impl Engine {
    /// The kernel's word of a device or an address: the channels that need it are tried at once.
    pub(super) fn handle_underlay(&mut self, news: &UnderlayNews, now: Instant) {
        match news {
            UnderlayNews::Address(address) => {
                self.hasten(now, |channel| channel.view.local.ip() == *address);
                self.hasten_strangers(now);
            }
            UnderlayNews::Device(names) => {
                self.bind_to_devices(now);
                let is_it = |device: &String| names.contains(device);
                self.hasten(now, |channel| channel.view.underlay_device.as_ref().is_some_and(is_it));
                self.hasten_strangers(now);
            }
            UnderlayNews::Unknown => {
                self.bind_to_devices(now);
                self.hasten_strangers(now);
            }
        }
    }

    /// Binds the sockets to the devices that have the right names now.
    pub(super) fn bind_to_devices(&mut self, now: Instant) {
        let mut indexes = BTreeMap::new();
        for name in self.channels.values().filter_map(|channel| channel.view.underlay_device.as_ref()) {
            if !indexes.contains_key(name) {
                // What cannot be asked is as it was: it is asked again soon.
                let Ok(index) = device::index_of(name) else { return };
                indexes.insert(name.clone(), index);
            }
        }
        let wanted = |channel: &Channel| *indexes.get(channel.view.underlay_device.as_ref()?)?;
        let moved: Vec<ChannelId> =
            self.channels.values().filter(|it| it.bound != wanted(it)).map(|channel| channel.id).collect();
        for id in moved {
            self.with_channel(id, now, |channel, _| channel.bind_to_device(now));
        }
    }

    /// Channels that no device or address binds, or whose way leads over whatever has changed: not too often, for devices of
    /// others come and go on a machine with containers.
    fn hasten_strangers(&mut self, now: Instant) {
        if self.haste.admit(now).is_some() {
            self.hasten(now, |_| true);
        }
    }

    fn hasten(&mut self, now: Instant, which: impl Fn(&Channel) -> bool) {
        let lost = self.channels.values().filter(|channel| !channel.carrier.is_up() && which(channel));
        let lost: Vec<ChannelId> = lost.map(|channel| channel.id).collect();
        for id in lost {
            self.with_channel(id, now, |channel, _| channel.hasten(now));
        }
    }
}

impl Channel {
    /// Binds the socket to the device that is called as the file says now; none if there is none.
    pub(super) fn bind_to_device(&mut self, now: Instant) {
        let device = self.view.underlay_device.clone();
        let bound = self.udp.bind_device(device.as_deref());
        if bound.is_ok() {
            self.bind_error = None;
        }
        match bound {
            Ok(index) if index == self.bound => {}
            Ok(index) => {
                match (&device, index) {
                    (Some(device), Some(index)) => {
                        tracing::info!(channel = self.name(), "bound to the network device {device} (index {index})")
                    }
                    (Some(device), None) => {
                        tracing::warn!(channel = self.name(), "the network device {device} is gone: waiting for it")
                    }
                    (None, _) => {}
                }
                self.bound = index;
                self.hasten(now);
            }
            Err(error) => self.not_bound(&error, now),
        }
    }
}

/// How often anything that happens to devices and addresses hastens channels that are not known to need them.
pub(super) const HASTE: Duration = Duration::from_millis(500);
