//! One change to the kernel, and the command that a person would type for it.

use std::fmt;
use std::net::Ipv6Addr;

use crate::{Route, Sysctl};

/// One change. `Display` is one line for a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make a persistent tun device with our alias.
    CreateDevice {
        /// Its name.
        name: String,
        /// Its mark.
        alias: String,
    },
    /// Delete a device of ours.
    DeleteDevice {
        /// Its name.
        name: String,
    },
    /// Set what differs, in one request.
    ConfigureDevice {
        /// Its name.
        name: String,
        /// New alias.
        alias: Option<String>,
        /// New MTU, bytes.
        mtu: Option<u32>,
        /// New transmit queue length, packets.
        txqueuelen: Option<u32>,
        /// Whether to take it up.
        up: bool,
    },
    /// Add a link-local address.
    AddAddress {
        /// To which device.
        device: String,
        /// With prefix length 64.
        address: Ipv6Addr,
    },
    /// Remove a link-local address.
    RemoveAddress {
        /// From which device.
        device: String,
        /// The address.
        address: Ipv6Addr,
        /// Its prefix length.
        prefix_len: u8,
    },
    /// Set the root queueing discipline.
    SetQdisc {
        /// Of which device.
        device: String,
        /// Its kind.
        kind: String,
    },
    /// Make a route that is not there. Printed as `replace`, so that the line can be typed again, but applied so that
    /// it fails if anything has taken its place meanwhile.
    AddRoute(Route),
    /// Replace a route of ours that has the same prefix and metric.
    ReplaceRoute(Route),
    /// Delete a route of ours.
    DeleteRoute(Route),
    /// Write a sysctl; a machine-wide one is recorded first.
    SetSysctl(Sysctl),
    /// Put back the recorded value, if the present one is still ours.
    RestoreSysctl {
        /// Which.
        key: String,
        /// What it was before us.
        before: String,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
