//! One run of a hook.

use std::{process::Stdio, thread, time::Duration};

use meshtun_config::Program;
use meshtun_sys::process::{Signal, signal_group};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    runtime::Handle,
    sync::oneshot,
    time::timeout,
};

use super::Event;

/// Runs the program to its end, or until its time is over.
///
/// It is started without a shell, in a process group of its own, in the folder `/`, with nothing in its environment but
/// [`PATH`] and the event, with the event in JSON on its standard input. What it writes goes to the log.
pub(super) async fn run(lane: &str, event: &Event, program: &Program) -> Ended {
    let mut starting = start(event, program);
    let mut child = match timeout(program.timeout, &mut starting).await {
        Ok(Ok(Ok(child))) => child,
        Ok(Ok(Err(failure))) => return Ended::with(Err(failure)),
        Ok(Err(_)) => return Ended::with(Err("cannot be started: there is no thread to be had".into())),
        Err(_) => {
            let failure = format!("not started after {} s: is its file system there?", program.timeout.as_secs());
            return Ended { result: Err(failure), starting: Some(starting) };
        }
    };
    Ended::with(attend(lane, event, program, &mut child).await)
}

/// What became of a run.
pub(super) struct Ended {
    /// What went wrong, in words.
    pub(super) result: Result<(), String>,
    /// Its start was given up, and still hangs; nothing else is to be started before that has ended.
    pub(super) starting: Option<Starting>,
}

/// A program that is being started.
pub(super) type Starting = oneshot::Receiver<Result<Child, String>>;

impl Ended {
    fn with(result: Result<(), String>) -> Ended {
        Ended { result, starting: None }
    }
}

/// Starts the program on a thread of its own: it may lie on a file system that does not answer. One that comes up after
/// nobody waits for it any more is ended at once.
fn start(event: &Event, program: &Program) -> Starting {
    let (answer, starting) = oneshot::channel();
    let (runtime, program, environment) = (Handle::current(), program.clone(), event.environment());
    let body = move || {
        let _children_are_its = runtime.enter();
        let started = start_here(&program, environment);
        if let Err(Ok(mut late)) = answer.send(started) {
            let _gone_already = late.start_kill();
        }
    };
    // The receiver hears of it: the sender is gone.
    let _no_thread = thread::Builder::new().name("meshtun-hook".into()).spawn(body);
    starting
}

/// Waits until a start that took too long has come to an end, and ends what came of it.
pub(super) async fn give_up(starting: Starting) {
    if let Ok(Ok(mut late)) = starting.await {
        end(&mut late).await;
    }
}

fn start_here(program: &Program, environment: impl IntoIterator<Item = (String, String)>) -> Result<Child, String> {
    // Each time: a program may have been replaced.
    program.check().map_err(|error| format!("not run: {error}"))?;
    let mut command = Command::new(&program.path);
    command
        .args(&program.arguments)
        .env_clear()
        .env("PATH", PATH)
        .envs(environment)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().map_err(|error| format!("cannot be started: {error}"))
}

/// Feeds it, listens to it, and waits for its end; `Err` says what went wrong.
async fn attend(lane: &str, event: &Event, program: &Program, child: &mut Child) -> Result<(), String> {
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
            end(child).await;
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
