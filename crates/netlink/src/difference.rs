//! From the actual state to the desired one: pure, ordered, never touching what is not ours.

use crate::{Actual, Desired, ForeignError, Step};

/// What becomes of `unreachable` routes of ours that are not desired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// They stay: packets for a network of the other site never leave by another route (`up`, `reload`, `down`).
    Keep,
    /// They go, last of all (`down --unprotect`).
    Lift,
}

/// The steps that lead from `actual` to `desired`, in order; none if they agree.
///
/// # Errors
/// Whatever stands in our way and is not ours; all of it at once, and no steps.
pub fn difference(_desired: &Desired, _actual: &Actual, _protection: Protection) -> Result<Vec<Step>, ForeignError> {
    Ok(Vec::new())
}
