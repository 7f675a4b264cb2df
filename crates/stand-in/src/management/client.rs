//! A client of the management interface.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use meshtun_openvpn::text::Notice;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use super::listener::Stream;

/// A connection, what came in over it and what waits to go out.
#[derive(Debug)]
pub(super) struct Client {
    stream: Box<dyn Stream>,
    inbox: Zeroizing<Vec<u8>>,
    outbox: Vec<u8>,
    /// It has given the password, or need not.
    known: bool,
    /// It is let go when all has been sent.
    dismissed: bool,
    attempts: u32,
    /// It hears of the log.
    pub(super) log: bool,
    /// It hears of states.
    pub(super) states: bool,
    /// It hears of bytes.
    count: Option<Duration>,
    counted: Instant,
}

/// What came of a client.
#[derive(Debug)]
pub(super) enum Heard {
    Line(Zeroizing<String>),
    Gone,
}

/// The longest line (`MANAGEMENT_MAX_LINE_LEN` is 1,024).
const LONGEST: usize = 4096;

/// What may wait for a client that does not read: it is let go then.
const MOST_WAITING: usize = 4 << 20;

/// How often a password may be wrong.
const ATTEMPTS: u32 = 3;

impl Client {
    pub(super) fn new(stream: Box<dyn Stream>, known: bool) -> Client {
        Client {
            stream,
            inbox: Zeroizing::default(),
            outbox: Vec::new(),
            known,
            dismissed: false,
            attempts: 0,
            log: false,
            states: false,
            count: None,
            counted: Instant::now(),
        }
    }

    /// The next line. May be dropped at any time.
    pub(super) async fn heard(&mut self) -> Heard {
        loop {
            if self.dismissed {
                self.finish().await;
                return Heard::Gone;
            }
            if let Some(line) = self.line() {
                return Heard::Line(line);
            }
            if self.inbox.len() > LONGEST || self.outbox.len() > MOST_WAITING {
                return Heard::Gone;
            }
            let mut buffer = Zeroizing::new([0; 1024]);
            let waiting = !self.outbox.is_empty();
            let (mut reading, mut writing) = tokio::io::split(&mut self.stream);
            tokio::select! {
                read = reading.read(&mut buffer[..]) => match read {
                    Ok(0) | Err(_) => return Heard::Gone,
                    Ok(length) => self.inbox.extend_from_slice(&buffer[..length]),
                },
                written = writing.write(&self.outbox), if waiting => match written {
                    Ok(length) => drop(self.outbox.drain(..length)),
                    Err(_) => return Heard::Gone,
                },
            }
        }
    }

    fn line(&mut self) -> Option<Zeroizing<String>> {
        let end = self.inbox.iter().position(|byte| *byte == b'\n')?;
        let line: Zeroizing<Vec<u8>> = Zeroizing::new(self.inbox.drain(..=end).collect());
        Some(Zeroizing::new(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// Nothing more is heard of it.
    pub(super) fn dismiss(&mut self) {
        self.dismissed = true;
    }

    pub(super) fn is_known(&self) -> bool {
        self.known
    }

    pub(super) fn admit(&mut self) {
        self.known = true;
    }

    /// A wrong password: whether it may try again.
    pub(super) fn try_again(&mut self) -> bool {
        self.attempts += 1;
        self.attempts < ATTEMPTS
    }

    pub(super) fn prompt(&mut self) {
        self.outbox.extend_from_slice(b"ENTER PASSWORD:");
    }

    pub(super) fn reply(&mut self, line: impl Display) {
        self.outbox.extend_from_slice(format!("{line}\r\n").as_bytes());
    }

    pub(super) fn notice(&mut self, notice: &Notice<'_>) {
        if self.known {
            self.reply(notice);
        }
    }

    /// In seconds; 0: never.
    pub(super) fn count_every(&mut self, seconds: u32) {
        self.count = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
        self.counted = Instant::now();
    }

    /// Whether it is time to tell of bytes again; it is not until the next time, then.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.known && self.count.is_some_and(|every| now.duration_since(self.counted) >= every);
        if due {
            self.counted = now;
        }
        due
    }

    /// Sends what waits, for a second at most. May be dropped and called again.
    pub(super) async fn finish(&mut self) {
        let send = async {
            while !self.outbox.is_empty() {
                let written = self.stream.write(&self.outbox).await?;
                self.outbox.drain(..written);
            }
            self.stream.shutdown().await
        };
        let _gone = tokio::time::timeout(Duration::from_secs(1), send).await;
    }
}
