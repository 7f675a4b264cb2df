//! The scenarios that come with the program.

/// Name and text of each.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("blocked-channel", include_str!("../../scenarios/blocked-channel.toml")),
    ("graceful-down", include_str!("../../scenarios/graceful-down.toml")),
    ("reload-add", include_str!("../../scenarios/reload-add.toml")),
    ("kill-restart", include_str!("../../scenarios/kill-restart.toml")),
    ("outage", include_str!("../../scenarios/outage.toml")),
    ("paths", include_str!("../../scenarios/paths.toml")),
    ("fail-closed", include_str!("../../scenarios/fail-closed.toml")),
    ("flap", include_str!("../../scenarios/flap.toml")),
    ("chaos", include_str!("../../scenarios/chaos.toml")),
];

/// The text of the built-in scenario of that name.
pub fn find(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
