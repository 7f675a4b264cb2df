//! A program at a gateway that writes a log.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use meshtun_sys::process::Signal;
use netns_lab::{Node, child::Child};

/// How long a program may take to end after SIGTERM.
const ENDING: Duration = Duration::from_secs(5);

/// How many of a log's last lines an error carries.
const LOG_LINES: usize = 20;

/// A running program. Dropping it ends the program by SIGKILL.
pub(super) struct Logged {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Logged {
    /// Starts it in a node; its standard output and error go to `NAME.log` in the folder.
    pub(super) fn start(node: &Node, folder: &Path, name: &str, mut command: Command) -> anyhow::Result<Logged> {
        let log = folder.join(format!("{}-{name}.log", node.name()));
        let out = File::create(&log).with_context(|| log.display().to_string())?;
        let err = out.try_clone().with_context(|| log.display().to_string())?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        Ok(Logged { name: format!("{name} at {}", node.name()), log, child: node.start(command)? })
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

    /// Ends it. Gives what went wrong: that it had ended by itself, and the lines of its log that `is_error` points out
    /// among those that it wrote before it was asked to end.
    pub(super) fn finish(mut self, is_error: impl Fn(&str) -> bool) -> anyhow::Result<Vec<String>> {
        let log = self.log();
        let errors = log.lines().filter(|line| is_error(line)).map(|line| format!("{}: {line}", self.name));
        let mut wrong: Vec<_> = errors.collect();
        if let Some(status) = self.child.ended()? {
            wrong.push(format!(
                "{} ended by itself with {status}; the end of its log:\n{}",
                self.name,
                self.end_of_log()
            ));
            return Ok(wrong);
        }
        self.child.signal(Signal::Terminate)?;
        if self.child.wait_for(ENDING)?.is_none() {
            wrong.push(format!("{} runs on {ENDING:?} after SIGTERM", self.name));
        }
        Ok(wrong)
    }

    fn end_of_log(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}
