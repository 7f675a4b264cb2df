//! A process at a gateway: its log, its restarts, its clock.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use meshtun_sys::process::Signal;

use super::{OpenVpnError, program::Kind};
use crate::{
    Node,
    child::{Child, last_lines},
};

/// How long a process may take to end after SIGTERM.
const ENDING: Duration = Duration::from_secs(10);

/// How many of a log's last lines an error carries.
const LOG_LINES: usize = 15;

/// Makes a program see another time of day; the time that its timers count from stays.
const CLOCK: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// One end's process, and those that went before it. Dropping it ends it by SIGKILL.
pub(super) struct Process {
    name: String,
    node: Node,
    program: Kind,
    command: Box<dyn Fn() -> Command + Send>,
    log: PathBuf,
    /// What it adds to the time of day; none if its clock is the machine's.
    clock: Option<PathBuf>,
    child: Option<Child>,
}

impl Process {
    /// An end that does not run yet. Its log goes to a file of its name in the folder.
    pub(super) fn new(
        node: &Node,
        name: &str,
        folder: &Path,
        program: Kind,
        command: impl Fn() -> Command + Send + 'static,
    ) -> Process {
        let log = folder.join(format!("{name}.log"));
        let (name, node, command) = (name.to_owned(), node.clone(), Box::new(command));
        Process { name, node, program, command, log, clock: None, child: None }
    }

    /// Gives it a clock that can be turned.
    pub(super) fn with_clock(&mut self, folder: &Path) -> Result<(), OpenVpnError> {
        self.clock = Some(folder.join(format!("{}.clock", self.name)));
        self.turn_clock("+0")
    }

    /// Whether clocks can be turned on this machine.
    pub(super) fn can_turn_clocks() -> bool {
        Path::new(CLOCK).exists()
    }

    /// Turns its clock: `-1h` and the like, as against the machine's.
    pub(super) fn turn_clock(&mut self, by: &str) -> Result<(), OpenVpnError> {
        let Some(path) = &self.clock else { return Ok(()) };
        // Replaced at once: it reads the file at any time.
        let new = path.with_extension("new");
        fs::write(&new, format!("{by}\n"))
            .and_then(|()| fs::rename(&new, path))
            .map_err(|source| OpenVpnError::File { path: path.clone(), source })
    }

    /// Starts it; the log goes on.
    pub(super) fn start(&mut self) -> Result<(), OpenVpnError> {
        let failed = |source| OpenVpnError::File { path: self.log.clone(), source };
        let out = File::options().create(true).append(true).open(&self.log).map_err(failed)?;
        let err = out.try_clone().map_err(failed)?;
        let mut command = (self.command)();
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        if let Some(clock) = &self.clock {
            command.env("LD_PRELOAD", CLOCK).env("FAKETIME_TIMESTAMP_FILE", clock);
            command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        self.child = Some(self.node.start(command)?);
        Ok(())
    }

    /// SIGTERM, and waits for its end.
    pub(super) fn stop(&mut self) -> Result<(), OpenVpnError> {
        self.signal(Signal::Terminate)?;
        let Some(mut child) = self.child.take() else { return Ok(()) };
        match child.wait_for(ENDING)? {
            Some(_) => Ok(()),
            None => Err(OpenVpnError::Process(format!("{} runs on {ENDING:?} after SIGTERM", self.name))),
        }
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) {
        self.child = None;
    }

    pub(super) fn signal(&mut self, signal: Signal) -> Result<(), OpenVpnError> {
        self.child.as_mut().map_or(Ok(()), |child| child.signal(signal)).map_err(OpenVpnError::from)
    }

    /// That it has not ended by itself.
    pub(super) fn assert_runs(&mut self) -> Result<(), OpenVpnError> {
        let ended = self.child.as_mut().map_or(Ok(None), Child::ended)?;
        ended.map_or(Ok(()), |status| {
            Err(OpenVpnError::Process(format!(
                "{} ended with {status}; the end of its log:\n{}",
                self.describe(),
                self.end_of_log()
            )))
        })
    }

    /// Waits until its log has these words so many times.
    pub(super) fn wait_for(&mut self, words: &str, times: usize, limit: Duration) -> Result<(), OpenVpnError> {
        let begun = Instant::now();
        while self.log().matches(words).count() < times {
            self.assert_runs()?;
            if begun.elapsed() >= limit {
                let (name, log) = (self.describe(), self.end_of_log());
                let what = format!("{name} has not said {words:?} after {limit:?}; the end of its log:\n{log}");
                return Err(OpenVpnError::Process(what));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// All that it and those before it wrote.
    pub(super) fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    pub(super) fn end_of_log(&self) -> String {
        last_lines(&self.log(), LOG_LINES)
    }

    /// For people.
    pub(super) fn describe(&self) -> String {
        format!("{} ({})", self.name, self.program)
    }
}
