//! The static key file, and which part of it seals and opens.
