//! A device's carrier: what the kernel's routing believes of a channel.

use std::io;

use meshtun_sys::tun::CarrierSwitch;

/// The carrier of one channel's device, down at first.
#[derive(Debug)]
pub(crate) struct Carrier {
    switch: Option<CarrierSwitch>,
    up: bool,
}

impl Carrier {
    /// Of a device that was just attached, which leaves it without carrier.
    pub(crate) fn down(switch: CarrierSwitch) -> Carrier {
        Carrier { switch: Some(switch), up: false }
    }

    /// One that is up, of no device.
    #[cfg(test)]
    pub(crate) fn of_nothing() -> Carrier {
        Carrier { switch: None, up: true }
    }

    /// What the kernel was told last.
    pub(crate) fn is_up(&self) -> bool {
        self.up
    }

    /// Whether the kernel is known to act on a loss only later, at most once a second for the whole machine.
    pub(crate) fn is_slow(&self) -> bool {
        self.switch.as_ref().and_then(CarrierSwitch::settles_at_once) == Some(false)
    }

    /// Tells the kernel, if it is news. `Ok(false)` if the kernel knew.
    ///
    /// # Errors
    /// The kernel's: the device is gone.
    pub(crate) fn set(&mut self, up: bool) -> io::Result<bool> {
        if self.up == up {
            return Ok(false);
        }
        self.up = up;
        match &self.switch {
            Some(switch) => switch.set(up)?,
            None => return Err(io::ErrorKind::NotConnected.into()),
        }
        Ok(true)
    }

    /// Lets go of the device, so that it may be attached anew.
    pub(crate) fn release(&mut self) {
        self.up = false;
        self.switch = None;
    }
}
