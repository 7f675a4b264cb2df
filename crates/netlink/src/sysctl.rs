//! Kernel settings under `/proc/sys`, and the record of those that we changed for the whole machine.
//!
//! The record is a JSON file, replaced as a whole before the kernel's value is touched: whenever we are killed, what it
//! says is enough to put things back. It belongs in the runtime directory, which a reboot empties, as it does the
//! kernel's settings.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{NetworkError, Step};

/// The file of a key. As in sysctl(8) the dots of a key are slashes of the path and the other way round.
pub(crate) fn path(key: &str) -> PathBuf {
    let swapped: String = key
        .chars()
        .map(|c| match c {
            '.' => '/',
            '/' => '.',
            other => other,
        })
        .collect();
    Path::new("/proc/sys").join(swapped)
}

/// The present value; none if there is no such key.
pub(crate) fn read(key: &str) -> Result<Option<String>, NetworkError> {
    let path = path(key);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(NetworkError::File { path: path.display().to_string(), source }),
    }
}

pub(crate) fn write(key: &str, value: &str) -> io::Result<()> {
    // Never made anew: a missing key must say "no such file".
    File::options().write(true).open(path(key))?.write_all(value.as_bytes())
}

/// The machine-wide keys that we changed, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record(BTreeMap<String, Entry>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The value before us.
    before: String,
    /// The value that we wrote.
    ours: String,
}

impl Record {
    /// Reads the record; an absent file is an empty one.
    pub(crate) fn load(path: &Path) -> Result<Record, NetworkError> {
        let parsed = match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Record::default()),
            Err(error) => Err(error),
        };
        parsed.map_err(|source| record_error(path, source))
    }

    fn store(&self, path: &Path) -> Result<(), NetworkError> {
        let replace = || {
            let new = path.with_extension("new");
            let mut file = File::create(&new)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.sync_all()?;
            fs::rename(&new, path)
        };
        replace().map_err(|source| record_error(path, source))
    }

    /// Notes that `key`, at present `current`, will be `ours`. What somebody else wrote over ours is the value to
    /// restore.
    pub(crate) fn note(path: &Path, key: &str, current: &str, ours: &str) -> Result<(), NetworkError> {
        let mut record = Record::load(path)?;
        let before = match record.0.get(key) {
            Some(entry) if entry.ours == current => entry.before.clone(),
            _ => current.to_owned(),
        };
        record.0.insert(key.to_owned(), Entry { before, ours: ours.to_owned() });
        record.store(path)
    }

    /// Forgets `key`, and all keys that somebody else has written over.
    pub(crate) fn forget(path: &Path, key: &str) -> Result<(), NetworkError> {
        let mut record = Record::load(path)?;
        let mut kept = BTreeMap::new();
        for (name, entry) in std::mem::take(&mut record.0) {
            if name != key && entry.is_in_force(&name)? {
                kept.insert(name, entry);
            }
        }
        Record(kept).store(path)
    }

    /// A step for each key that still has our value.
    pub(crate) fn restoration(&self) -> Result<Vec<Step>, NetworkError> {
        let mut steps = Vec::new();
        for (key, entry) in &self.0 {
            if entry.is_in_force(key)? {
                steps.push(Step::RestoreSysctl { key: key.clone(), before: entry.before.clone() });
            }
        }
        Ok(steps)
    }

    /// Whether the record has `key` and the kernel still has our value there.
    pub(crate) fn is_in_force(&self, key: &str) -> Result<bool, NetworkError> {
        self.0.get(key).map_or(Ok(false), |entry| entry.is_in_force(key))
    }
}

impl Entry {
    fn is_in_force(&self, key: &str) -> Result<bool, NetworkError> {
        Ok(read(key)?.is_some_and(|current| current == self.ours))
    }
}

fn record_error(path: &Path, source: io::Error) -> NetworkError {
    NetworkError::Record { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_name_with_a_dot_keeps_its_dot_in_the_path() {
        assert_eq!(path("net.ipv4.conf.eth0/100.rp_filter"), Path::new("/proc/sys/net/ipv4/conf/eth0.100/rp_filter"));
    }

    #[test]
    fn a_missing_key_reads_as_none_and_is_not_made_by_writing() {
        assert_eq!(read("net.no_such_key").unwrap(), None);
        assert_eq!(write("net.no_such_key", "1").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn the_record_keeps_the_first_value_over_our_own_writes_and_takes_a_later_one_of_someone_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sysctls.json");
        let before = || Record::load(&path).unwrap().0["k"].before.clone();
        Record::note(&path, "k", "0", "1").unwrap();
        Record::note(&path, "k", "1", "2").unwrap();
        assert_eq!(before(), "0", "1 was ours");
        Record::note(&path, "k", "7", "2").unwrap();
        assert_eq!(before(), "7", "somebody else wrote 7");
    }

    #[test]
    fn a_spoilt_record_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sysctls.json");
        fs::write(&path, "{").unwrap();
        let message = Record::load(&path).unwrap_err().to_string();
        assert!(message.contains("sysctls.json"), "{message}");
    }
}
