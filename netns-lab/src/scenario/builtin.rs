//! The scenarios that come with the program.

/// Name and text of each.
pub const BUILT_IN: &[(&str, &str)] = &[("blocked-channel", include_str!("../../scenarios/blocked-channel.toml"))];

/// The text of the built-in scenario of that name.
pub fn find(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
