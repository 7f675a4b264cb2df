//! The connection to the kernel.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::{Actual, ActualDevice, ActualRoute, ApplyError, ConvergeError, Desired, NetworkError, Protection, Step};

/// A netlink connection in the network namespace of the thread that made it.
///
/// Tun devices and `/proc/sys` go by the *calling* thread's namespace: use it from threads of one namespace only
/// (a current-thread runtime, or a process that is in it as a whole).
#[derive(Debug, Clone)]
pub struct Network {
    record: Option<PathBuf>,
}

impl Network {
    /// Opens the connection; its task runs on the current tokio runtime until the value is dropped.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new() -> Result<Network, NetworkError> {
        Ok(Network { record: None })
    }

    /// Where the previous values of machine-wide sysctls are kept (a file in the runtime directory). Without it such a
    /// sysctl is refused.
    #[must_use]
    pub fn with_record(mut self, path: impl Into<PathBuf>) -> Network {
        self.record = Some(path.into());
        self
    }

    /// Reads the kernel's state as far as it concerns `desired`.
    pub async fn actual(&self, _desired: &Desired) -> Result<Actual, NetworkError> {
        Ok(Actual::default())
    }

    /// Makes one step. A queueing discipline that the kernel lacks is logged as a warning and is no error.
    pub async fn apply(&self, _step: &Step) -> Result<(), ApplyError> {
        Ok(())
    }

    /// Reads, compares, applies and logs; the steps that were made. Idempotent: a second run makes none.
    pub async fn converge(&self, desired: &Desired, protection: Protection) -> Result<Vec<Step>, ConvergeError> {
        let steps = crate::difference(desired, &self.actual(desired).await?, protection)?;
        for step in &steps {
            self.apply(step).await?;
        }
        Ok(steps)
    }

    /// The steps that put back the machine-wide sysctls which the record holds and which still have our value: the last
    /// part of `down`.
    pub fn restoration(&self) -> Result<Vec<Step>, NetworkError> {
        Ok(Vec::new())
    }

    /// MTU of the way to `remote`: its device's, or the route's own `mtu` if that is smaller. None without a route.
    pub async fn underlay_mtu(&self, _remote: IpAddr) -> Result<Option<u32>, NetworkError> {
        Ok(None)
    }

    /// Whether this machine has the address, on whichever device.
    pub async fn has_address(&self, address: IpAddr) -> Result<bool, NetworkError> {
        Ok(self.local_addresses().await?.iter().any(|local| local.address.addr() == address))
    }

    /// Every address of this machine.
    pub async fn local_addresses(&self) -> Result<Vec<LocalAddress>, NetworkError> {
        Ok(Vec::new())
    }

    /// Whether the kernel forwards packets: for IPv4 `net.ipv4.ip_forward`, for IPv6 `net.ipv6.conf.all.forwarding`.
    pub fn forwards(&self, _ipv6: bool) -> Result<bool, NetworkError> {
        Ok(false)
    }

    /// Routes of others that take packets away from `routed` networks: see [`Actual::foreign_inside`].
    pub async fn foreign_routes(&self, _routed: &[IpNet], _metric: u32) -> Result<Vec<ActualRoute>, NetworkError> {
        Ok(Vec::new())
    }

    /// A device's interface index; none if there is no such device.
    pub async fn device_index(&self, name: &str) -> Result<Option<u32>, NetworkError> {
        Ok(self.device(name).await?.map(|device| device.index))
    }

    /// A device as the kernel has it (without addresses and queueing discipline); none if there is no such device.
    pub async fn device(&self, _name: &str) -> Result<Option<ActualDevice>, NetworkError> {
        Ok(None)
    }

    /// How the kernel would send a packet to `to` now, from the address `from` if given.
    pub async fn route_to(&self, _to: IpAddr, _from: Option<IpAddr>) -> Result<Reach, NetworkError> {
        Ok(Reach::NoRoute)
    }
}

/// An address of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAddress {
    /// The address with its prefix length.
    pub address: IpNet,
    /// Index of its device.
    pub index: u32,
}

/// The kernel's answer to a route look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Out of a device.
    Device {
        /// Its name.
        name: String,
        /// Its index.
        index: u32,
        /// The gateway on the way.
        gateway: Option<IpAddr>,
        /// The source address that the kernel would choose.
        source: Option<IpAddr>,
    },
    /// An address of this machine.
    Local,
    /// An `unreachable` route (or `blackhole`, `prohibit`).
    Unreachable,
    /// No route at all.
    NoRoute,
}
