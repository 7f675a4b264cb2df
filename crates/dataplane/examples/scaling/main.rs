//! Carries a fixed number of packets through N channels, to count the instructions of a packet. `tests/scaling` runs it
//! under callgrind; by itself it tells nothing.
//!
//! It sets up the network namespace that it is started in, which must be a fresh one:
//!
//! ```text
//!   injector ─ gen ─ kernel forwards by destination ─ c0 … cN-1 ─ sending halves ──┐
//!                        blackhole ◄─ what comes out ─ c0 … cN-1 ─ receiving halves ◄┘ 127.0.0.1
//! ```
//!
//! Each channel is its own peer: its socket sends to itself, under one key. So N channels are N channels, and every
//! packet is sealed once and opened once. The packets are written by another process, which callgrind does not slow
//! down, in bursts of a fixed size: the halves find their queues full, as under load, and take the same number of packets
//! in each turn however many channels there are.

mod inject;
mod rig;

use std::{
    env,
    error::Error,
    io::{self, BufRead, BufReader, Write as _},
    process::{ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use inject::Pattern;
use meshtun_proto::Suite;
use rig::Rig;

const USAGE: &str = "usage: scaling CHANNELS WORKERS small|large|tcp PACKETS chacha20-poly1305|aes-256-gcm";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["inject", channels, pattern] => inject::run(channels.parse()?, Pattern::named(pattern).ok_or(USAGE)?),
        [channels, workers, pattern, packets, suite] => {
            let suite = match suite {
                "chacha20-poly1305" => Suite::ChaCha20Poly1305,
                "aes-256-gcm" => Suite::Aes256Gcm,
                _ => return Err(USAGE.into()),
            };
            Pattern::named(pattern).ok_or(USAGE)?;
            let rig = Rig::up(channels.parse()?, workers.parse()?, suite)?;
            carry(&rig, pattern, packets.parse()?)?;
            let carried = rig.carried();
            rig.down();
            Ok(writeln!(io::stdout(), "sent {} received {}", carried.sent, carried.received)?)
        }
        _ => Err(USAGE.into()),
    }
}

/// Lets the injector write to all channels until as many packets as asked for have gone, waiting for each round's last.
fn carry(rig: &Rig, pattern: &str, packets: u64) -> Result<(), Box<dyn Error>> {
    let mut injector = Command::new(env::current_exe()?);
    injector.args(["inject", &rig.channels().to_string(), pattern]);
    let mut injector = injector.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (ask, answers) = (injector.stdin.take(), injector.stdout.take());
    let mut ask = ask.expect("a pipe was asked for");
    let mut answers = BufReader::new(answers.expect("a pipe was asked for"));
    let mut written = 0;
    while written < packets {
        written += round(&mut ask, &mut answers)?;
        await_carried(rig, written)?;
    }
    drop(ask);
    injector.wait()?;
    Ok(())
}

/// How many packets the injector wrote in this round.
fn round(ask: &mut ChildStdin, answers: &mut BufReader<ChildStdout>) -> Result<u64, Box<dyn Error>> {
    ask.write_all(b"go\n")?;
    let mut answer = String::new();
    answers.read_line(&mut answer)?;
    answer.trim().parse().map_err(|_| format!("the injector failed: {answer:?}").into())
}

fn await_carried(rig: &Rig, packets: u64) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let carried = rig.carried();
        if carried.sent >= packets && carried.received >= packets {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("lost packets: {packets} written, {carried:?}, {:?}", rig.dropped()));
        }
        // Other threads of this process get the lock that valgrind runs one of them under.
        std::thread::sleep(Duration::from_millis(2));
    }
}
