//! Devices, addresses, routes and sysctls: desired, actual, the difference, applied.
//!
//! ```text
//! Desired ──┐
//!           ├─ difference (pure) ─> Vec<Step> ─┬─ Display: what a person would type
//! Actual  ──┘                                  └─ Network::apply: netlink, /proc/sys, tun
//!    ^── Network::actual: read from the kernel
//! ```
//!
//! Ours are the tun devices whose alias starts with [`ALIAS_PREFIX`] and the routes of the main
//! table whose protocol number is [`PROTOCOL`] or [`GUARD_PROTOCOL`]. Nothing else is changed, replaced or removed; what is in
//! our way is an error that names it. The order of the steps keeps two promises: a network of
//! ours never lacks its `unreachable` route while we work on it (fail closed), and a device leaves every route before
//! it is deleted (the kernel drops a whole IPv4 multipath route with one of its devices).
#![forbid(unsafe_code)]

mod actual;
mod apply;
mod changes;
mod connection;
mod desired;
mod difference;
mod error;
mod lookup;
mod network;
mod plain;
mod reach;
mod read;
mod sentry;
mod step;
mod sysctl;
mod underlay;

pub use actual::{Actual, ActualDevice, ActualRoute, ActualRouteKind, TunFlags};
pub use changes::{Change, Changes, ForeignRoute};
pub use desired::{Desired, Device, Nexthop, Route, RouteKind, Sysctl, device_sysctls, ecmp_sysctls, multipath_metric};
pub use difference::{Protection, Repair, difference, protection, repair, undone};
pub use error::{ApplyError, ConvergeError, Foreign, ForeignError, KernelError, NetworkError};
pub use lookup::{LocalAddress, Reach, Way};
pub use network::Network;
pub use plain::{PlainAddress, PlainRoute};
pub use sentry::{Protected, Sentry};
pub use step::Step;
pub use underlay::{Underlay, UnderlayNews};

/// Route protocol number of our routes ("m" in ASCII); no entry of iproute2's `rt_protos` has it.
pub const PROTOCOL: u8 = 109;

/// Metric of the `unreachable` routes: above any that a person or a daemon would choose.
pub const UNREACHABLE_METRIC: u32 = 4_278_198_272;

/// Route protocol number of the guards: a second `unreachable` route under each of ours, which stays when somebody flushes
/// what has [`PROTOCOL`].
pub const GUARD_PROTOCOL: u8 = 110;

/// Metric of the guards: right under the `unreachable` routes.
pub const GUARD_METRIC: u32 = UNREACHABLE_METRIC + 1;

/// Major number of the handle of root queueing disciplines that we set ("mt" in ASCII): one that the file has no more is
/// taken away, one that a person has set is not.
pub const QDISC_HANDLE: u16 = 0x6d74;

/// What the alias of every device of ours starts with.
pub const ALIAS_PREFIX: &str = "meshtun ";
