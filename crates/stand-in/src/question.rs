//! Command lines that ask for something and run nothing: `--version`, `--help`, `--genkey`, `--show-ciphers` (options.c,
//! `add_option`; init.c, `print_openssl_info`, `do_genkey`).

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
};

use meshtun_openvpn::{
    directive::{Directive, read_arguments},
    key::StaticKey,
    options::{Cipher, Digest},
    text::Level,
};
use rand::{TryRng, rngs::SysRng};
use zeroize::Zeroizing;

use crate::{
    TITLE,
    boot::{ERROR, GOOD},
    log::{Log, told},
};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question<'a> {
    Version,
    Help,
    Ciphers,
    Digests,
    Engines,
    /// A new static key, into a file or to standard output.
    Key(Option<&'a str>),
    /// A key of a kind that is of no use here.
    OtherKey(&'a str),
}

/// Answers a command line that asks; the exit code. `None` for one that says what to run.
pub(crate) fn answer(arguments: &[String], log: &Log) -> Option<u8> {
    // Files are none of the question.
    let directives = read_arguments(arguments, &mut |_| Ok(Vec::new())).directives;
    let answered = match question(&directives)? {
        Question::Version => print(&version(), GOOD),
        // As OpenVPN: whoever asks for help has not run it.
        Question::Help => print(&help(), ERROR),
        Question::Ciphers => print(&ciphers(), GOOD),
        Question::Digests => print(&digests(), GOOD),
        Question::Engines => print("There are no engines: ciphers run on the processor's own instructions.\n", GOOD),
        Question::Key(file) => make_key(file),
        Question::OtherKey(kind) => Err(format!(
            "Options error: --genkey {kind}: it would be for TLS, which is not spoken here: `--genkey secret FILE` makes a static key"
        )),
    };
    Some(answered.unwrap_or_else(|wrong| {
        wrong.lines().for_each(|line| log.say(Level::ERROR, line));
        ERROR
    }))
}

/// Whether an option of this name asks for something.
#[cfg(test)]
pub(crate) fn is_question(name: &str) -> bool {
    let arguments = [format!("--{name}")];
    question(&read_arguments(&arguments, &mut |_| Ok(Vec::new())).directives).is_some()
}

/// `--version` and `--help` are answered where they stand, the others when all is read.
fn question(directives: &[Directive]) -> Option<Question<'_>> {
    let mut asked = None;
    for directive in directives {
        asked = asked.or(match directive.name.as_str() {
            "version" => return Some(Question::Version),
            "help" => return Some(Question::Help),
            "show-ciphers" => Some(Question::Ciphers),
            "show-digests" => Some(Question::Digests),
            "show-engines" => Some(Question::Engines),
            "genkey" => Some(key(directive, directives)),
            _ => None,
        });
    }
    asked
}

/// `--genkey secret FILE`, and as it was before 2.5: `--genkey --secret FILE`.
fn key<'a>(genkey: &'a Directive, all: &'a [Directive]) -> Question<'a> {
    match genkey.parameter(0) {
        None => Question::Key(all.iter().find(|other| other.name == "secret").and_then(|secret| secret.parameter(0))),
        // These are the same text.
        Some("secret" | "tls-auth" | "tls-crypt") => Question::Key(genkey.parameter(1)),
        Some(kind) => Question::OtherKey(kind),
    }
}

fn print(text: &str, code: u8) -> Result<u8, String> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // A reader that has had enough (`openvpn --help | head -1`) is no error.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(told(&error)),
        _ => Ok(code),
    }
}

fn version() -> String {
    format!(
        "{TITLE}\nSpeaks OpenVPN's static-key protocol through the data plane of meshtun; contains nothing of OpenVPN.\n"
    )
}

fn help() -> String {
    format!(
        "{TITLE}\n\n\
         Usage: openvpn --config FILE [OPTION]...\n       openvpn FILE\n\n\
         Runs one point-to-point tunnel with a static key (--secret). Options are those of openvpn(8), without TLS, tap\n\
         devices, plugins and proxies; what cannot be done is an error that says so at the start. Every one of them, and\n\
         what becomes of it, is in docs/openvpn.md.\n\n\
         --version               The version.\n\
         --genkey secret FILE    Make a static key.\n\
         --show-ciphers          What --cipher can be.\n\
         --show-digests          What --auth can be.\n\n\
         The way out of static keys: meshtun import FILE...\n"
    )
}

fn ciphers() -> String {
    let lines = Cipher::ALL.into_iter().filter(|cipher| *cipher != Cipher::None).map(|cipher| {
        format!("{}  ({} bit key, {} bit block)\n", cipher.name(), cipher.key_len() * 8, cipher.block_len() * 8)
    });
    let head = "With a static key --cipher can be one of these, or none. Those with blocks of 64 bits give plaintext away after\n\
                some 32 GB (SWEET32).\n\n";
    format!("{head}{}", lines.collect::<String>())
}

fn digests() -> String {
    let lines = Digest::ALL.into_iter().filter(|digest| *digest != Digest::None);
    let lines = lines.map(|digest| format!("{} {} bit digest size\n", digest.name(), digest.len() * 8));
    format!("With a static key --auth can be one of these, or none.\n\n{}", lines.collect::<String>())
}

/// Makes a key, into a file that only its owner can read or to standard output.
fn make_key(file: Option<&str>) -> Result<u8, String> {
    let mut bytes = Zeroizing::new([0; 256]);
    SysRng.try_fill_bytes(&mut *bytes).map_err(|error| format!("no randomness for a key: {error}"))?;
    let text = StaticKey::from_bytes(&bytes).text();
    let Some(file) = file else { return print(&text, GOOD) };
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file);
    let written = opened.and_then(|mut opened| opened.write_all(text.as_bytes()));
    written
        .map_err(|error| format!("Cannot open file '{file}' for write: {}\nFailed to write key file", told(&error)))?;
    Ok(GOOD)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn asked(line: &str, test: impl FnOnce(Option<Question<'_>>)) {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        test(question(&read_arguments(&arguments, &mut |_| Ok(Vec::new())).directives));
    }

    #[test]
    fn questions_are_told_from_what_is_to_be_run() {
        for line in ["--config nq1.conf", "nq1.conf", "--dev tun --secret k --verb 3", "version"] {
            asked(line, |asked| assert_eq!(asked, None, "{line}"));
        }
        asked("--dev tun --show-ciphers --version", |asked| assert_eq!(asked, Some(Question::Version)));
        asked("--help", |asked| assert_eq!(asked, Some(Question::Help)));
        asked("--genkey", |asked| assert_eq!(asked, Some(Question::Key(None))));
        asked("--genkey secret k", |asked| assert_eq!(asked, Some(Question::Key(Some("k")))));
        asked("--genkey --secret k", |asked| assert_eq!(asked, Some(Question::Key(Some("k")))));
        asked("--genkey auth-token k", |asked| assert_eq!(asked, Some(Question::OtherKey("auth-token"))));
    }

    #[test]
    fn a_key_that_is_made_can_be_read_and_is_never_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        for path in &paths {
            assert_eq!(make_key(path.to_str()), Ok(GOOD));
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let [one, other] = paths.map(|path| StaticKey::parse(&fs::read(path).unwrap()).unwrap());
        assert!(one != other);
        assert!(make_key(folder.path().join("no/k").to_str()).unwrap_err().contains("No such file or directory"));
    }

    #[test]
    fn what_is_listed_can_be_used() {
        assert!(ciphers().contains("AES-256-CBC  (256 bit key, 128 bit block)\n") && !ciphers().contains("null"));
        assert!(digests().contains("SHA256 256 bit digest size\n") && !digests().contains("null"));
        assert!(version().starts_with("OpenVPN 2.6 "), "what programs look at");
    }
}
