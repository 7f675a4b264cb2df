//! The state machine of one channel's control side.
