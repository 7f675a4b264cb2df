//! One run of a hook.

use std::{process::Stdio, time::Duration};

use meshtun_config::Program;
use meshtun_sys::process::{Signal, signal_group};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    time::timeout,
};

use super::Event;

/// Runs the program to its end, or until its time is over; `Err` says what went wrong.
///
/// It is started without a shell, in a process group of its own, in the folder `/`, with nothing in its environment but
/// [`PATH`] and the event, with the event in JSON on its standard input. What it writes goes to the log.
pub(super) async fn run(lane: &str, event: &Event, program: &Program) -> Result<(), String> {
    // Each time: a program may have been replaced.
    program.check().map_err(|error| format!("not run: {error}"))?;
    let mut command = Command::new(&program.path);
    command
        .args(&program.arguments)
        .env_clear()
        .env("PATH", PATH)
        .envs(event.environment())
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot be started: {error}"))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let name = event.what.name();
    let said = async {
        tokio::join!(feed(stdin, event.json()), log(lane, name, stdout), log(lane, name, stderr));
    };
    tokio::pin!(said);
    let mut is_silent = false;
    let ended = async {
        loop {
            tokio::select! {
                status = child.wait() => return status,
                () = &mut said, if !is_silent => is_silent = true,
            }
        }
    };
    let status = match timeout(program.timeout, ended).await {
        Ok(status) => status.map_err(|error| format!("cannot be waited for: {error}"))?,
        Err(_) => {
            end(&mut child).await;
            return Err(format!("not done after {} s, and ended", program.timeout.as_secs()));
        }
    };
    // What it left running may hold its outputs open: nobody waits for that.
    if !is_silent {
        let _cut_off = timeout(LAST_WORDS, said).await;
    }
    if status.success() { Ok(()) } else { Err(status.to_string()) }
}

/// SIGTERM to all that it started, and SIGKILL a moment later.
async fn end(child: &mut Child) {
    let Some(group) = child.id() else { return };
    let _ended_by_itself = signal_group(group, Signal::Terminate);
    let _still_there = timeout(GRACE, child.wait()).await;
    // The group may have members left when its leader is gone.
    let _nobody_left = signal_group(group, Signal::Kill);
    let _reaped = timeout(GRACE, child.wait()).await;
}

/// A program that does not read what it is told is none the worse.
async fn feed(stdin: Option<ChildStdin>, text: String) {
    if let Some(mut stdin) = stdin {
        let _unread = stdin.write_all(text.as_bytes()).await;
    }
}

/// Writes what it says to the log, line by line, up to a limit; the rest is read and counted.
async fn log(lane: &str, event: &str, output: Option<impl AsyncRead + Unpin>) {
    let Some(output) = output else { return };
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    let mut lines = 0_u64;
    loop {
        line.clear();
        match (&mut output).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
            Ok(1..) => {}
            _ => break,
        }
        lines += 1;
        if lines <= MOST_LINES {
            let text = String::from_utf8_lossy(&line);
            tracing::info!(hook = lane, "{event}: {}", printable(text.trim_end()));
        }
    }
    if lines > MOST_LINES {
        tracing::info!(hook = lane, "{event}: and {} more lines", lines - MOST_LINES);
    }
}

/// Nothing that would move a terminal's cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// Where a hook's own commands are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Bytes of a line; a longer one is cut into several.
const LONGEST_LINE: u64 = 1024;

/// Lines of one output that one run may add to the log.
const MOST_LINES: u64 = 100;

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(1);

/// What is read of an output after its program has ended.
const LAST_WORDS: Duration = Duration::from_millis(200);
