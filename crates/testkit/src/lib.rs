//! An in-memory underlay with a virtual clock, and packet builders, for tests.
