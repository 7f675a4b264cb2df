//! Commands of the management interface and its replies (manage.c, doc/management-notes.txt).

use std::fmt;

use super::Signal;
use crate::directive::split;

/// The protocol's version, as release 2.6 has it.
pub const VERSION: u32 = 5;

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// An empty line.
    Nothing,
    /// `exit`, `quit`.
    Exit,
    /// `help`.
    Help,
    /// `version`.
    Version,
    /// `version N`: what the client speaks. No answer.
    ClientVersion,
    /// `pid`.
    Pid,
    /// `signal SIG…`.
    Signal(Thrown),
    /// `load-stats`.
    LoadStatistics,
    /// `status [N]`.
    Status,
    /// `verb [N]`.
    Verb(Option<u8>),
    /// `mute [N]`.
    Mute(Option<u32>),
    /// `state …`.
    State(Vec<History>),
    /// `log …`.
    Log(Vec<History>),
    /// `echo …`: nothing is ever echoed here.
    Echo(Vec<History>),
    /// `hold`.
    Hold,
    /// `hold on`, `hold off`.
    SetHold(bool),
    /// `hold release`.
    Release,
    /// `bytecount N`, in seconds.
    ByteCount(u32),
    /// Answered at once, with this line.
    Answer(String),
}

/// What `signal` throws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thrown {
    /// One that ends the session.
    Ending(Signal),
    /// SIGUSR2: print statistics.
    Usr2,
}

impl Thrown {
    /// `SIGUSR2` …
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ending(signal) => signal.name(),
            Self::Usr2 => "SIGUSR2",
        }
    }
}

/// One word behind `state`, `log` or `echo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// `on`, `off`: tell of new ones as they come.
    RealTime(bool),
    /// `all`.
    All,
    /// The last so many.
    Last(usize),
    /// Something else.
    Wrong,
}

/// Lines that are sent unasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice<'a> {
    /// At the start of a connection.
    Greeting,
    /// `seconds,name,description,…`.
    State(&'a str),
    /// `seconds,flags,text`.
    Log(&'a str),
    /// Bytes of the link, in and out.
    ByteCount(u64, u64),
    /// Nothing happens until `hold release`; how long a pause would be, in seconds.
    Hold(u64),
    /// The process ends.
    Fatal(&'a str),
}

impl fmt::Display for Notice<'_> {
    /// Without the line's end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Greeting => {
                write!(f, ">INFO:OpenVPN Management Interface Version {VERSION} -- type 'help' for more info")
            }
            Self::State(entry) => write!(f, ">STATE:{entry}"),
            Self::Log(entry) => write!(f, ">LOG:{entry}"),
            Self::ByteCount(bytes_in, bytes_out) => write!(f, ">BYTECOUNT:{bytes_in},{bytes_out}"),
            Self::Hold(seconds) => write!(f, ">HOLD:Waiting for hold release:{seconds}"),
            Self::Fatal(text) => write!(f, ">FATAL:{text}"),
        }
    }
}

/// What a line asks for.
#[must_use]
pub fn parse_command(line: &str) -> Command {
    /// Words that are looked at (`MAX_PARMS`).
    const MOST: usize = 16;
    let Ok(words) = split(line.as_bytes(), MOST) else {
        return Command::Answer("ERROR: unknown command, enter 'help' for more options".to_owned());
    };
    let words: Vec<&str> = words.words.iter().map(String::as_str).collect();
    let Some((&name, parameters)) = words.split_first() else { return Command::Nothing };
    let first = parameters.first().copied();
    let number = |text: &str| text.parse::<u32>().unwrap_or(0);
    match (name, first) {
        ("exit" | "quit", _) => Command::Exit,
        ("help", _) => Command::Help,
        ("version", Some(_)) => Command::ClientVersion,
        ("version", None) => Command::Version,
        ("pid", _) => Command::Pid,
        ("signal", Some(signal)) => thrown(signal),
        ("load-stats", _) => Command::LoadStatistics,
        ("status", _) => Command::Status,
        ("verb", level) => verb(level),
        ("mute", level) => Command::Mute(level.map(number)),
        ("state", None) => Command::State(vec![History::Last(1)]),
        ("state", Some(_)) => Command::State(histories(parameters)),
        ("log", Some(_)) => Command::Log(histories(parameters)),
        ("echo", Some(_)) => Command::Echo(histories(parameters)),
        ("hold", None) => Command::Hold,
        ("hold", Some("on")) => Command::SetHold(true),
        ("hold", Some("off")) => Command::SetHold(false),
        ("hold", Some("release")) => Command::Release,
        ("hold", Some(_)) => answer("ERROR: bad hold command parameter"),
        ("bytecount", Some(seconds)) => Command::ByteCount(number(seconds)),
        ("signal" | "log" | "echo" | "bytecount", None) => needs(name),
        _ => answer(unserved(name)),
    }
}

fn answer(text: &str) -> Command {
    Command::Answer(text.to_owned())
}

fn needs(name: &str) -> Command {
    Command::Answer(format!("ERROR: the '{name}' command requires 1 parameter"))
}

fn thrown(name: &str) -> Command {
    let ending =
        [Signal::Usr1, Signal::Hup, Signal::Term, Signal::Int].into_iter().find(|signal| signal.name() == name);
    match (ending, name) {
        (Some(signal), _) => Command::Signal(Thrown::Ending(signal)),
        (None, "SIGUSR2") => Command::Signal(Thrown::Usr2),
        _ => Command::Answer(format!("ERROR: signal '{name}' is not a known signal type")),
    }
}

fn verb(level: Option<&str>) -> Command {
    match level.map(str::parse::<u8>) {
        None => Command::Verb(None),
        Some(Ok(level @ 0..=15)) => Command::Verb(Some(level)),
        Some(_) => answer("ERROR: verb level is out of range"),
    }
}

fn histories(parameters: &[&str]) -> Vec<History> {
    let history = |word: &&str| match *word {
        "on" => History::RealTime(true),
        "off" => History::RealTime(false),
        "all" => History::All,
        number => number.parse().ok().filter(|count| *count > 0).map_or(History::Wrong, History::Last),
    };
    parameters.iter().take(2).map(history).collect()
}

/// What other modes of OpenVPN serve, and this one answers in its words.
fn unserved(name: &str) -> &'static str {
    match name {
        "username" => "ERROR: no username is currently needed at this time",
        "password" => "ERROR: no password is currently needed at this time",
        "needok" => "ERROR: no needok-confirmation is currently needed at this time",
        "needstr" => "ERROR: no needstr-confirmation is currently needed at this time",
        "net" => "ERROR: Sorry, this command is currently only implemented on Windows",
        "kill" => "ERROR: The 'kill' command is not supported by the current daemon mode",
        "forget-passwords" => "SUCCESS: Passwords were forgotten",
        "client-auth"
        | "client-auth-nt"
        | "client-deny"
        | "client-kill"
        | "client-pending-auth"
        | "remote"
        | "proxy"
        | "rsa-sig"
        | "pk-sig"
        | "certificate"
        | "pkcs11-id-count"
        | "pkcs11-id-get"
        | "cr-response"
        | "env-filter" => "ERROR: this command is not supported with a static key",
        _ => "ERROR: unknown command, enter 'help' for more options",
    }
}

/// The answer to `help`, without its last line, `END`.
#[must_use]
pub fn help(title: &str) -> Vec<String> {
    const COMMANDS: &[(&str, &str)] = &[
        ("bytecount n", "Show bytes in/out, update every n secs (0=off)."),
        ("exit|quit", "Close management session."),
        ("help", "Print this message."),
        ("hold [on|off|release]", "Set/show hold flag, or release it and start."),
        ("load-stats", "Show bytes in/out."),
        ("log [on|off] [N|all]", "Turn on/off realtime log, show the last lines."),
        ("mute [n]", "Set/show how many lines of one kind are logged."),
        ("pid", "Show process ID."),
        ("signal s", "Throw SIGHUP, SIGTERM, SIGUSR1 or SIGUSR2."),
        ("state [on|off] [N|all]", "Like log, of states."),
        ("status [n]", "Show statistics."),
        ("verb [n]", "Set/show log verbosity."),
        ("version", "Show version."),
    ];
    let mut lines = vec![format!("Management Interface for {title}"), "Commands:".to_owned()];
    lines.extend(COMMANDS.iter().map(|(command, what)| format!("{command:<23}: {what}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_understood() {
        for (line, command) in [
            ("", Command::Nothing),
            ("state", Command::State(vec![History::Last(1)])),
            ("state on all", Command::State(vec![History::RealTime(true), History::All])),
            ("log 3", Command::Log(vec![History::Last(3)])),
            ("log x", Command::Log(vec![History::Wrong])),
            ("signal SIGUSR1", Command::Signal(Thrown::Ending(Signal::Usr1))),
            ("signal SIGUSR2", Command::Signal(Thrown::Usr2)),
            ("hold release", Command::Release),
            ("verb", Command::Verb(None)),
            ("verb 4", Command::Verb(Some(4))),
            ("mute 3", Command::Mute(Some(3))),
            ("bytecount 5", Command::ByteCount(5)),
            ("version 2", Command::ClientVersion),
            ("quit", Command::Exit),
        ] {
            assert_eq!(parse_command(line), command, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_answered_in_openvpns_words() {
        for (line, reply) in [
            ("foo", "ERROR: unknown command, enter 'help' for more options"),
            ("signal", "ERROR: the 'signal' command requires 1 parameter"),
            ("signal SIGFOO", "ERROR: signal 'SIGFOO' is not a known signal type"),
            ("bytecount", "ERROR: the 'bytecount' command requires 1 parameter"),
            ("kill 1.2.3.4:1", "ERROR: The 'kill' command is not supported by the current daemon mode"),
            ("hold what", "ERROR: bad hold command parameter"),
            ("verb 99", "ERROR: verb level is out of range"),
        ] {
            assert_eq!(parse_command(line), Command::Answer(reply.to_owned()), "{line}");
        }
    }

    #[test]
    fn notices_are_what_clients_parse() {
        assert!(Notice::Greeting.to_string().starts_with(">INFO:OpenVPN Management Interface Version 5 --"));
        assert_eq!(Notice::ByteCount(832, 224).to_string(), ">BYTECOUNT:832,224");
        assert_eq!(Notice::Hold(1).to_string(), ">HOLD:Waiting for hold release:1");
    }
}
