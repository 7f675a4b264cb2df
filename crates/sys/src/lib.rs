//! Thin typed system calls: tun, UDP trains, epoll, namespaces.
//!
//! The only crate of meshtun that holds `unsafe` code and talks to `libc`. It decides nothing: each function is one or
//! a few system calls with types around them. Linux only.
//!
//! | module | what it wraps |
//! |---|---|
//! | [`tun`] | attach to a persistent tun device, offloads, carrier |
//! | [`udp`] | a UDP socket that sends and receives trains (`UDP_SEGMENT`, `UDP_GRO`) |
//! | [`epoll`], [`event`], [`timer`], [`thread`] | what a worker's loop stands on |
//! | [`device`] | interface index, flags, up and down |
//! | [`tcp`], [`traffic_class`] | congestion control, the class of what a socket sends |
//! | [`netns`] | network and user namespaces: made, entered, pinned |
//! | [`capture`] | packet sockets with classic BPF filters |
//! | [`lock`], [`capability`], [`process`] | one daemon at a time, what we may do, children |
//! | [`identity`], [`background`], [`clock`] | another user, another session, civil time |
#![deny(clippy::undocumented_unsafe_blocks)]

pub mod background;
pub mod capability;
pub mod capture;
pub mod clock;
pub mod device;
pub mod epoll;
pub mod event;
pub mod identity;
mod ioctl;
pub mod lock;
pub mod netns;
mod option;
pub mod process;
pub mod service;
pub mod tcp;
pub mod thread;
pub mod timer;
pub mod traffic_class;
pub mod tun;
pub mod udp;
