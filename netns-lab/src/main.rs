//! Command line of the laboratory.

fn main() {}
