//! The management interface, over a socket file and over TCP: what a client hears, beside OpenVPN.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
};

use meshtun_sys::process::Signal;
use netns_lab::trial;

use super::{COMPLETED, END, Ends, Kind, PEER};
use crate::bed::{PATIENCE, eventually, output};

/// A client, and all that it has said and heard.
struct Client {
    lines: BufReader<Box<dyn Read>>,
    out: Box<dyn Write>,
    transcript: String,
}

impl Client {
    fn unix(path: &Path) -> Client {
        let mut stream = None;
        eventually("the socket file is there", || {
            stream = UnixStream::connect(path).ok();
            stream.is_some()
        });
        let stream = stream.unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client::new(Box::new(stream.try_clone().unwrap()), Box::new(stream))
    }

    fn new(from: Box<dyn Read>, to: Box<dyn Write>) -> Client {
        Client { lines: BufReader::new(from), out: to, transcript: String::new() }
    }

    fn say(&mut self, line: &str) {
        self.transcript += &format!("> {line}\n");
        self.out.write_all(format!("{line}\r\n").as_bytes()).unwrap();
    }

    /// Hears up to a line that begins so.
    fn hear(&mut self, last: &str) -> &mut Client {
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line);
            assert!(matches!(read, Ok(1..)), "{read:?} before {last:?}:\n{}", self.transcript);
            // A prompt has no line end.
            let line = line.trim_start_matches("ENTER PASSWORD:");
            self.transcript += &without_time_and_numbers(line.trim_end());
            self.transcript += "\n";
            if line.starts_with(last) {
                return self;
            }
        }
    }

    fn ask(&mut self, line: &str, last: &str) -> &mut Client {
        self.say(line);
        self.hear(last)
    }
}

/// Without what differs from run to run.
fn without_time_and_numbers(line: &str) -> String {
    let digits = |c: char| c.is_ascii_digit();
    let is_time = |word: &str| word.len() == 10 && word.chars().all(digits);
    let words: Vec<&str> = line
        .split_inclusive([',', ':'])
        .map(|word| if is_time(word.trim_end_matches([',', ':'])) { "TIME," } else { word })
        .collect();
    let line = words.concat();
    let counts = ["bytes,", "Updated,", "pid=", "bytesin=", ">BYTECOUNT:"];
    match counts.iter().find_map(|before| Some(line.find(before)? + before.len())) {
        Some(end) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Whatever is in the way of a whole life: hold, states, statistics, signals.
fn life(client: &mut Client) {
    client.say("secret words");
    client.hear("SUCCESS: password").hear(">INFO").hear(">HOLD");
    client.ask("hold", "SUCCESS").ask("state", "END").ask("state on", "SUCCESS").ask("hold release", "SUCCESS");
    while !client.transcript.contains("CONNECTED,SUCCESS") {
        client.hear(">STATE");
    }
    client.ask("status", "END").ask("load-stats", "SUCCESS").ask("pid", "SUCCESS").ask("verb", "SUCCESS");
    client.ask("bytecount 1", "SUCCESS").hear(">BYTECOUNT").ask("bytecount 0", "SUCCESS");
    client.ask("mute 7", "SUCCESS").ask("mute", "SUCCESS").ask("mute 0", "SUCCESS");
    client.ask("signal SIGFOO", "ERROR").ask("frobnicate", "ERROR").ask("needok x ok", "ERROR");
    client.ask("hold off", "SUCCESS").ask("signal SIGUSR1", "SUCCESS").hear(">STATE");
    while client.transcript.matches("CONNECTED,SUCCESS").count() < 2 {
        client.hear(">STATE");
    }
    client.ask("signal SIGTERM", "SUCCESS").hear(">STATE");
}

#[test]
fn a_client_of_the_socket_file_hears_what_openvpns_hears() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        let password = ends.folder.join("password");
        fs::write(&password, "secret words\n").unwrap();
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
        let configuration = format!("{END}ping 1\nmanagement socket unix password\nmanagement-hold\n");
        let heard = [Kind::OpenVpn, Kind::Meshtun].map(|kind| {
            let mut running = ends.start(kind, &configuration);
            let mut client = Client::unix(&ends.folder.join("socket"));
            life(&mut client);
            running.ends_with(0);
            client.transcript
        });
        assert_eq!(heard[1], heard[0], "left: meshtun, right: openvpn");
    });
}

#[test]
fn the_socket_file_lets_in_the_user_that_it_is_for_and_says_who_was_not() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        ends.open_to_all();
        let configuration =
            format!("{END}ping 1\nmanagement socket unix\nmanagement-client-user nobody\nmanagement-signal\n");
        let mut running = ends.start(Kind::Meshtun, &configuration);
        running.wait_for(COMPLETED, 1);
        let socket = ends.folder.join("socket");
        let mut nothing = String::new();
        UnixStream::connect(&socket).unwrap().read_to_string(&mut nothing).unwrap();
        assert_eq!(nothing, "");
        running
            .wait_for("client connection rejected -- UID of socket peer (0) doesn't match required value (65534)", 1);
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "socat", "-T", "20", "-"]);
        command.arg(format!("UNIX-CONNECT:{}", socket.display()));
        let pipe = fs::File::open({
            let path = ends.folder.join("said");
            fs::write(&path, "pid\nexit\n").unwrap();
            path
        });
        command.stdin(pipe.unwrap());
        let answered = output(&ends.left, command);
        let answered = String::from_utf8_lossy(&answered.stdout).into_owned();
        assert!(answered.contains(&format!("SUCCESS: pid={}", running.child.id())), "{answered}");
        // Whoever commands it has gone.
        running.wait_for("SIGUSR1[soft,management-disconnect] received, process restarting", 1);
        running.wait_for(COMPLETED, 2);
        running.end();
        assert!(!socket.exists());
    });
}

#[test]
fn over_tcp_a_client_has_the_log_and_throws_signals() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        let configuration = format!("{END}ping 1\nmanagement 127.0.0.1 7505\nmanagement-log-cache 20\n");
        ends.left.set_up("lo", true).unwrap();
        for kind in [Kind::OpenVpn, Kind::Meshtun] {
            let mut running = ends.start(kind, &configuration);
            running.wait_for(COMPLETED, 1);
            let stream = ends.left.run(|| TcpStream::connect(("127.0.0.1", 7505)).unwrap()).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut client = Client::new(Box::new(stream.try_clone().unwrap()), Box::new(stream));
            client.hear(">INFO").ask("log 1", "END").ask("log on all", "SUCCESS").hear("END");
            assert!(client.transcript.contains(COMPLETED), "{kind:?}: {}", client.transcript);
            client.ask("signal SIGHUP", "SUCCESS").hear(">LOG:");
            running.wait_for(COMPLETED, 2);
            while !client.transcript.contains("SIGHUP[hard,] received, process restarting") {
                client.hear(">LOG:");
            }
            running.signal(Signal::Terminate);
            running.ends_with(0);
        }
    });
}
