//! The one integration-test binary. What belongs where:
//!
//! - `architecture`: the workspace's dependencies point the way that `ARCHITECTURE.md` says.

mod architecture;
