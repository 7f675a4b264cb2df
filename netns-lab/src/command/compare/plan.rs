//! What is measured, in which order.

use std::time::Duration;

use super::{
    measure::Test,
    tool::{Cipher, Path, Subject, Tool, Underlay},
};

/// What a person asked for; `None` where nothing was said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    /// The named subset that ends within minutes.
    pub(crate) quick: bool,
    /// Which tools.
    pub(crate) tools: Option<Vec<Tool>>,
    /// How many channels, for tools that have several.
    pub(crate) channels: Option<Vec<u16>>,
    /// Which paths.
    pub(crate) paths: Option<Vec<Path>>,
    /// Which underlays.
    pub(crate) underlays: Option<Vec<Underlay>>,
    /// Which tests.
    pub(crate) tests: Option<Vec<Test>>,
}

/// One start of one subject, and what is measured on it in turn.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Stop {
    /// The subject.
    pub(crate) subject: Subject,
    /// Its underlay.
    pub(crate) underlay: Underlay,
    /// What is measured.
    pub(crate) cells: Vec<(Path, Test)>,
}

/// About how long it takes to start a subject and to end it.
pub(crate) const STARTING: Duration = Duration::from_millis(1500);

/// What is measured wherever not everything is.
const FEW: [Test; 4] = [
    Test::Tcp { streams: 1, reverse: false },
    Test::Tcp { streams: 16, reverse: false },
    Test::RttLoaded { same_channel: true },
    Test::Memory,
];

/// Beside traffic on other channels: only between the gateways it is known beforehand which flow takes which channel. What
/// hosts of this machine send carries a random hash, which the gateway's kernel prefers to the ports.
const OTHER_CHANNEL: Test = Test::RttLoaded { same_channel: false };

impl Wishes {
    /// The tools that are asked for.
    pub(crate) fn tools(&self) -> Vec<Tool> {
        let few = || vec![Tool::Bare, Tool::OpenVpn, Tool::GotaTun, Tool::Meshtun];
        self.tools.clone().unwrap_or_else(|| if self.quick { few() } else { Tool::USUAL.to_vec() })
    }

    /// What one round measures, as long as each of these tools can be had.
    pub(crate) fn round(&self, have: impl Fn(Tool) -> bool) -> Vec<Stop> {
        let tools = Tool::ALL.into_iter().filter(|tool| self.tools().contains(tool) && have(*tool));
        let subjects: Vec<_> = tools.flat_map(|tool| self.subjects(tool)).collect();
        let stop = |underlay, subject| Stop { subject, underlay, cells: self.cells(subject, underlay) };
        let stops = self.underlays().into_iter().flat_map(|underlay| {
            let stop = &stop;
            subjects.iter().map(move |subject| stop(underlay, *subject))
        });
        stops.filter(|stop| !stop.cells.is_empty()).collect()
    }

    fn subjects(&self, tool: Tool) -> Vec<Subject> {
        let (ciphers, channels): (&[Cipher], &[u16]) = match tool {
            Tool::Bare => (&[Cipher::None], &[1]),
            Tool::OpenVpn if self.quick => (&[Cipher::StaticAes256Cbc], &[4]),
            Tool::OpenVpn => (&[Cipher::StaticAes256Cbc, Cipher::TlsAes256Gcm], &[1, 4]),
            Tool::MeshtunOpenVpn => (&[Cipher::StaticAes256Cbc], &[1, 4]),
            Tool::WireguardGo | Tool::BoringTun | Tool::GotaTun => (&[Cipher::ChaCha20Poly1305], &[1]),
            Tool::Meshtun if self.quick => (&[Cipher::ChaCha20Poly1305, Cipher::Aes256Gcm], &[4]),
            Tool::Meshtun => (&[Cipher::ChaCha20Poly1305, Cipher::Aes256Gcm], &[1, 4]),
        };
        let several = matches!(tool, Tool::OpenVpn | Tool::Meshtun | Tool::MeshtunOpenVpn);
        let channels = self.channels.as_deref().filter(|_| several).unwrap_or(channels);
        let subject = |cipher, channels| Subject { tool, channels, cipher };
        ciphers.iter().flat_map(|cipher| channels.iter().map(|channels| subject(*cipher, *channels))).collect()
    }

    fn underlays(&self) -> Vec<Underlay> {
        let all = if self.quick { vec![Underlay::Trains] } else { vec![Underlay::Trains, Underlay::Datagrams] };
        self.underlays.clone().unwrap_or(all)
    }

    /// Nobody asks how the gateways themselves fare without trains unless by name.
    fn paths(&self, underlay: Underlay) -> Vec<Path> {
        let routed_alone = self.quick || (underlay != Underlay::Trains && self.underlays.is_none());
        let all = if routed_alone { vec![Path::Routed] } else { vec![Path::Routed, Path::Gateway] };
        self.paths.clone().unwrap_or(all)
    }

    fn tests(&self, path: Path, underlay: Underlay) -> Vec<Test> {
        match (&self.tests, path, underlay) {
            (Some(tests), ..) => tests.clone(),
            (None, Path::Routed, Underlay::Trains) if !self.quick => {
                Test::ALL.iter().copied().filter(|test| *test != OTHER_CHANNEL).collect()
            }
            (None, Path::Gateway, Underlay::Trains) if !self.quick => FEW.into_iter().chain([OTHER_CHANNEL]).collect(),
            (None, ..) => FEW.to_vec(),
        }
    }

    fn cells(&self, subject: Subject, underlay: Underlay) -> Vec<(Path, Test)> {
        let all = self
            .paths(underlay)
            .into_iter()
            .flat_map(|path| self.tests(path, underlay).into_iter().map(move |test| (path, test)));
        let mut cells: Vec<_> = all.filter(|(_, test)| test.is_for(&subject)).collect();
        // What a process holds after all the rest is what it needs, and it is the same on every path.
        let memory = cells.iter().position(|(_, test)| *test == Test::Memory).map(|first| cells[first]);
        cells.retain(|(_, test)| *test != Test::Memory);
        cells.extend(memory);
        cells
    }
}

impl Stop {
    /// About how long it takes, step by step: starting and ending, then each test.
    pub(crate) fn steps(&self, seconds: Duration) -> impl Iterator<Item = Duration> {
        [STARTING].into_iter().chain(self.cells.iter().map(move |(_, test)| test.takes(seconds)))
    }
}

/// The stops of a round in an order of its own: begun at another place, so that nobody is always the first or the last.
pub(crate) fn rotated(stops: &[Stop], round: usize, rounds: usize) -> Vec<Stop> {
    let mut stops = stops.to_vec();
    let by = stops.len() * round / rounds.max(1);
    stops.rotate_left(by);
    stops
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECONDS: Duration = Duration::from_secs(4);

    fn total(stops: &[Stop], rounds: u32, seconds: Duration) -> Duration {
        rounds * stops.iter().flat_map(|stop| stop.steps(seconds)).sum::<Duration>()
    }

    #[test]
    fn the_quick_one_is_meant_to_end_within_six_minutes() {
        let stops = Wishes { quick: true, ..Wishes::default() }.round(|_| true);
        let subjects: Vec<_> = stops.iter().map(|stop| stop.subject.to_string()).collect();
        let expected = [
            "bare",
            "openvpn ×4 static-aes-256-cbc",
            "gotatun ×1 chacha20-poly1305",
            "meshtun ×4 chacha20-poly1305",
            "meshtun ×4 aes-256-gcm",
        ];
        assert_eq!(subjects, expected);
        let total = total(&stops, 3, SECONDS);
        assert!(total < Duration::from_secs(330), "{total:?}");
    }

    #[test]
    fn the_full_one_has_every_subject_and_is_meant_to_take_about_two_hours() {
        let stops = Wishes::default().round(|_| true);
        let subjects = stops.iter().filter(|stop| stop.underlay == Underlay::Trains).count();
        assert_eq!((subjects, stops.len()), (12, 24));
        let total = total(&stops, 3, Duration::from_secs(10));
        assert!(total > Duration::from_secs(3600) && total < Duration::from_secs(9000), "{total:?}");
    }

    #[test]
    fn a_tool_that_cannot_be_had_is_left_out() {
        let stops = Wishes { quick: true, ..Wishes::default() }.round(|tool| tool != Tool::GotaTun);
        assert_eq!(stops.len(), 4);
    }

    #[test]
    fn what_is_asked_for_by_name_is_measured_and_nothing_else() {
        let wishes = Wishes {
            tools: Some(vec![Tool::Meshtun]),
            channels: Some(vec![2]),
            paths: Some(vec![Path::Gateway]),
            underlays: Some(vec![Underlay::Datagrams]),
            tests: Some(vec![Test::Memory, Test::RttIdle]),
            ..Wishes::default()
        };
        let stops = wishes.round(|_| true);
        assert_eq!(stops.len(), 2);
        assert!(stops.iter().all(|stop| stop.subject.channels == 2));
        assert_eq!(stops[0].cells, [(Path::Gateway, Test::RttIdle), (Path::Gateway, Test::Memory)]);
    }

    #[test]
    fn memory_is_measured_once_and_last() {
        for stop in Wishes::default().round(|_| true) {
            let memory = stop.cells.iter().filter(|(_, test)| *test == Test::Memory).count();
            assert_eq!(memory, usize::from(stop.subject.tool != Tool::Bare));
            assert!(memory == 0 || stop.cells.last() == Some(&(Path::Routed, Test::Memory)));
        }
    }

    #[test]
    fn every_test_is_somewhere_in_the_full_one() {
        let stops = Wishes::default().round(|_| true);
        let measured = |test: &Test| stops.iter().any(|stop| stop.cells.iter().any(|(_, cell)| cell == test));
        assert!(Test::ALL.iter().all(measured));
    }

    #[test]
    fn each_round_begins_with_another_subject() {
        let stops = Wishes { quick: true, ..Wishes::default() }.round(|_| true);
        let firsts: Vec<_> = (0..3).map(|round| rotated(&stops, round, 3)[0].subject).collect();
        assert!(firsts[0] != firsts[1] && firsts[1] != firsts[2] && firsts[0] != firsts[2]);
    }
}
