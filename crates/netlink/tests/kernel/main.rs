//! Desired state in the real kernel, in namespaces that each test makes for itself.
//!
//! | file | what belongs there |
//! |---|---|
//! | `apply.rs` | from nothing, from half-way, from the printed commands; nothing left to do |
//! | `heal.rs` | what vanished or was changed comes back; devices leave the route before they go |
//! | `changes.rs` | what the kernel tells us of |
//! | `protection.rs` | fail closed: carrier, down, unprotect, and at every moment in between |
//! | `foreign.rs` | what is not ours is refused, spared, reported |
//! | `sysctls.rs` | machine-wide settings: recorded, restored, left alone |
//! | `underlay.rs` | word of devices and addresses that are there again |
//! | `lookups.rs` | the questions that the daemon asks |
//! | `plain.rs` | one address or route at a time, of nobody in particular |
//! | `support.rs` | rights, a gateway's namespace, a link's desired state |
//!
//! As root, or as an ordinary user through a user namespace; where neither goes a test says so on standard error, and
//! fails if `MESHTUN_REQUIRE_NETNS=1`. `ip` and `tc` of iproute2 and `sysctl` of procps play the other person.

mod apply;
mod changes;
mod foreign;
mod heal;
mod lookups;
mod plain;
mod protection;
mod support;
mod sysctls;
mod underlay;
