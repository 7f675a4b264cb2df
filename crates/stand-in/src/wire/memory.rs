//! Packet ids that outlive a session, and with `replay-persist` the process (packet_id.c, `packet_id_persist_load`).

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use meshtun_openvpn::{
    packet_id::{PacketId, Persisted},
    text::Level,
};

use crate::{
    fatal::Fatal,
    log::{Log, told},
};

/// What was sent and received last.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    kept: Persisted,
    file: Option<(String, File)>,
}

/// The newest packet id that was received, for another thread to read at any time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Newest(Arc<AtomicU64>);

impl Newest {
    pub(crate) fn set(&self, id: PacketId) {
        self.0.store(u64::from(id.time) << 32 | u64::from(id.id), Ordering::Relaxed);
    }

    fn get(&self) -> Option<PacketId> {
        let both = self.0.load(Ordering::Relaxed);
        // The upper half and the lower half.
        (both > 0).then_some(PacketId { time: (both >> 32) as u32, id: both as u32 })
    }
}

impl Memory {
    /// Opens and reads the file of `replay-persist`, if there is to be one.
    ///
    /// # Errors
    /// If the file cannot be opened: a replay could not be told then.
    pub(crate) fn load(path: Option<&str>) -> Result<Memory, Fatal> {
        let Some(path) = path else { return Ok(Memory::default()) };
        let failed = |error: io::Error| {
            Fatal::new(format_args!("Cannot open --replay-persist file {path} for read/write: {}", told(&error)))
        };
        let mut how = File::options();
        let mut file =
            how.create(true).read(true).write(true).truncate(false).mode(0o600).open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        Read::by_ref(&mut file).take(Persisted::LEN as u64).read_to_end(&mut bytes).map_err(failed)?;
        Ok(Memory { kept: Persisted::from_bytes(&bytes), file: Some((path.to_owned(), file)) })
    }

    /// What the session before has left. Without a file OpenVPN forgets with the session what was received, and so do we: a
    /// peer that was started anew with an older clock is heard then.
    pub(crate) fn persisted(&self) -> Persisted {
        Persisted { received: self.kept.received.filter(|_| self.file.is_some()), sent: self.kept.sent }
    }

    /// Keeps what a session has seen and sent.
    pub(crate) fn keep(&mut self, newest: &Newest, sent: u32, log: &Log) {
        let now = Persisted { received: newest.get().or(self.kept.received), sent: Some(sent) };
        if now == self.kept {
            return;
        }
        self.kept = now;
        let Some((path, file)) = &mut self.file else { return };
        let written = file.rewind().and_then(|()| file.write_all(&now.to_bytes()));
        if let Err(error) = written {
            log.say(Level::PERSIST, format_args!("Cannot write to --replay-persist file {path}: {}", told(&error)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_and_sent_outlives_the_process_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ids").display().to_string();
        let (log, newest) = (Log::new(), Newest::default());
        newest.set(PacketId { time: 7, id: 9 });
        let mut memory = Memory::load(Some(&path)).unwrap();
        assert_eq!(memory.persisted(), Persisted::default());
        memory.keep(&newest, 5, &log);
        let again = Memory::load(Some(&path)).unwrap();
        let whole = Persisted { received: Some(PacketId { time: 7, id: 9 }), sent: Some(5) };
        assert_eq!(again.persisted(), whole);
    }

    #[test]
    fn without_a_file_a_session_forgets_what_it_received_but_not_what_it_sent() {
        let (log, newest) = (Log::new(), Newest::default());
        newest.set(PacketId { time: 7, id: 9 });
        let mut memory = Memory::load(None).unwrap();
        memory.keep(&newest, 5, &log);
        assert_eq!(memory.persisted(), Persisted { received: None, sent: Some(5) });
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error() {
        assert!(Memory::load(Some("/nonexistent/ids")).unwrap_err().to_string().contains("/nonexistent/ids"));
    }
}
