//! TCP and UDP through a link, IPv4 and IPv6, order within a flow.
