//! The log: OpenVPN's lines, where it would write them.

mod mute;
mod syslog;

use std::{
    cell::{RefCell, RefMut},
    collections::VecDeque,
    fmt::Display,
    fs::File,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    rc::Rc,
    time::{SystemTime, UNIX_EPOCH},
};

use meshtun_openvpn::{
    options::{LogFile, Options},
    text::{Kind, Level, stamp},
};
use meshtun_sys::{background, clock::LocalTime};

use self::{mute::Mute, syslog::Syslog};

/// The log of this process. Clones are the same log.
#[derive(Clone, Debug)]
pub(crate) struct Log(Rc<RefCell<Inner>>);

#[derive(Debug)]
struct Inner {
    syslog: Option<Syslog>,
    /// Standard output goes to a log file.
    redirected: bool,
    verb: u8,
    mute: Mute,
    stamps: Stamps,
    /// Errors go to standard error.
    apart: bool,
    /// The last lines, for the management interface.
    history: VecDeque<Entry>,
    kept: usize,
    /// Lines that the management interface has not told its client of.
    fresh: Vec<Entry>,
    watched: bool,
}

/// A line as the management interface has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    seconds: u64,
    kind: Kind,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stamps {
    Civil,
    Machine,
    None,
}

impl Log {
    /// To standard output, as before any option is known.
    pub(crate) fn new() -> Log {
        Log(Rc::new(RefCell::new(Inner {
            syslog: None,
            redirected: false,
            verb: 1,
            mute: Mute::default(),
            stamps: Stamps::Civil,
            apart: false,
            history: VecDeque::new(),
            kept: 250,
            fresh: Vec::new(),
            watched: false,
        })))
    }

    /// Takes over how much is said, and how.
    pub(crate) fn configure(&self, options: &Options) {
        let mut inner = self.inner();
        inner.verb = options.verb;
        inner.apart = options.errors_to_stderr;
        inner.mute.set(options.mute.unwrap_or(0));
        inner.kept = options.management.as_ref().map_or(250, |management| management.log_cache as usize);
        inner.stamps = match (options.machine_readable_output, options.suppress_timestamps) {
            (true, _) => Stamps::Machine,
            (false, true) => Stamps::None,
            (false, false) => Stamps::Civil,
        };
    }

    /// `log`, `log-append`: standard output and standard error, of scripts too, go to the file. Once in a process. A file that
    /// cannot be opened is told, and changes nothing (error.c, `redirect_stdout_stderr`).
    pub(crate) fn redirect(&self, file: &LogFile) {
        if self.inner().redirected {
            return;
        }
        let mut how = File::options();
        how.create(true).write(true).append(file.append).truncate(!file.append).mode(0o600);
        let redirected = how.open(&file.path).and_then(|opened| background::redirect_output(&opened));
        match redirected {
            Ok(()) => self.inner().redirected = true,
            Err(error) => self.warning(format_args!(
                "Warning: Error redirecting stdout/stderr to --log file: {}: {}",
                file.path,
                told(&error)
            )),
        }
    }

    /// `syslog`, and `daemon` without a log file. Once in a process.
    pub(crate) fn to_syslog(&self, ident: &str) {
        let mut inner = self.inner();
        if inner.syslog.is_none() && !inner.redirected {
            inner.syslog = Some(Syslog::new(ident));
        }
    }

    /// Writes a line, if `verb` and `mute` let it through.
    pub(crate) fn say(&self, level: Level, text: impl Display) {
        self.inner().say(level, &text.to_string());
    }

    pub(crate) fn info(&self, text: impl Display) {
        self.say(Level::INFO, text);
    }

    pub(crate) fn warning(&self, text: impl Display) {
        self.say(Level::WARNING, text);
    }

    pub(crate) fn verb(&self) -> u8 {
        self.inner().verb
    }

    pub(crate) fn set_verb(&self, verb: u8) {
        self.inner().verb = verb;
    }

    pub(crate) fn mute(&self) -> u32 {
        self.inner().mute.limit()
    }

    pub(crate) fn set_mute(&self, limit: u32) {
        self.inner().mute.set(limit);
    }

    /// The last `count` lines that are kept, the oldest first.
    pub(crate) fn last(&self, count: usize) -> Vec<Entry> {
        let inner = self.inner();
        inner.history.iter().skip(inner.history.len().saturating_sub(count)).cloned().collect()
    }

    /// Whether lines are collected for [`Self::fresh`].
    pub(crate) fn watch(&self, watched: bool) {
        let mut inner = self.inner();
        inner.watched = watched;
        inner.fresh.clear();
    }

    /// Lines since this was asked last.
    pub(crate) fn fresh(&self) -> Vec<Entry> {
        std::mem::take(&mut self.inner().fresh)
    }

    fn inner(&self) -> RefMut<'_, Inner> {
        // One thread, and nothing below calls back.
        self.0.borrow_mut()
    }
}

impl Inner {
    fn say(&mut self, level: Level, text: &str) {
        if level.verb > self.verb {
            return;
        }
        let judged = self.mute.judge(level.sort);
        if let Some(note) = judged.note {
            self.write(Level { kind: Kind::Other, ..Level::INFO }, &note);
        }
        if judged.shown {
            self.write(level, text);
        }
    }

    fn write(&mut self, level: Level, text: &str) {
        let now = SystemTime::now();
        self.keep(level.kind, text, now);
        // A log that cannot be written is no reason to end.
        let _unwritten = match &mut self.syslog {
            Some(syslog) => syslog.write(level.kind.priority(), text, now),
            None => self.print(level, text, now),
        };
    }

    fn keep(&mut self, kind: Kind, text: &str, now: SystemTime) {
        let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let entry = Entry { seconds, kind, text: text.to_owned() };
        if self.watched {
            self.fresh.push(entry.clone());
        }
        while self.history.len() >= self.kept.max(1) {
            self.history.pop_front();
        }
        self.history.push_back(entry);
    }

    fn print(&self, level: Level, text: &str, now: SystemTime) -> io::Result<()> {
        /// `verb` from which stamps have microseconds (errlevel.h, `DEBUG_LEVEL_USEC_TIME`).
        const MICROS_FROM: u8 = 4;
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = match self.stamps {
            Stamps::None => format!("{text}\n"),
            Stamps::Civil => {
                let micros = (self.verb >= MICROS_FROM).then_some(since.subsec_micros());
                format!("{} {text}\n", stamp(LocalTime::at(now), micros))
            }
            Stamps::Machine => {
                format!("{}.{:06} {:x} {text}\n", since.as_secs(), since.subsec_micros(), flags(level))
            }
        };
        if self.apart && level.kind == Kind::Fatal {
            return io::stderr().write_all(line.as_bytes());
        }
        let mut out = io::stdout().lock();
        out.write_all(line.as_bytes())?;
        out.flush()
    }
}

impl Display for Entry {
    /// As `log` and `>LOG:` have it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{},{},{}", self.seconds, self.kind.letter(), self.text)
    }
}

/// An error as OpenVPN appends it: `No such file or directory (errno=2)`.
pub(crate) fn told(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => {
            let text = error.to_string();
            let text = text.strip_suffix(&format!(" (os error {number})")).unwrap_or(&text);
            format!("{text} (errno={number})")
        }
        None => error.to_string(),
    }
}

/// The number that `machine-readable-output` shows (error.h).
fn flags(level: Level) -> u32 {
    let kind = match level.kind {
        Kind::Fatal => 1 << 4,
        Kind::Error => 1 << 5,
        Kind::Warning => 1 << 6,
        Kind::Debug => 1 << 7,
        Kind::Info | Kind::Other => 0,
    };
    u32::from(level.sort) << 24 | kind | u32::from(level.verb)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(log: &Log) -> Vec<String> {
        log.last(usize::MAX).into_iter().map(|entry| entry.text).collect()
    }

    #[test]
    fn verb_decides_what_is_said() {
        let log = Log::new();
        log.say(Level::CLOSE, "closing");
        log.info("hello");
        log.set_verb(3);
        log.say(Level::CLOSE, "closing now");
        log.set_verb(0);
        log.info("bye");
        log.warning("careful");
        assert_eq!(texts(&log), ["hello", "closing now", "careful"]);
    }

    #[test]
    fn a_client_hears_of_new_lines_once() {
        let log = Log::new();
        log.info("before");
        log.watch(true);
        log.warning("news");
        let fresh: Vec<String> = log.fresh().iter().map(|entry| entry.to_string()).collect();
        assert!(fresh.len() == 1 && fresh[0].ends_with(",W,news"), "{fresh:?}");
        assert!(log.fresh().is_empty());
    }

    #[test]
    fn errors_are_told_as_openvpn_tells_them() {
        assert_eq!(told(&io::Error::from_raw_os_error(2)), "No such file or directory (errno=2)");
    }
}
