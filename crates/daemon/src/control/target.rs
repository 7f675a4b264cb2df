//! A link or a channel, as a person names it.

use std::{fmt, str::FromStr};

/// `nq` or `nq/2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The link's name.
    pub link: String,
    /// One channel of it; none: all of them.
    pub channel: Option<u16>,
}

/// What was given names no link and no channel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no LINK or LINK/CHANNEL, as `nq` or `nq/2`")]
pub struct TargetError(String);

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Target, TargetError> {
        let error = || TargetError(text.to_owned());
        let (link, channel) = match text.split_once('/') {
            Some((link, channel)) => (link, Some(channel.parse().map_err(|_| error())?)),
            None => (text, None),
        };
        // A file's name has a dot or a slash somewhere, a device's a number at its end.
        let is_name = !link.is_empty() && link.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if !is_name || link.ends_with(|c: char| c.is_ascii_digit()) {
            return Err(error());
        }
        Ok(Target { link: link.to_owned(), channel })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.channel {
            Some(channel) => write!(f, "{}/{channel}", self.link),
            None => f.write_str(&self.link),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_and_a_channel_are_read_as_they_are_written() {
        for text in ["nq", "nq/2", "n-q_x/255"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_may_be_a_file_or_a_device_is_no_target() {
        for text in
            ["", "/", "nq/", "/2", "nq/-1", "nq/2/3", "nq/99999", "mesh.toml", "./mesh", "/etc/mesh.toml", "nq2"]
        {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
