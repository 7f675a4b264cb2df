//! Datagrams and inner packets that nobody should have sent, and things that are missing or busy.

mod attack;
mod captured;
mod garbage;
mod inner;
mod mismatch;
mod start;
