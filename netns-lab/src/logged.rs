//! A program at a node that writes a log, which is looked into while it runs.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use meshtun_sys::process::Signal;
use thiserror::Error;

use crate::{
    LabError, Node,
    child::{Child, last_lines},
};

/// How long a program may take to end after SIGTERM.
const ENDING: Duration = Duration::from_secs(10);

/// How many of a log's last lines an error carries.
const LINES: usize = 20;

/// How often the log is looked at by who waits for something in it.
const LOOK: Duration = Duration::from_millis(5);

/// A running program. Dropping it ends the program by SIGKILL.
#[derive(Debug)]
pub struct Logged {
    name: String,
    log: PathBuf,
    /// Lines at the beginning of the log in which no errors are looked for.
    forgiven: usize,
    child: Child,
}

/// Why a program is not as it should be.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoggedError {
    /// It could not be started.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// Its log cannot be written.
    #[error("{}: {source}", path.display())]
    File {
        /// The log.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It has ended, or has not ended, or has not said something; with the end of its log.
    #[error("{0}")]
    Program(String),
    /// A system call.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Logged {
    /// Starts it in a node. What it writes to its standard output and error is appended to the log.
    ///
    /// # Errors
    /// [`LoggedError::File`], [`LoggedError::Lab`].
    pub fn start(node: &Node, name: &str, log: &Path, mut command: Command) -> Result<Logged, LoggedError> {
        let failed = |source| LoggedError::File { path: log.to_owned(), source };
        let out = File::options().create(true).append(true).open(log).map_err(failed)?;
        let err = out.try_clone().map_err(failed)?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        Ok(Logged { name: name.to_owned(), log: log.to_owned(), forgiven: 0, child: node.start(command)? })
    }

    /// Its process number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that is in its log; empty if that cannot be read.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// Waits until its log has these words so many times.
    ///
    /// # Errors
    /// [`LoggedError::Program`] if it ends before, or it takes too long.
    pub fn wait_for(&mut self, words: &str, times: usize, limit: Duration) -> Result<(), LoggedError> {
        let begun = Instant::now();
        while self.log().matches(words).count() < times {
            self.assert_runs()?;
            if begun.elapsed() >= limit {
                return Err(self.is_wrong(&format!("has not said {words:?} after {limit:?}")));
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// That it has not ended by itself.
    ///
    /// # Errors
    /// [`LoggedError::Program`] if it has.
    pub fn assert_runs(&mut self) -> Result<(), LoggedError> {
        let ended = self.child.ended()?;
        ended.map_or(Ok(()), |status| Err(self.is_wrong(&format!("ended by itself with {status}"))))
    }

    /// Forgets the errors that it has logged so far: while it was alone.
    pub fn forgive(&mut self) {
        self.forgiven = self.log().lines().count();
    }

    /// What went wrong: lines of its log that `is_error` points out, and that it has ended by itself. To be asked before
    /// any program is asked to end, whose peers may complain of that.
    pub fn wrong(&mut self, is_error: impl Fn(&str) -> bool) -> Vec<String> {
        let log = self.log();
        let errors = log.lines().skip(self.forgiven).filter(|line| is_error(line));
        let errors = errors.map(|line| format!("{}: {line}", self.name)).collect::<Vec<_>>();
        errors.into_iter().chain(self.assert_runs().err().map(|error| error.to_string())).collect()
    }

    /// Sends it a signal; nothing happens if it has ended.
    ///
    /// # Errors
    /// The kernel's; none is expected.
    pub fn signal(&mut self, signal: Signal) -> Result<(), LoggedError> {
        Ok(self.child.signal(signal)?)
    }

    /// Asks it to end, and waits for that.
    ///
    /// # Errors
    /// [`LoggedError::Program`] if it does not; then it is killed.
    pub fn end(mut self) -> Result<(), LoggedError> {
        self.child.signal(Signal::Terminate)?;
        let ended = self.child.wait_for(ENDING)?;
        ended.map(drop).ok_or_else(|| self.is_wrong(&format!("runs on {ENDING:?} after SIGTERM")))
    }

    fn is_wrong(&self, how: &str) -> LoggedError {
        LoggedError::Program(format!("{} {how}; the end of its log:\n{}", self.name, end_of(&self.log)))
    }
}

/// A log; empty if it cannot be read.
pub(crate) fn read(log: &Path) -> String {
    fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// The last lines of a log.
pub(crate) fn end_of(log: &Path) -> String {
    last_lines(&read(log), LINES)
}
