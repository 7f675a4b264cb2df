//! Handshake stamps that never go back, whatever the clock does and however the daemon ends.
//!
//! A peer refuses an initiation whose TAI64N stamp is not above the last one (WireGuard paper, section 5.1). The
//! file holds a stamp above all that were ever sent. It is written ahead, once an hour and not once a handshake:
//! a daemon that is killed starts again above its reservation, and one that stops in order leaves the exact value.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use meshtun_proto::tai64n::{Stamps, Tai64n};

use crate::limiter::Limiter;

/// The stamps of one key.
#[derive(Debug)]
pub(crate) struct StampStore {
    path: PathBuf,
    stamps: Stamps,
    /// What the file says: no stamp above it may be sent before the file says more.
    reserved: Tai64n,
    complaints: Limiter,
}

impl StampStore {
    /// Reads the last reservation of this key in the state directory; a key that is new there starts with the clock.
    ///
    /// # Errors
    /// If the file is there and cannot be read, or holds something else.
    pub(crate) fn open(state: &Path, public_key: &[u8; 32]) -> io::Result<StampStore> {
        let path = state.join(format!("stamp-{}", hex(public_key)));
        let floor = match std::fs::read_to_string(&path) {
            Ok(text) => parse(text.trim()).ok_or_else(|| not_a_stamp(&path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Tai64n::ZERO,
            Err(error) => return Err(error),
        };
        Ok(StampStore { path, stamps: Stamps::new(floor), reserved: floor, complaints: Limiter::new(COMPLAIN_EVERY) })
    }

    /// The stamp of an initiation sent now.
    ///
    /// A disk that cannot be written is complained of and does not stop the handshake: what is lost is only the
    /// promise for a restart with a clock that went back.
    pub(crate) fn next(&mut self, now: SystemTime) -> Tai64n {
        let stamp = self.stamps.next(now);
        if stamp > self.reserved {
            let reservation = Tai64n::from(now + AHEAD).max(plus(stamp, AT_LEAST_AHEAD));
            self.reserve(reservation);
        }
        stamp
    }

    /// Leaves the last stamp itself in the file: nothing more will be sent.
    pub(crate) fn close(mut self) {
        if self.stamps.last() != self.reserved {
            self.reserve(self.stamps.last());
        }
    }

    fn reserve(&mut self, stamp: Tai64n) {
        match write_durably(&self.path, &format!("{}\n", hex(&stamp.0))) {
            Ok(()) => self.reserved = stamp,
            Err(error) if self.complaints.admit(Instant::now()).is_some() => {
                tracing::error!(
                    "cannot keep the last handshake stamp in {}: {error}; \
                     if the clock goes back and meshtun restarts, peers will refuse its handshakes",
                    self.path.display()
                );
            }
            Err(_) => {}
        }
    }
}

/// How far ahead of the clock is reserved.
const AHEAD: Duration = Duration::from_secs(3600);

/// How far ahead of the stamps, where they run ahead of the clock: small, so that a daemon that is killed over and
/// over does not drift away.
const AT_LEAST_AHEAD: u64 = 60;

const COMPLAIN_EVERY: Duration = Duration::from_secs(600);

fn plus(stamp: Tai64n, seconds: u64) -> Tai64n {
    let mut later = stamp;
    let (whole, _) = later.0.split_first_chunk_mut::<8>().expect("a stamp has 12 bytes");
    *whole = u64::from_be_bytes(*whole).saturating_add(seconds).to_be_bytes();
    later
}

/// Replaces the file so that after a power cut it holds either the old or the new text.
fn write_durably(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parse(text: &str) -> Option<Tai64n> {
    let mut stamp = [0; 12];
    if text.len() != 2 * stamp.len() || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in stamp.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(Tai64n(stamp))
}

fn not_a_stamp(path: &Path) -> io::Error {
    let advice = format!(
        "{} holds no handshake stamp; if this gateway's clock has never been ahead, remove the file",
        path.display()
    );
    io::Error::new(io::ErrorKind::InvalidData, advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];
    const DAY: Duration = Duration::from_secs(86_400);

    fn noon() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn file(state: &Path) -> String {
        std::fs::read_to_string(state.join(format!("stamp-{}", hex(&KEY)))).unwrap()
    }

    #[test]
    fn a_killed_daemon_starts_above_all_it_ever_sent_even_if_the_clock_went_back() {
        let state = tempfile::tempdir().unwrap();
        let mut before = StampStore::open(state.path(), &KEY).unwrap();
        let sent: Vec<_> = (0..50).map(|minute| before.next(noon() + Duration::from_secs(60 * minute))).collect();
        drop(before);
        let mut after = StampStore::open(state.path(), &KEY).unwrap();
        assert!(after.next(noon() - DAY) > *sent.last().unwrap());
    }

    #[test]
    fn stamps_grow_when_the_clock_jumps_forth_and_back() {
        let state = tempfile::tempdir().unwrap();
        let mut store = StampStore::open(state.path(), &KEY).unwrap();
        let stamps = [noon(), noon() + DAY, noon(), noon() - DAY, noon() + DAY].map(|now| store.next(now));
        assert!(stamps.is_sorted_by(|a, b| a < b), "{stamps:?}");
    }

    #[test]
    fn the_file_is_written_once_an_hour_and_not_once_a_handshake() {
        let state = tempfile::tempdir().unwrap();
        let mut store = StampStore::open(state.path(), &KEY).unwrap();
        store.next(noon());
        let reserved = file(state.path());
        store.next(noon() + Duration::from_secs(3500));
        assert_eq!(file(state.path()), reserved);
        store.next(noon() + Duration::from_secs(3700));
        assert_ne!(file(state.path()), reserved);
    }

    #[test]
    fn a_daemon_that_stops_in_order_leaves_the_last_stamp_itself() {
        let state = tempfile::tempdir().unwrap();
        let mut store = StampStore::open(state.path(), &KEY).unwrap();
        let last = store.next(noon());
        store.close();
        assert_eq!(file(state.path()).trim(), hex(&last.0));
    }

    #[test]
    fn a_daemon_killed_over_and_over_runs_ahead_by_a_minute_each_time_and_no_more() {
        let state = tempfile::tempdir().unwrap();
        let mut last = Tai64n::ZERO;
        for _ in 0..100 {
            last = StampStore::open(state.path(), &KEY).unwrap().next(noon());
        }
        assert!(last < Tai64n::from(noon() + AHEAD + Duration::from_secs(101 * AT_LEAST_AHEAD)));
    }

    #[test]
    fn another_key_has_stamps_of_its_own() {
        let state = tempfile::tempdir().unwrap();
        StampStore::open(state.path(), &KEY).unwrap().next(noon() + DAY);
        let other = StampStore::open(state.path(), &[8; 32]).unwrap().next(noon());
        assert_eq!(other, Tai64n::from(noon()));
    }

    #[test]
    fn a_file_that_holds_no_stamp_is_an_error_and_not_a_beginning() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join(format!("stamp-{}", hex(&KEY)));
        for text in ["", "12", "zz0000004000000000000000", "4000000000000000000000000", "ééééééééééés"] {
            std::fs::write(&path, text).unwrap();
            let error = StampStore::open(state.path(), &KEY).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{text:?}");
        }
    }

    #[test]
    fn a_disk_that_cannot_be_written_does_not_stop_handshakes() {
        let mut store = StampStore::open(Path::new("/nonexistent"), &KEY).unwrap();
        assert!(store.next(noon()) < store.next(noon()));
    }
}
