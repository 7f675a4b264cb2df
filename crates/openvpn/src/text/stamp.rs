//! The time before a log line (otime.c, `time_string`).

use std::fmt::Display;

/// `2026-11-21 19:32:31`, which `time` shows itself as, and from `verb 4` on ` us=324348`, the second's `micros`, behind it.
#[must_use]
pub fn stamp(time: impl Display, micros: Option<u32>) -> String {
    micros.map_or_else(|| time.to_string(), |micros| format!("{time} us={micros}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_have_microseconds_when_asked() {
        assert_eq!(stamp("2026-01-02 03:04:05", None), "2026-01-02 03:04:05");
        assert_eq!(stamp("2026-01-02 03:04:05", Some(73991)), "2026-01-02 03:04:05 us=73991");
    }
}
