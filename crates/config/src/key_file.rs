//! Key files: one line of base64 that its owner alone can read.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::key_text::{KeyError, decode};

/// Why a key file is refused; names the file and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// There is no such file.
    #[error("{}: there is no such {purpose} file: make one with `(umask 077; meshtun keygen > {})`", path.display(), path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        purpose: &'static str,
    },
    /// Others than its owner can read it.
    #[error("{}: others than its owner can read this {purpose} (mode {mode:04o}): run `chmod 600 {}`, and make a new key if anyone may have read it", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        purpose: &'static str,
        /// Its permission bits.
        mode: u32,
    },
    /// The kernel does not let us read it.
    #[error("{}: cannot read the {purpose} ({source}): {}", path.display(), remedy(source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        purpose: &'static str,
        /// What the kernel says.
        source: io::Error,
    },
    /// It holds something else than a key.
    #[error("{}: this is no {purpose}: {fault}; {}", path.display(), foreign.unwrap_or(ONE_LINE))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        purpose: &'static str,
        /// What is wrong with the text.
        fault: KeyError,
        /// What the file seems to be, where it can be told.
        foreign: Option<&'static str>,
    },
}

const ONE_LINE: &str = "it must be one line of base64, as `meshtun keygen` or `wg genkey` write it";

/// A key file has 45 bytes; what is longer than this is something else, and is not read to its end.
const LONGEST: u64 = 4096;

/// Reads the key in a file. The permissions are those of the file that is read, not of what may
/// stand under its name a moment later.
pub(crate) fn load(path: &Path, purpose: &'static str) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    let unreadable = |source: io::Error| match source.kind() {
        ErrorKind::NotFound => KeyFileError::Missing { path: path.into(), purpose },
        _ => KeyFileError::Unreadable { path: path.into(), purpose, source },
    };
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed { path: path.into(), purpose, mode });
    }
    // Its capacity is fixed beforehand, so that growing leaves no copy behind.
    let mut content = Zeroizing::new(Vec::with_capacity(LONGEST as usize + 1));
    file.take(LONGEST).read_to_end(&mut content).map_err(unreadable)?;
    let text = std::str::from_utf8(&content).map_err(|_| KeyError::NotBase64);
    text.and_then(decode).map_err(|fault| {
        let foreign = foreign(&content);
        KeyFileError::Malformed { path: path.into(), purpose, fault, foreign }
    })
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::PermissionDenied => "run meshtun as the file's owner or as root",
        ErrorKind::IsADirectory => "name a file in it",
        _ => "give another file, or mend this one",
    }
}

/// What other programs' key files are, and the way from there.
fn foreign(content: &[u8]) -> Option<&'static str> {
    let contains = |needle: &[u8]| content.windows(needle.len()).any(|window| window == needle);
    if contains(b"OpenVPN Static key") {
        Some("it is an OpenVPN static key; make a new one with `meshtun keygen`")
    } else if contains(b"-----BEGIN") {
        Some("it is a PEM file; make a key with `meshtun keygen`")
    } else if contains(b"[Interface]") {
        Some("it is a wg-quick configuration; put its PrivateKey alone into a file")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::keys::{PresharedKey, SecretKey};

    const KEY: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";

    fn file(folder: &TempDir, content: &[u8], mode: u32) -> PathBuf {
        let path = folder.path().join("key");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn refusal(content: &[u8], mode: u32) -> String {
        let folder = TempDir::new().unwrap();
        SecretKey::load(&file(&folder, content, mode)).unwrap_err().to_string()
    }

    #[test]
    fn a_key_may_end_in_a_newline_or_not() {
        let folder = TempDir::new().unwrap();
        for content in [KEY.to_owned(), format!("{KEY}\n"), format!("{KEY}\r\n"), format!(" {KEY}\n\n")] {
            for mode in [0o600, 0o400] {
                let path = file(&folder, content.as_bytes(), mode);
                assert_eq!(*SecretKey::load(&path).unwrap().to_base64(), KEY);
                assert_eq!(*PresharedKey::load(&path).unwrap().to_base64(), KEY);
                fs::remove_file(path).unwrap();
            }
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_command_that_mends_it() {
        for mode in [0o640, 0o604, 0o644, 0o620, 0o601] {
            let message = refusal(KEY.as_bytes(), mode);
            assert!(message.contains(&format!("(mode {mode:04o}): run `chmod 600 /")), "{message}");
            assert!(!message.contains(KEY), "{message}");
        }
    }

    #[test]
    fn a_missing_file_is_named_with_the_command_that_makes_it() {
        let message = PresharedKey::load(Path::new("/nonexistent/nq.psk")).unwrap_err().to_string();
        assert_eq!(
            message,
            "/nonexistent/nq.psk: there is no such pre-shared key file: make one with `(umask 077; meshtun keygen > /nonexistent/nq.psk)`"
        );
    }

    #[test]
    fn a_folder_is_no_key_file() {
        let folder = TempDir::new().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let message = SecretKey::load(folder.path()).unwrap_err().to_string();
        assert!(message.contains("name a file in it"), "{message}");
    }

    #[test]
    fn other_programs_files_are_recognised() {
        for (content, word) in [
            ("# 2048 bit OpenVPN static key\n-----BEGIN OpenVPN Static key V1-----\n", "OpenVPN static key"),
            ("-----BEGIN PRIVATE KEY-----\n", "PEM"),
            ("[Interface]\nPrivateKey = x\n", "wg-quick"),
            ("two\nlines\n", "one line of base64"),
            ("", "it is empty"),
        ] {
            let message = refusal(content.as_bytes(), 0o600);
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn a_large_or_binary_file_is_refused_without_reading_it_all() {
        assert!(refusal(&vec![b'A'; 1 << 20], 0o600).contains("4096 characters"));
        assert!(refusal(&[0xff, 0xfe], 0o600).contains("not base64"));
    }
}
