//! Two ends of a channel in memory, under virtual time.
//!
//! - `world`: the ends, the underlay between them, the clock; `end`: one end with its model
//!   halves. No tests.
//! - `start`: how a channel comes up, and how it does not.
//! - `sessions`: renewal, expiry, keepalives, silence of plain WireGuard, goodbye.
//! - `liveness`: detection, recovery, hold-down, and that the ends agree.
//! - `haste`: an end that is told that the underlay is there again.
//! - `siblings`: several such pairs as channels of one link, and which go down together.
//! - `leaving`: what is under way when an end leaves.
//! - `path_mtu`: padded probes over a path that narrows and widens.
//! - `crossing`: both ends initiate at once, and any message is lost.
//! - `hostile`: replays, cross-wiring, garbage, floods.
//! - `boringtun`: plain WireGuard that nobody here wrote, at the other end.

#![forbid(unsafe_code)]

mod pair {
    mod end;
    pub(crate) mod world;

    mod boringtun;
    mod crossing;
    mod crowd;
    mod haste;
    mod hostile;
    mod leaving;
    mod liveness;
    mod path_mtu;
    mod roaming;
    mod sessions;
    mod siblings;
    mod start;
}
