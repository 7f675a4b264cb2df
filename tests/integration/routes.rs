//! What the kernel holds after `up`, `down`, `kill -9` and restarts, asked of the kernel.

mod down;
mod foreign;
mod plan;
mod restart;
mod up;
