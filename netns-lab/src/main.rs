//! Command line of the laboratory.
#![forbid(unsafe_code)]

fn main() {}
