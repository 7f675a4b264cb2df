//! What the calling thread may do.

use std::io;

use rustix::thread::{CapabilitySet, capabilities};

/// A capability that meshtun or its tests need (capabilities(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Configure devices and routes, attach tun devices, set marks.
    NetAdmin,
    /// Open packet sockets, bind sockets to devices.
    NetRaw,
    /// Make and enter namespaces, mount.
    SysAdmin,
}

/// Whether the calling thread's effective set has the capability, in its user namespace.
///
/// # Errors
/// The kernel's; none is expected.
pub fn has(capability: Capability) -> io::Result<bool> {
    let wanted = match capability {
        Capability::NetAdmin => CapabilitySet::NET_ADMIN,
        Capability::NetRaw => CapabilitySet::NET_RAW,
        Capability::SysAdmin => CapabilitySet::SYS_ADMIN,
    };
    Ok(capabilities(None)?.effective.contains(wanted))
}

/// Whether devices and routes can be configured; `false` if the kernel does not tell.
pub fn has_net_admin() -> bool {
    has(Capability::NetAdmin).unwrap_or(false)
}
