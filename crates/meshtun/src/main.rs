//! The `meshtun` program.

fn main() {}
