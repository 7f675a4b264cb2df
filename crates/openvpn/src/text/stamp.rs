//! The time before a log line (otime.c, `time_string`).

/// A moment as a calendar and a clock on the wall show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Four digits.
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
    /// Microseconds of the second.
    pub micros: u32,
}

/// `2026-11-21 19:32:31`, and from `verb 4` on ` us=324348` behind it.
#[must_use]
pub fn stamp(time: &Civil, with_micros: bool) -> String {
    let Civil { year, month, day, hour, minute, second, micros } = time;
    let seconds = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
    if with_micros { format!("{seconds} us={micros}") } else { seconds }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_have_microseconds_when_asked() {
        let time = Civil { year: 2026, month: 1, day: 2, hour: 3, minute: 4, second: 5, micros: 73991 };
        assert_eq!(stamp(&time, false), "2026-01-02 03:04:05");
        assert_eq!(stamp(&time, true), "2026-01-02 03:04:05 us=73991");
    }
}
