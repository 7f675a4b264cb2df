//! Worker threads that own the halves of channels and carry packets.
