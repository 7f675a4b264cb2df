//! Random faults, by a seed: on the way between the gateways, and to their programs, devices, addresses and routes.

use std::{
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};

use super::{
    ScenarioError,
    action::{Chaos, Place, Weather},
    stage::Stage,
};

/// What ends a fault.
enum Undo {
    Path(Place),
    Block(Place),
    Start(usize),
    Command(usize, String),
    Meshtun(usize, String),
}

/// A fault that stays for a while.
struct Staying {
    until: Instant,
    /// The gateway that it concerns; nothing else is done to that one meanwhile.
    gateway: Option<usize>,
    undo: Undo,
}

/// A run of random faults.
struct Storm<'a> {
    stage: &'a mut Stage,
    chaos: &'a Chaos,
    narrate: &'a dyn Fn(&str),
    begun: Instant,
    staying: Vec<Staying>,
    faults: u64,
}

/// Goes on for so long, then ends every fault. Gives how many there were.
pub(super) fn rage(
    stage: &mut Stage,
    chaos: &Chaos,
    lasts: Duration,
    rng: &mut StdRng,
    narrate: &dyn Fn(&str),
) -> Result<u64, ScenarioError> {
    let begun = Instant::now();
    let mut storm = Storm { stage, chaos, narrate, begun, staying: Vec::new(), faults: 0 };
    let mut next = begun;
    while begun.elapsed() < lasts {
        storm.end(|staying| staying.until <= Instant::now())?;
        if next <= Instant::now() {
            storm.strike(rng)?;
            next = Instant::now() + chaos.every.mul_f64(rng.random_range(0.3..1.7));
        }
        thread::sleep(Duration::from_millis(20));
    }
    storm.end(|_| true)?;
    Ok(storm.faults)
}

impl Storm<'_> {
    /// One more fault.
    fn strike(&mut self, rng: &mut StdRng) -> Result<(), ScenarioError> {
        let lasts = self.chaos.longest.mul_f64(rng.random_range(0.1..1.0));
        self.faults += 1;
        if self.chaos.only_paths || rng.random_bool(0.6) {
            return self.strike_path(rng, lasts);
        }
        let free: Vec<_> = (0..self.stage.topology.sites.len())
            .filter(|at| self.staying.iter().all(|staying| staying.gateway != Some(*at)))
            .collect();
        // Chosen before it is known whether one is free, so that the seed alone decides.
        let kind = rng.random_range(0..11);
        let Some(at) = free.choose(rng).copied() else { return Ok(()) };
        self.strike_gateway(rng, at, kind, lasts)
    }

    fn strike_path(&mut self, rng: &mut StdRng, lasts: Duration) -> Result<(), ScenarioError> {
        let sites = self.stage.topology.sites.len();
        let from = rng.random_range(0..sites);
        let to = (from + rng.random_range(1..sites)) % sites;
        let channel = rng.random_range(0..self.stage.channels());
        let one_channel = Place { channels: Some(vec![channel]), ways: vec![(from, to)] };
        let both_ways = Place { channels: Some(vec![channel]), ways: vec![(from, to), (to, from)] };
        let everything = Place { channels: None, ways: vec![(from, to), (to, from)] };
        let ms = |rng: &mut StdRng, most: u64| Duration::from_millis(rng.random_range(1..=most));
        let mut weather = Weather::fair();
        let (place, what) = match rng.random_range(0..9) {
            0 => {
                weather.loss = rng.random_range(0.01..0.3);
                (one_channel, "loses packets one way")
            }
            1 => {
                (weather.loss, weather.burst) = (rng.random_range(0.01..0.2), rng.random_range(5.0..50.0));
                (both_ways, "loses bursts of packets")
            }
            2 => {
                (weather.delay, weather.jitter) = (ms(rng, 80), ms(rng, 40));
                (both_ways, "is slow and jitters")
            }
            3 => {
                (weather.reorder, weather.delay) = (rng.random_range(0.01..0.3), ms(rng, 5));
                (one_channel, "reorders")
            }
            4 => {
                weather.duplicate = rng.random_range(0.05..0.5);
                (one_channel, "doubles packets")
            }
            5 => {
                weather.corrupt = rng.random_range(0.01..0.2);
                (one_channel, "damages packets")
            }
            6 => {
                weather.bits_per_second = Some(rng.random_range(20_000..400_000));
                weather.queue = rng.random_range(5_000..50_000);
                (both_ways, "is narrow")
            }
            7 => return self.strike_block(if rng.random_bool(0.5) { one_channel } else { both_ways }, lasts),
            _ => return self.strike_block(everything, lasts),
        };
        self.say(&format!("{} {what} for {:.1} s", place.words(), lasts.as_secs_f64()));
        self.stage.path(&place, &weather)?;
        self.stay(lasts, None, Undo::Path(place));
        Ok(())
    }

    fn strike_block(&mut self, place: Place, lasts: Duration) -> Result<(), ScenarioError> {
        self.say(&format!("{} is blocked for {:.1} s", place.words(), lasts.as_secs_f64()));
        self.stage.block(&place, true)?;
        self.stay(lasts, None, Undo::Block(place));
        Ok(())
    }

    fn strike_gateway(
        &mut self,
        rng: &mut StdRng,
        at: usize,
        kind: usize,
        lasts: Duration,
    ) -> Result<(), ScenarioError> {
        let (name, seconds) = (format!("g{}", at + 1), lasts.as_secs_f64());
        let channel = rng.random_range(0..self.stage.channels());
        let (link, device) = self.stage.some_device(at, channel);
        let underlay = self.stage.underlay_address(at);
        let (say, undo) = match kind {
            0 | 1 => {
                self.stage.kill(at)?;
                (format!("{name} is killed, and starts after {seconds:.1} s"), Some(Undo::Start(at)))
            }
            2 => {
                self.stage.stop(at)?;
                (format!("{name} is stopped, and starts after {seconds:.1} s"), Some(Undo::Start(at)))
            }
            3 => {
                self.stage.kill(at)?;
                self.stage.start(at)?;
                (format!("{name} is killed and starts at once"), None)
            }
            4 => {
                self.stage.command(at, &format!("ip link delete {device}"), true)?;
                (format!("{name} loses the device {device}"), None)
            }
            5 => {
                self.stage.command(at, &format!("ip address delete {underlay} dev underlay"), false)?;
                let undo = Undo::Command(at, format!("ip address add {underlay} dev underlay"));
                (format!("{name} loses its underlay address for {seconds:.1} s"), Some(undo))
            }
            6 => {
                self.stage.command(at, "ip link set underlay down", false)?;
                let undo = Undo::Command(at, "ip link set underlay up".into());
                (format!("{name}'s underlay device is down for {seconds:.1} s"), Some(undo))
            }
            7 => {
                self.stage.command(at, &format!("ip link set {device} down"), true)?;
                let undo = Undo::Command(at, format!("ip link set {device} up"));
                (format!("{name}'s device {device} is set down for {seconds:.1} s"), Some(undo))
            }
            8 => {
                self.stage.meshtun(at, &format!("down {link}/{channel}"), false)?;
                let undo = Undo::Meshtun(at, format!("up {link}/{channel}"));
                (format!("{name} takes {link}/{channel} out for {seconds:.1} s"), Some(undo))
            }
            9 => {
                self.stage.reload(at, None, &Vec::new())?;
                (format!("{name} reads its file again"), None)
            }
            _ => {
                self.stage.command(at, &format!("ip route delete {}", self.stage.some_network(at)), true)?;
                (format!("{name} loses a route"), None)
            }
        };
        self.say(&say);
        if let Some(undo) = undo {
            self.stay(lasts, Some(at), undo);
        }
        Ok(())
    }

    fn stay(&mut self, lasts: Duration, gateway: Option<usize>, undo: Undo) {
        self.staying.push(Staying { until: Instant::now() + lasts, gateway, undo });
    }

    /// Ends the faults of which that holds.
    fn end(&mut self, over: impl Fn(&Staying) -> bool) -> Result<(), ScenarioError> {
        let (over, stay): (Vec<_>, Vec<_>) = self.staying.drain(..).partition(|staying| over(staying));
        self.staying = stay;
        for staying in over {
            match staying.undo {
                Undo::Path(place) => self.stage.clear(&place)?,
                Undo::Block(place) => self.stage.block(&place, false)?,
                Undo::Start(at) => self.stage.start(at)?,
                // The device may have gone meanwhile, and come back by itself.
                Undo::Command(at, command) => self.stage.command(at, &command, true)?,
                Undo::Meshtun(at, command) => self.stage.meshtun(at, &command, false)?,
            }
        }
        Ok(())
    }

    fn say(&self, what: &str) {
        (self.narrate)(&format!("           {:6.1} s {what}", self.begun.elapsed().as_secs_f64()));
    }
}
