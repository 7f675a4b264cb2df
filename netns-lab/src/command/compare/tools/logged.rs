//! A program at a gateway that writes a log.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use meshtun_sys::process::Signal;
use netns_lab::{
    Node,
    child::{Child, last_lines},
};

/// How long a program may take to end after SIGTERM.
const ENDING: Duration = Duration::from_secs(5);

/// How many of a log's last lines an error carries.
const LOG_LINES: usize = 20;

/// A running program. Dropping it ends the program by SIGKILL.
pub(super) struct Logged {
    name: String,
    log: PathBuf,
    /// Lines at the beginning of the log in which no errors are looked for.
    forgiven: usize,
    child: Child,
}

impl Logged {
    /// Starts it in a node; its standard output and error go to `NAME.log` in the folder.
    pub(super) fn start(node: &Node, folder: &Path, name: &str, mut command: Command) -> anyhow::Result<Logged> {
        let log = folder.join(format!("{}-{name}.log", node.name()));
        let out = File::create(&log).with_context(|| log.display().to_string())?;
        let err = out.try_clone().with_context(|| log.display().to_string())?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        Ok(Logged { name: format!("{name} at {}", node.name()), log, forgiven: 0, child: node.start(command)? })
    }

    /// Its process number.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it wrote; empty if that cannot be read.
    pub(super) fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Waits until its log contains these words.
    pub(super) fn wait_for(&mut self, words: &str, limit: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !self.log().contains(words) {
            if let Some(status) = self.child.ended()? {
                bail!("{} ended with {status}; the end of its log:\n{}", self.name, self.end_of_log());
            }
            if begun.elapsed() >= limit {
                bail!(
                    "{} has not said {words:?} after {limit:?}; the end of its log:\n{}",
                    self.name,
                    self.end_of_log()
                );
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Forgets the errors that it has logged so far: while it was alone.
    pub(super) fn forgive(&mut self) {
        self.forgiven = self.log().lines().count();
    }

    /// What went wrong: lines of its log that `is_error` points out, and that it has ended by itself. To be asked before
    /// any program is asked to end, whose peers may complain of that.
    pub(super) fn wrong(&mut self, is_error: impl Fn(&str) -> bool) -> anyhow::Result<Vec<String>> {
        let log = self.log();
        let errors = log.lines().skip(self.forgiven).filter(|line| is_error(line));
        let mut wrong: Vec<_> = errors.map(|line| format!("{}: {line}", self.name)).collect();
        if let Some(status) = self.child.ended()? {
            let log = self.end_of_log();
            wrong.push(format!("{} ended by itself with {status}; the end of its log:\n{log}", self.name));
        }
        Ok(wrong)
    }

    /// Asks it to end, and waits for that.
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        self.child.signal(Signal::Terminate)?;
        ensure!(self.child.wait_for(ENDING)?.is_some(), "{} runs on {ENDING:?} after SIGTERM", self.name);
        Ok(())
    }

    fn end_of_log(&self) -> String {
        last_lines(&self.log(), LOG_LINES)
    }
}
