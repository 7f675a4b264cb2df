//! Devices, addresses, routes and sysctls: desired, actual, the difference, applied.
