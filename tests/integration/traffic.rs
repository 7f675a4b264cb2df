//! TCP and UDP through a link, IPv4 and IPv6, order within a flow.

mod clamp;
mod counters;
mod iperf;
mod mtu;
mod order;
mod reach;
mod tcp;
mod weights;
