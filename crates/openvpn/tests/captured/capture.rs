//! A capture, and what it takes to open it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use meshtun_openvpn::{
    directive::read_arguments,
    key::StaticKey,
    occ::Message,
    options::{Options, Protocol},
    packet_id::Persisted,
    session::{self, Drop, Incoming, Kind, Outgoing, Start},
    tcp,
};

/// What a datagram was.
pub(crate) type Result = std::result::Result<(Kind, Vec<u8>), Drop>;

/// One of the two processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Left,
    Right,
}

impl Side {
    pub(crate) fn other(self) -> Side {
        match self {
            Side::Left => Side::Right,
            Side::Right => Side::Left,
        }
    }
}

pub(crate) struct Capture {
    name: String,
    left: Options,
    right: Options,
    /// In the order in which they passed.
    sent: Vec<(Side, Vec<u8>)>,
}

pub(crate) fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file)
}

/// The options of a command line.
pub(crate) fn options(arguments: &str) -> Options {
    let words: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
    let reading = read_arguments(&words, &mut |name| Err(io::Error::other(format!("{name} is not read here"))));
    let parsed = Options::read(&reading);
    assert!(!parsed.is_refused(), "{arguments}: {:?}", parsed.findings);
    parsed.options
}

impl Capture {
    pub(crate) fn names() -> Vec<String> {
        let files = fs::read_dir(golden("captures")).unwrap();
        let mut names: Vec<String> =
            files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        assert!(names.len() >= 15, "{names:?}");
        names
    }

    pub(crate) fn read(name: &str) -> Capture {
        let text = fs::read_to_string(golden(&format!("captures/{name}.txt"))).unwrap();
        let mut lines = text.lines();
        let mut arguments = |side| options(lines.next().and_then(|line| line.strip_prefix(side)).expect("the options"));
        let (left, right) = (arguments("left "), arguments("right "));
        let sent = lines.map(|line| match line.split_at(2) {
            ("> ", bytes) => (Side::Left, decoded(bytes)),
            ("< ", bytes) => (Side::Right, decoded(bytes)),
            _ => panic!("{name}: {line}"),
        });
        let capture = Capture { name: name.to_owned(), left, right, sent: sent.collect() };
        if capture.left.protocol == Protocol::Udp { capture } else { capture.out_of_streams() }
    }

    pub(crate) fn options(&self, side: Side) -> &Options {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }

    /// All datagrams, as the other side opens them.
    pub(crate) fn opened(&self) -> Vec<(Side, Result)> {
        let (mut of_left, mut of_right) = (self.opener(Side::Right), self.opener(Side::Left));
        let open = |(side, datagram): &(Side, Vec<u8>)| {
            let incoming = if *side == Side::Left { &mut of_left } else { &mut of_right };
            (*side, open(incoming, datagram.clone()))
        };
        self.sent.iter().map(open).collect()
    }

    /// The datagrams of one side, each with its payload.
    pub(crate) fn datagrams_of(&self, side: Side) -> Vec<(Vec<u8>, Vec<u8>)> {
        let opened = self.opened().into_iter().filter(|(of, _)| *of == side).map(|(_, opened)| opened.unwrap().1);
        let sent = self.sent.iter().filter(|(of, _)| *of == side).map(|(_, datagram)| datagram.clone());
        sent.zip(opened).collect()
    }

    pub(crate) fn sealer(&self, side: Side) -> Outgoing {
        self.session(side).0
    }

    /// What a message says must be what its sender's options say.
    pub(crate) fn judge(&self, side: Side, message: Message) {
        if message == Message::Exit {
            assert!(self.options(side).explicit_exit_notify.is_some(), "{}: a goodbye of {side:?}", self.name);
        }
    }

    fn opener(&self, side: Side) -> Incoming {
        self.session(side).1
    }

    fn session(&self, side: Side) -> (Outgoing, Incoming) {
        let options = self.options(side);
        let key = StaticKey::parse(&fs::read(golden("static.key")).unwrap()).unwrap();
        let keys = key.pair(options.key_direction, options.cipher, options.digest).unwrap();
        let protocol = options.protocol;
        let start = Start { protocol, is_ipv6: false, now: 1, persisted: Persisted::default(), seed: [0; 32] };
        session::begin(options, &keys, &start).unwrap()
    }

    /// Datagrams in place of pieces of streams.
    fn out_of_streams(self) -> Capture {
        let mut datagrams = Vec::new();
        let mut streams = [Vec::new(), Vec::new()];
        for (side, piece) in &self.sent {
            let stream = &mut streams[*side as usize];
            stream.extend(piece);
            while let Some((datagram, rest)) = tcp::split_first(stream, 2_000).unwrap() {
                datagrams.push((*side, datagram.to_vec()));
                *stream = rest.to_vec();
            }
        }
        assert!(streams.iter().all(Vec::is_empty), "{}: half a datagram at the end", self.name);
        Capture { sent: datagrams, ..self }
    }
}

fn open(incoming: &mut Incoming, mut datagram: Vec<u8>) -> Result {
    let opened = incoming.open(&mut datagram, 0)?;
    let bytes = if opened.is_assembled { incoming.assembled() } else { &mut datagram };
    Ok((opened.kind, bytes[opened.range].to_vec()))
}

fn decoded(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().map(|digit| digit.to_digit(16).expect("a hexadecimal digit") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
