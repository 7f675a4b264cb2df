//! Network-namespace laboratories: gateways, hosts and sites on one machine.
