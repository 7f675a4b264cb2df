//! A process at a gateway: its restarts, its clock, and the log of all of them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use meshtun_sys::process::Signal;

use super::{OpenVpnError, program::Kind};
use crate::{
    Node,
    logged::{self, Logged},
};

/// Makes a program see another time of day; the time that its timers count from stays.
const CLOCK: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// One end's process, and those that went before it. Dropping it ends it by SIGKILL.
pub(super) struct Process {
    name: String,
    node: Node,
    program: Kind,
    command: Box<dyn Fn(Kind) -> Command + Send>,
    log: PathBuf,
    /// What it adds to the time of day; none if its clock is the machine's.
    clock: Option<PathBuf>,
    running: Option<Logged>,
}

impl Process {
    /// An end that does not run yet. Its log goes to a file of its name in the folder.
    pub(super) fn new(
        node: &Node,
        name: &str,
        folder: &Path,
        program: Kind,
        command: impl Fn(Kind) -> Command + Send + 'static,
    ) -> Process {
        let log = folder.join(format!("{name}.log"));
        let (name, node, command) = (name.to_owned(), node.clone(), Box::new(command));
        Process { name, node, program, command, log, clock: None, running: None }
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

    /// From its next start on it runs this program.
    pub(super) fn becomes(&mut self, program: Kind) {
        self.program = program;
    }

    /// Starts it; the log goes on.
    pub(super) fn start(&mut self) -> Result<(), OpenVpnError> {
        let mut command = (self.command)(self.program);
        if let Some(clock) = &self.clock {
            command.env("LD_PRELOAD", CLOCK).env("FAKETIME_TIMESTAMP_FILE", clock);
            command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        self.running = Some(Logged::start(&self.node, &self.describe(), &self.log, command)?);
        Ok(())
    }

    /// SIGTERM, and waits for its end.
    pub(super) fn stop(&mut self) -> Result<(), OpenVpnError> {
        Ok(self.running.take().map_or(Ok(()), Logged::end)?)
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) {
        self.running = None;
    }

    pub(super) fn signal(&mut self, signal: Signal) -> Result<(), OpenVpnError> {
        Ok(self.running.as_mut().map_or(Ok(()), |running| running.signal(signal))?)
    }

    /// That it has not ended by itself.
    pub(super) fn assert_runs(&mut self) -> Result<(), OpenVpnError> {
        Ok(self.running.as_mut().map_or(Ok(()), Logged::assert_runs)?)
    }

    /// Waits until its log has these words so many times.
    pub(super) fn wait_for(&mut self, words: &str, times: usize, limit: Duration) -> Result<(), OpenVpnError> {
        Ok(self.running.as_mut().map_or(Ok(()), |running| running.wait_for(words, times, limit))?)
    }

    /// Its process number, if it runs.
    pub(super) fn id(&self) -> Option<u32> {
        self.running.as_ref().map(Logged::id)
    }

    /// All that it and those before it wrote.
    pub(super) fn log(&self) -> String {
        logged::read(&self.log)
    }

    pub(super) fn end_of_log(&self) -> String {
        logged::end_of(&self.log)
    }

    /// For people.
    pub(super) fn describe(&self) -> String {
        format!("{} ({})", self.name, self.program)
    }
}
