//! Devices that one sending half reads for another.
//!
//! A channel that has just lost its carrier may still have packets in its device, and gets more until the kernel has taken
//! it out of the routes. A sibling that is alive carries them: it reads the device beside its own and seals what it reads
//! under its own session, so that a send counter has one writer still, and a device one reader.

use std::{io, sync::Arc};

use meshtun_sys::{epoll::Epoll, tun::Tun};

use super::SendingHalf;
use crate::ChannelId;

/// What a half has lent and borrowed.
#[derive(Debug, Default)]
pub(super) struct Loans {
    /// Its own device is read by another half.
    is_lent: bool,
    borrowed: Vec<(ChannelId, Arc<Tun>)>,
    /// Borrowed devices that are gone and still watched.
    broken: Vec<Arc<Tun>>,
}

impl Loans {
    /// The devices to read, the half's own last: what is borrowed runs empty, and its own may be busy for long.
    pub(super) fn devices<'a>(&'a self, own: &'a Arc<Tun>) -> impl Iterator<Item = &'a Arc<Tun>> {
        self.borrowed.iter().map(|(_, device)| device).chain((!self.is_lent).then_some(own))
    }

    /// Reads a borrowed device no longer, and tells whose it is. `None` if it is not borrowed.
    pub(super) fn give_up(&mut self, device: &Arc<Tun>) -> Option<ChannelId> {
        let index = self.borrowed.iter().position(|(_, borrowed)| Arc::ptr_eq(borrowed, device))?;
        let (owner, device) = self.borrowed.swap_remove(index);
        self.broken.push(device);
        Some(owner)
    }
}

impl SendingHalf {
    /// Stops reading the half's own device, for another half to read it.
    pub(crate) fn lend(&mut self, epoll: &Epoll) -> Arc<Tun> {
        let _gone = epoll.delete(&*self.tun);
        self.loans.is_lent = true;
        Arc::clone(&self.tun)
    }

    /// Reads its own device again.
    pub(crate) fn reclaim(&mut self, epoll: &Epoll) -> io::Result<()> {
        self.loans.is_lent = false;
        self.watch_device(&self.tun, epoll)
    }

    /// Reads the device of another half beside its own.
    pub(crate) fn borrow(&mut self, owner: ChannelId, device: Arc<Tun>, epoll: &Epoll) -> io::Result<()> {
        self.watch_device(&device, epoll)?;
        self.loans.borrowed.push((owner, device));
        Ok(())
    }

    /// Reads the device of another half no longer.
    pub(crate) fn give_back(&mut self, owner: ChannelId, epoll: &Epoll) {
        self.loans.borrowed.retain(|(of, device)| {
            let stays = *of != owner;
            if !stays {
                let _gone = epoll.delete(&**device);
            }
            stays
        });
    }

    /// Watches borrowed devices that are gone no longer: they would always be ready.
    pub(crate) fn forget_broken(&mut self, epoll: &Epoll) {
        while let Some(device) = self.loans.broken.pop() {
            let _gone = epoll.delete(&*device);
        }
    }
}
