//! The log: one line an event, on standard error.

use std::{
    fmt::{self, Write as _},
    io::IsTerminal,
};

use clap::ValueEnum;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people: `2026-11-21T10:22:01.123456Z  WARN nq/0: down after 3 h 12 min: …`
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// Starts logging, once in a process. `MESHTUN_LOG` overrides `verbose`.
pub(crate) fn start(format: LogFormat, verbose: bool) {
    let level = if verbose { Level::DEBUG } else { Level::INFO };
    let asked = std::env::var("MESHTUN_LOG").ok().filter(|asked| !asked.is_empty());
    let chosen = asked.as_deref().and_then(filter_of);
    let not_understood = asked.filter(|_| chosen.is_none());
    let filter = chosen.unwrap_or_else(|| EnvFilter::new(default_filter(level)));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.event_format(Lines::for_stderr()).init(),
        LogFormat::Json => log.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
    }
    if let Some(asked) = not_understood {
        tracing::warn!("MESHTUN_LOG={asked}: neither error, warn, info, debug nor a list like `meshtun_netlink=debug`");
    }
}

/// A level for all of it, or tracing-subscriber's directives. A lone word that is no level would be taken for the name of
/// a part of the program, and nothing else would be logged.
fn filter_of(asked: &str) -> Option<EnvFilter> {
    match asked.parse::<Level>() {
        Ok(level) => Some(EnvFilter::new(default_filter(level))),
        Err(_) if asked.contains('=') => EnvFilter::try_new(asked).ok(),
        Err(_) => None,
    }
}

/// Our own events. What libraries have to say, and each step to the devices and routes, is of interest from a warning
/// on, or when asked for.
fn default_filter(level: Level) -> String {
    let steps = if level > Level::INFO { level } else { Level::WARN };
    // At the end of a gateway its connections to the kernel hear on for a moment of what nobody asks for any more.
    format!(
        "warn,netlink_proto=error,meshtun={level},meshtun_daemon={level},meshtun_dataplane={level},meshtun_netlink={steps}"
    )
}

/// Text lines: time, level, what the event is about, the message, other fields.
#[derive(Debug)]
struct Lines {
    /// Standard error is the journal, which has the time and takes the level as a prefix (sd-daemon(3)).
    journal: bool,
    colour: bool,
}

impl Lines {
    fn for_stderr() -> Lines {
        Lines { journal: std::env::var_os("JOURNAL_STREAM").is_some(), colour: std::io::stderr().is_terminal() }
    }

    fn write_start(&self, writer: &mut Writer<'_>, level: Level) -> fmt::Result {
        if self.journal {
            return write!(writer, "<{}>", priority(level));
        }
        SystemTime.format_time(writer)?;
        match colour(level).filter(|_| self.colour) {
            Some(code) => write!(writer, " \x1b[{code}m{level:>5}\x1b[0m "),
            None => write!(writer, " {level:>5} "),
        }
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        self.write_start(&mut writer, *event.metadata().level())?;
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Fields { subject, message, others } = fields;
        if !subject.is_empty() {
            write!(writer, "{subject}: ")?;
        }
        writeln!(writer, "{message}{others}")
    }
}

/// An event's fields, sorted out.
#[derive(Default)]
struct Fields {
    /// The link or channel that the event is about.
    subject: String,
    message: String,
    others: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            "channel" | "link" => write!(self.subject, "{value:?}"),
            name => write!(self.others, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

/// syslog's numbers.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// ANSI colours: red and yellow for what wants attention.
fn colour(level: Level) -> Option<u8> {
    match level {
        Level::ERROR => Some(31),
        Level::WARN => Some(33),
        _ => None,
    }
}
