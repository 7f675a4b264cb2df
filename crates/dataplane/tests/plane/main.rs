//! One channel of a real data plane, in a network namespace of its own, against a peer that this file plays with a
//! plain socket and the session's keys.
//!
//! ```text
//!   this file: peer's socket 127.0.0.1 ◄──── UDP ────► channel socket ─ data plane ─ dp0 ─ kernel: 10.1.0.1
//! ```

mod bench;
mod carrying;
mod clamping;
mod draining;
mod dropping;
mod loans;
mod sessions;
