//! TCP by iperf3, with cubic at both ends, and what it costs.

mod iperf;

use std::{
    io::{self, Read},
    process::{Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use netns_lab::{Node, child::Child, cpu};

use self::iperf::Outcome;
use super::{
    super::{bed::Bed, tool::Path},
    Figure,
    kernel::ReceiveErrors,
};

/// The beginning that does not count, in which TCP finds its rate.
pub(super) const OMITTED: Duration = Duration::from_secs(1);

/// iperf3's port.
const PORT: u16 = 5201;

/// How much longer than its time iperf3 may take: to connect, and to tell what was received through a full tunnel.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often it is looked whether the subject still runs.
const LOOK: Duration = Duration::from_millis(200);

/// By how much the time in which processors are watched is shorter than iperf3's at either end, whose beginning and end
/// are not seen.
const MARGIN: Duration = Duration::from_millis(100);

/// What iperf3 is to do.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) streams: usize,
    /// From the server to the client.
    pub(super) reverse: bool,
    /// Whole seconds, at least one.
    pub(super) seconds: Duration,
}

/// Throughput with its cost, and retransmissions.
pub(super) fn measure(bed: &Bed, path: Path, name: &str, load: Load) -> anyhow::Result<Vec<Figure>> {
    let (client, server, address) = bed.ends(path);
    let before = ReceiveErrors::read(&bed.topology)?;
    let mut listening = listen(&server, &address.to_string())?;
    let mut sending = client.start(load.command(&address.to_string()))?;
    let (said, busy) = thread::scope(|scope| {
        let (running, over) = mpsc::channel();
        let watching = scope.spawn(move || busy_per_second(load.seconds(), &over));
        let said = end_of(&mut sending, bed, OMITTED + load.seconds() + PATIENCE);
        drop(running);
        (said, watching.join().expect("watching processors does not panic"))
    });
    let outcome = said.and_then(|text| iperf::parse(&text)).context("iperf3")?;
    // It ends by itself after one client.
    listening.wait_for(Duration::from_secs(1))?;
    let complaints = ReceiveErrors::read(&bed.topology)?.since(&before);
    Ok(figures(name, outcome, busy?, complaints))
}

fn figures(name: &str, outcome: Outcome, busy_per_second: f64, complaints: Vec<String>) -> Vec<Figure> {
    let gigabytes_per_second = outcome.bits_per_second / 8e9;
    let cost = Some(busy_per_second / gigabytes_per_second).filter(|cost| cost.is_finite());
    let throughput = Figure::new(name, outcome.bits_per_second / 1e9, "Gb/s");
    let retransmits = Figure::new(format!("{name}-retransmits"), outcome.retransmits as f64, "segments");
    vec![Figure { cpu_seconds_per_gb: cost, complaints, ..throughput }, retransmits]
}

impl Load {
    fn seconds(self) -> Duration {
        Duration::from_secs(self.seconds.as_secs().max(1))
    }

    fn command(self, address: &str) -> Command {
        let [streams, omitted, seconds] = [self.streams as u64, OMITTED.as_secs(), self.seconds().as_secs()];
        let mut command = Command::new("iperf3");
        command.args(["--client", address, "--port", &PORT.to_string(), "--congestion", "cubic", "--json"]);
        // One interval: the beginning, the end and nothing in between.
        command.args(["--interval", "0", "--connect-timeout", "5000"]);
        command.args([
            "--parallel",
            &streams.to_string(),
            "--omit",
            &omitted.to_string(),
            "--time",
            &seconds.to_string(),
        ]);
        if self.reverse {
            command.arg("--reverse");
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }
}

/// A server for one client, which listens.
fn listen(node: &Node, address: &str) -> anyhow::Result<Child> {
    let mut command = Command::new("iperf3");
    command.args(["--server", "--one-off", "--bind", address, "--port", &PORT.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut server = node.start(command)?;
    let deadline = Instant::now() + Duration::from_secs(5);
    while !node.run(listens)?? {
        ensure!(server.ended()?.is_none(), "iperf3 cannot listen at {address} port {PORT} in {}", node.name());
        ensure!(Instant::now() < deadline, "iperf3 does not listen in {}", node.name());
        thread::sleep(Duration::from_millis(5));
    }
    Ok(server)
}

/// Whether a program of the calling thread's namespace listens at iperf3's port.
fn listens() -> io::Result<bool> {
    Ok(is_listening(&std::fs::read_to_string("/proc/thread-self/net/tcp")?, PORT))
}

/// `SL LOCAL:PORT REMOTE STATE …`, in hexadecimal (proc_net(5)).
fn is_listening(text: &str, port: u16) -> bool {
    /// `TCP_LISTEN`.
    const LISTEN: &str = "0A";
    let port = format!(":{port:04X}");
    text.lines().skip(1).any(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        fields.next().is_some_and(|local| local.ends_with(&port)) && fields.nth(1) == Some(LISTEN)
    })
}

/// Waits for a program's end and gives what it wrote.
fn end_of(child: &mut Child, bed: &Bed, limit: Duration) -> anyhow::Result<String> {
    let mut output = child.pipes().stdout.take().context("it has no standard output")?;
    thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let mut text = String::new();
            output.read_to_string(&mut text).map(|_| text)
        });
        let ended = wait_for(child, bed, limit);
        if ended.is_err() {
            // Or reading would go on.
            child.kill()?;
        }
        let text = reading.join().expect("reading does not panic")?;
        ended.map(|()| text)
    })
}

/// Waits for a program's end as long as the bed can carry anything.
fn wait_for(child: &mut Child, bed: &Bed, limit: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + limit;
    while child.wait_for(LOOK)?.is_none() {
        bed.must_run()?;
        ensure!(Instant::now() < deadline, "it has not ended after {limit:?}: is anything carried?");
    }
    Ok(())
}

/// Busy seconds a second of all processors together, from when the beginning is over, for so long or until it is over.
fn busy_per_second(seconds: Duration, over: &Receiver<()>) -> io::Result<f64> {
    // Nothing is ever sent: the other end goes away.
    let sleep = |time| _ = over.recv_timeout(time);
    sleep(OMITTED + MARGIN);
    let (begun, before) = (Instant::now(), cpu::busy()?);
    sleep(seconds - 2 * MARGIN);
    let busy = cpu::busy()?.saturating_sub(before);
    Ok(busy.as_secs_f64() / begun.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_is_the_busy_time_over_the_bytes_of_the_same_time() {
        let outcome = Outcome { bits_per_second: 4e9, retransmits: 12 };
        let [throughput, retransmits] = &figures("tcp-16", outcome, 1.5, vec!["why".into()])[..] else { panic!() };
        assert_eq!((throughput.value, throughput.unit, throughput.cpu_seconds_per_gb), (4.0, "Gb/s", Some(3.0)));
        assert_eq!(throughput.complaints, ["why".to_owned()]);
        assert_eq!((retransmits.test.as_str(), retransmits.value), ("tcp-16-retransmits", 12.0));
        let nothing = Outcome { bits_per_second: 0.0, retransmits: 0 };
        assert_eq!(figures("tcp-1", nothing, 1.5, Vec::new())[0].cpu_seconds_per_gb, None);
    }

    #[test]
    fn only_a_socket_that_listens_at_the_port_counts() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
        let line = |local, remote, state| format!("   0: {local} {remote} {state} 00000000:00000000 00:00000000 0\n");
        assert!(is_listening(&(head.to_owned() + &line("0200020A:1451", "00000000:0000", "0A")), 5201));
        assert!(!is_listening(&(head.to_owned() + &line("0200020A:1451", "0200010A:9C40", "01")), 5201));
        assert!(!is_listening(&(head.to_owned() + &line("0200020A:1452", "00000000:0000", "0A")), 5201));
        assert!(!is_listening(head, 5201));
    }
}
