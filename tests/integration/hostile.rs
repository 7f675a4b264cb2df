//! Datagrams and inner packets that nobody should have sent, and things that are missing or busy.
