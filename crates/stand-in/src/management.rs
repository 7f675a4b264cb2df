//! The management interface: one client at a time, lines of text (manage.c, doc/management-notes.txt).

mod client;
mod listener;
mod state;

use std::{collections::VecDeque, path::Path, time::Instant};

use meshtun_openvpn::{
    options::Management as Settings,
    text::{Command, History, Level, MANAGEMENT_VERSION, Notice, Statistics, Thrown, help, parse_command},
};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub(crate) use self::state::{Ends, State};
use self::{
    client::{Client, Heard},
    listener::Listener,
};
use crate::{TITLE, fatal::Fatal, log::Log};

/// The interface and its client, if one is there.
#[derive(Debug)]
pub(crate) struct Management {
    listener: Listener,
    client: Option<Client>,
    password: Option<Zeroizing<String>>,
    /// Nothing begins until a client says so.
    hold: bool,
    released: bool,
    /// The session ends when the client goes.
    signal: bool,
    states: VecDeque<String>,
    log: Log,
}

/// What a client wants of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A signal is thrown.
    Signal(Thrown),
    /// The statistics, by [`Management::reply_status`].
    Status,
    /// Two of them, by [`Management::reply_load`].
    Load,
    /// The hold is over.
    Release,
    /// The client that the process depends on has gone.
    Gone,
}

/// States that are kept (`management_state_buffer_size`).
const STATES: usize = 100;

impl Management {
    /// Listens as the options say.
    ///
    /// # Errors
    /// If the address cannot be had, or the password cannot be read.
    pub(crate) fn open(settings: &Settings, log: &Log) -> Result<Management, Fatal> {
        let password = settings.password_file.as_deref().map(|file| read_password(file, log)).transpose()?;
        let listener = Listener::open(settings, log)?;
        Ok(Management {
            listener,
            client: None,
            password,
            hold: settings.hold,
            released: false,
            signal: settings.signal,
            states: VecDeque::new(),
            log: log.clone(),
        })
    }

    /// Waits until a client wants something of the process, and answers everything else. May be dropped at any time.
    pub(crate) async fn asked(&mut self) -> Asked {
        loop {
            self.pass_on_log();
            let heard = match &mut self.client {
                None => {
                    let (stream, from) = self.listener.accept(&self.log).await;
                    self.log.say(Level::MANAGEMENT, format_args!("MANAGEMENT: Client connected from {from}"));
                    self.greet(Client::new(stream, self.password.is_none()));
                    continue;
                }
                Some(client) => client.heard().await,
            };
            match heard {
                Heard::Line(line) => {
                    if let Some(asked) = self.obey(line.as_str()) {
                        return asked;
                    }
                }
                Heard::Gone => {
                    self.log.say(Level::MANAGEMENT, "MANAGEMENT: Client disconnected");
                    self.part();
                    if self.signal {
                        return Asked::Gone;
                    }
                }
            }
        }
    }

    fn greet(&mut self, client: Client) {
        let client = self.client.insert(client);
        if client.is_known() {
            client.notice(&Notice::Greeting);
        } else {
            client.prompt();
        }
    }

    fn part(&mut self) {
        self.client = None;
        self.log.watch(false);
    }

    /// Tells the client of a new state, and keeps it.
    pub(crate) fn state(&mut self, state: State, description: &str, ends: &Ends) {
        let entry = state.entry(description, ends);
        if self.client.as_ref().is_some_and(|client| client.is_known() && client.states) {
            let notice = Notice::State(&entry);
            self.log.say(Level::MANAGEMENT, format_args!("MANAGEMENT: {notice}"));
            self.pass_on_log();
            if let Some(client) = &mut self.client {
                client.notice(&notice);
            }
        }
        self.states.truncate(STATES - 1);
        self.states.push_front(entry);
    }

    /// The process is about to end for this reason.
    pub(crate) async fn fatal(&mut self, text: &str) {
        self.pass_on_log();
        if let Some(client) = &mut self.client {
            client.notice(&Notice::Fatal(text));
        }
        self.close().await;
    }

    /// Sends what waits, for a moment, and ends the connection.
    pub(crate) async fn close(&mut self) {
        self.pass_on_log();
        if let Some(mut client) = self.client.take() {
            client.finish().await;
        }
    }

    /// Whether something has to wait for `hold release`.
    pub(crate) fn would_hold(&self) -> bool {
        self.hold && !self.released
    }

    /// Tells the client, now or when it comes, that nothing happens until it says so.
    pub(crate) fn begin_hold(&mut self, pause: u64) {
        self.pass_on_log();
        if let Some(client) = self.client.as_mut().filter(|client| client.is_known()) {
            client.notice(&Notice::Hold(pause));
        }
    }

    /// Whether somebody is there to be told.
    pub(crate) fn has_client(&self) -> bool {
        self.client.as_ref().is_some_and(Client::is_known)
    }

    /// A hold is over: the next one holds again.
    pub(crate) fn end_hold(&mut self) {
        self.released = false;
    }

    pub(crate) fn is_released(&self) -> bool {
        self.released || !self.hold
    }

    /// The answer to [`Asked::Status`].
    pub(crate) fn reply_status(&mut self, lines: &[String]) {
        if let Some(client) = &mut self.client {
            lines.iter().for_each(|line| client.reply(line));
        }
    }

    /// The answer to [`Asked::Load`].
    pub(crate) fn reply_load(&mut self, counted: &Statistics) {
        let Statistics { link_read, link_write, .. } = counted;
        self.answer(&format!("SUCCESS: nclients=0,bytesin={link_read},bytesout={link_write}"));
    }

    /// Tells the client of bytes, if it is time.
    pub(crate) fn count(&mut self, counted: &Statistics, now: Instant) {
        let Some(client) = &mut self.client else { return };
        if client.is_due(now) {
            client.notice(&Notice::ByteCount(counted.link_read, counted.link_write));
        }
    }

    /// Passes new lines of the log on to a client that wants them.
    pub(crate) fn pass_on_log(&mut self) {
        for entry in self.log.fresh() {
            if let Some(client) = self.client.as_mut().filter(|client| client.log) {
                client.notice(&Notice::Log(&entry.to_string()));
            }
        }
    }

    fn answer(&mut self, line: &str) {
        self.pass_on_log();
        if let Some(client) = &mut self.client {
            client.reply(line);
        }
    }

    fn obey(&mut self, line: &str) -> Option<Asked> {
        if self.client.as_ref().is_some_and(|client| !client.is_known()) {
            self.judge_password(line);
            return None;
        }
        let command = parse_command(line);
        if !matches!(command, Command::LoadStatistics) {
            self.log.say(Level::MANAGEMENT_COMMAND, format_args!("MANAGEMENT: CMD '{line}'"));
        }
        match command {
            Command::Nothing | Command::ClientVersion => {}
            Command::Exit => {
                self.pass_on_log();
                if let Some(client) = &mut self.client {
                    client.dismiss();
                }
            }
            Command::Help => {
                help(TITLE).iter().for_each(|line| self.answer(line));
                self.answer("END");
            }
            Command::Version => {
                self.answer(&format!("OpenVPN Version: {TITLE}"));
                self.answer(&format!("Management Version: {MANAGEMENT_VERSION}"));
                self.answer("END");
            }
            Command::Pid => self.answer(&format!("SUCCESS: pid={}", std::process::id())),
            Command::Signal(thrown) => {
                self.answer(&format!("SUCCESS: signal {} thrown", thrown.name()));
                return Some(Asked::Signal(thrown));
            }
            Command::LoadStatistics => return Some(Asked::Load),
            Command::Status => return Some(Asked::Status),
            Command::Verb(None) => self.answer(&format!("SUCCESS: verb={}", self.log.verb())),
            Command::Verb(Some(level)) => {
                self.log.set_verb(level);
                self.answer("SUCCESS: verb level changed");
            }
            Command::Mute(None) => self.answer(&format!("SUCCESS: mute={}", self.log.mute())),
            Command::Mute(Some(limit)) => {
                self.log.set_mute(limit);
                self.answer("SUCCESS: mute level changed");
            }
            Command::State(asked) => self.history("state", &asked),
            Command::Log(asked) => self.history("log", &asked),
            Command::Echo(asked) => self.history("echo", &asked),
            Command::Hold => self.answer(&format!("SUCCESS: hold={}", u8::from(self.hold))),
            Command::SetHold(on) => {
                self.hold = on;
                self.answer(&format!("SUCCESS: hold flag set to {}", if on { "ON" } else { "OFF" }));
            }
            Command::Release => {
                self.released = true;
                self.answer("SUCCESS: hold release succeeded");
                return Some(Asked::Release);
            }
            Command::ByteCount(seconds) => {
                if let Some(client) = &mut self.client {
                    client.count_every(seconds);
                }
                self.answer("SUCCESS: bytecount interval changed");
            }
            Command::Answer(line) => self.answer(&line),
        }
        None
    }

    fn judge_password(&mut self, line: &str) {
        let right =
            self.password.as_ref().is_some_and(|password| bool::from(password.as_bytes().ct_eq(line.as_bytes())));
        let Some(client) = &mut self.client else { return };
        if right {
            client.admit();
            client.reply("SUCCESS: password is correct");
            client.notice(&Notice::Greeting);
            if self.hold && !self.released {
                client.notice(&Notice::Hold(0));
            }
        } else if client.try_again() {
            client.prompt();
        } else {
            self.part();
        }
    }

    fn history(&mut self, of: &str, asked: &[History]) {
        for history in asked {
            match history {
                History::RealTime(on) => self.tell_in_real_time(of, *on),
                History::All => self.tell_last(of, usize::MAX),
                History::Last(count) => self.tell_last(of, *count),
                History::Wrong => {
                    let wrong = format!("ERROR: {of} parameter must be 'on' or 'off' or some number n or 'all'");
                    self.answer(&wrong);
                }
            }
        }
    }

    fn tell_in_real_time(&mut self, of: &str, on: bool) {
        self.answer(&format!("SUCCESS: real-time {of} notification set to {}", if on { "ON" } else { "OFF" }));
        let Some(client) = &mut self.client else { return };
        match of {
            "state" => client.states = on,
            "log" => {
                client.log = on;
                self.log.watch(on);
            }
            _ => {}
        }
    }

    fn tell_last(&mut self, of: &str, count: usize) {
        let lines: Vec<String> = match of {
            "state" => self.states.iter().take(count).rev().cloned().collect(),
            "log" => self.log.last(count).iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        };
        lines.iter().for_each(|line| self.answer(line));
        self.answer("END");
    }
}

/// The first line of the file.
fn read_password(file: &str, log: &Log) -> Result<Zeroizing<String>, Fatal> {
    use std::os::unix::fs::PermissionsExt;
    let wrong = |what: String| Fatal::new(format_args!("management: the password file '{file}' {what}"));
    let text = std::fs::read_to_string(Path::new(file)).map(Zeroizing::new);
    let text = text.map_err(|error| wrong(format!("cannot be read: {error}")))?;
    if std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
        log.warning(format_args!("WARNING: file '{file}' is group or others accessible"));
    }
    match text.lines().next().filter(|line| !line.is_empty()) {
        Some(line) => Ok(Zeroizing::new(line.to_owned())),
        None => Err(wrong("has no first line".to_owned())),
    }
}
