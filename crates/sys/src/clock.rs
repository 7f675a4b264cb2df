//! Civil time of this machine.

use std::{
    fmt,
    sync::Once,
    time::{SystemTime, UNIX_EPOCH},
};

/// A moment as a calendar and a clock on the wall show it (`TZ`, `/etc/localtime`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
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
}

impl LocalTime {
    /// What the wall shows at `time`. Which zone it is in is read at the first call, so that a directory into which the process
    /// is locked later needs no zone files.
    pub fn at(time: SystemTime) -> LocalTime {
        let seconds = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => libc::time_t::try_from(since.as_secs()).unwrap_or(libc::time_t::MAX),
            Err(before) => -libc::time_t::try_from(before.duration().as_secs()).unwrap_or(0),
        };
        learn_zone();
        // SAFETY: a `tm` is plain integers and a pointer, for which zero is valid.
        let mut broken: libc::tm = unsafe { std::mem::zeroed() };
        // SAFETY: both pointers are valid for the call.
        if unsafe { libc::localtime_r(&raw const seconds, &raw mut broken) }.is_null() {
            return LocalTime { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0 };
        }
        let byte = |value: i32| u8::try_from(value).unwrap_or(0);
        LocalTime {
            year: broken.tm_year.saturating_add(1900),
            month: byte(broken.tm_mon + 1),
            day: byte(broken.tm_mday),
            hour: byte(broken.tm_hour),
            minute: byte(broken.tm_min),
            second: byte(broken.tm_sec),
        }
    }
}

impl fmt::Display for LocalTime {
    /// `2026-11-21 19:32:31`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LocalTime { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
    }
}

/// `localtime_r`, unlike `localtime`, need not look for the zone itself.
fn learn_zone() {
    unsafe extern "C" {
        fn tzset();
    }
    static ONCE: Once = Once::new();
    // SAFETY: takes nothing; it reads the environment, which this program never changes.
    ONCE.call_once(|| unsafe { tzset() });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_moment_is_written_with_all_its_digits() {
        let time = LocalTime { year: 2026, month: 1, day: 2, hour: 3, minute: 4, second: 5 };
        assert_eq!(time.to_string(), "2026-01-02 03:04:05");
    }

    #[test]
    fn a_minute_later_differs_by_a_minute() {
        let then = UNIX_EPOCH + Duration::from_secs(1_795_289_551);
        let (first, second) = (LocalTime::at(then), LocalTime::at(then + Duration::from_secs(60)));
        assert_eq!((first.year, first.second), (2026, second.second));
        assert_eq!((i32::from(second.minute) - i32::from(first.minute)).rem_euclid(60), 1);
    }
}
