//! The status file (status.c).

use std::{
    fs::File,
    io::{self, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    time::{Duration, Instant},
};

use meshtun_openvpn::{options::Status, text::Level};

use crate::log::{Log, told};

/// An open status file, which is written again and again.
#[derive(Debug)]
pub(crate) struct StatusFile {
    path: String,
    file: File,
    every: Duration,
    /// When it was last written; the first time is at once.
    written: Option<Instant>,
}

impl StatusFile {
    /// Opens the file, for its owner only; one that cannot be opened is told, and there is none.
    pub(crate) fn open(status: &Status, log: &Log) -> Option<StatusFile> {
        let opened = File::options().create(true).write(true).truncate(true).mode(0o600).open(&status.path);
        let opened = opened.inspect_err(|error| {
            log.warning(format_args!("Note: cannot open {} for WRITE: {}", status.path, told(error)));
        });
        Some(StatusFile { path: status.path.clone(), file: opened.ok()?, every: status.every, written: None })
    }

    /// Whether it is time to write it.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let is_old = self.written.is_none_or(|written| now.duration_since(written) >= self.every);
        !self.every.is_zero() && is_old
    }

    /// Writes these lines in place of what it holds. In one go, so that a reader sees one or the other.
    pub(crate) fn write(&mut self, lines: &[String], now: Instant, log: &Log) {
        self.written = Some(now);
        let mut text = lines.join("\n");
        text.push('\n');
        if let Err(error) = self.replace(&text) {
            log.say(Level::ERROR, format_args!("Note: cannot write {}: {}", self.path, told(&error)));
        }
    }

    fn replace(&mut self, text: &str) -> io::Result<()> {
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())?;
        self.file.set_len(text.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_text_leaves_nothing_of_a_longer_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status").display().to_string();
        let status = Status { path: path.clone(), every: Duration::from_secs(60), version: 1 };
        let log = Log::new();
        let mut file = StatusFile::open(&status, &log).unwrap();
        let now = Instant::now();
        assert!(file.is_due(now), "a reader waits for the first time, too");
        file.write(&["a long line".to_owned(), "END".to_owned()], now, &log);
        file.write(&["END".to_owned()], now, &log);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "END\n");
        assert!(!file.is_due(now) && file.is_due(now + Duration::from_secs(60)));
    }
}
