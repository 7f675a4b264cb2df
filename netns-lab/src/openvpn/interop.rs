//! All cases of the matrix, with each pair of programs: `netns-lab run openvpn-interop`.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use serde_json::json;

use super::{
    matrix::{self, Case},
    play::{Played, mss, play},
    process::Process,
    program::{Kind, Pair, Programs},
};
use crate::{
    program::Program,
    scenario::{Figures, Outcome, Run},
};

/// Its name, beside the other scenarios.
pub const NAME: &str = "openvpn-interop";

/// The cases.
pub const MATRIX: &str = include_str!("../../openvpn/interop.toml");

/// Cases that are played beside each other: they wait most of the time.
const BESIDE: usize = 8;

/// How it is played.
pub struct Options<'a> {
    /// The meshtun program.
    pub meshtun: &'a Program,
    /// Only these pairs, by name; all if there are none.
    pub only: &'a [String],
    /// Only cases whose name has this in it.
    pub case: Option<&'a str>,
    /// For how long the case that goes on is to go on.
    pub minutes: Option<u32>,
    /// Told what happens, line by line.
    pub narrate: &'a dyn Fn(&str),
}

/// What it shows.
///
/// # Errors
/// What is wrong with the built-in matrix.
pub fn about() -> Result<String, String> {
    matrix::read(MATRIX).map(|(about, _)| about)
}

/// Plays it.
///
/// # Errors
/// A pair that is not known, with those that are.
pub fn run(options: &Options<'_>) -> Result<Outcome, String> {
    let names: Vec<_> = Pair::ALL.iter().map(Pair::to_string).collect();
    if let Some(stranger) = options.only.iter().find(|name| !names.contains(name)) {
        return Err(format!("{NAME} has no run {stranger:?}: it has {}", names.join(", ")));
    }
    let (_, cases) = matrix::read(MATRIX)?;
    let mut cases: Vec<_> =
        cases.into_iter().filter(|case| options.case.is_none_or(|part| case.name.contains(part))).collect();
    if cases.is_empty() {
        return Err(format!("no case of {NAME} has {:?} in its name", options.case.unwrap_or_default()));
    }
    if let Some(minutes) = options.minutes {
        cases.iter_mut().filter(|case| case.seconds > 0).for_each(|case| case.seconds = 60 * minutes);
    }
    let begun = Instant::now();
    let wanted = |pair: &Pair| options.only.is_empty() || options.only.contains(&pair.to_string());
    let programs = Programs::new(options.meshtun);
    let mut reference = BTreeMap::new();
    let runs =
        Pair::ALL.into_iter().filter(wanted).map(|pair| run_pair(pair, &cases, &programs, &mut reference, options));
    let runs = runs.collect();
    let seconds = (begun.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    Ok(Outcome { scenario: NAME.into(), seed: 0, seconds, runs })
}

/// Plays all cases with one pair. The segment sizes of the reference are those that the others are compared with.
fn run_pair(
    pair: Pair,
    cases: &[Case],
    programs: &Programs,
    reference: &mut BTreeMap<String, u64>,
    options: &Options<'_>,
) -> Run {
    let mut run = Run { name: pair.to_string(), figures: Figures::new(), phases: Vec::new(), failed: Vec::new() };
    (options.narrate)(&format!("── {NAME}: {pair} ──"));
    let missing = [Kind::OpenVpn, Kind::Meshtun].into_iter().filter(|kind| pair.has(*kind) || *kind == Kind::OpenVpn);
    run.failed.extend(missing.filter_map(|kind| programs.missing(kind)));
    if !run.failed.is_empty() {
        run.failed.iter().for_each(|what| (options.narrate)(&format!("NOT PASSED: {what}")));
        return run;
    }
    let (cases, skipped): (Vec<_>, Vec<_>) = cases.iter().partition(|case| skip(case, programs).is_none());
    for case in &skipped {
        let why = skip(case, programs).unwrap_or_default();
        (options.narrate)(&format!("skipped: {}: {why}", case.name));
    }
    let played = play_all(&cases, pair, programs, reference, options);
    let passed = played.iter().filter(|(_, played)| played.failed.is_empty()).count();
    run.figures.insert("cases".into(), cases.len().into());
    run.figures.insert("passed".into(), passed.into());
    run.figures.insert("skipped".into(), json!(skipped.iter().map(|case| &case.name).collect::<Vec<_>>()));
    for (name, played) in played {
        if let Some(size) = mss(&played).filter(|_| pair == Pair::REFERENCE) {
            reference.insert(name.clone(), size);
        }
        run.failed.extend(played.failed.iter().map(|what| format!("{name}: {what}")));
        run.phases.push((name, played.figures));
    }
    (options.narrate)(&format!("{pair}: {passed} of {} cases passed", cases.len()));
    run
}

/// Plays the cases, several at a time, and gives what came of them in their order.
fn play_all(
    cases: &[&Case],
    pair: Pair,
    programs: &Programs,
    reference: &BTreeMap<String, u64>,
    options: &Options<'_>,
) -> Vec<(String, Played)> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let (told, tell) = std::sync::mpsc::channel();
    let (told, next, done_ref) = (Mutex::new(told), &next, &done);
    thread::scope(|scope| {
        let told = &told;
        for _ in 0..BESIDE.min(cases.len()) {
            scope.spawn(move || {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut played = play(case, pair, programs);
                    compare(&mut played, reference.get(&case.name).copied());
                    let words = words(case, &played);
                    let mut done = done_ref.lock().unwrap_or_else(PoisonError::into_inner);
                    let place = cases.iter().position(|other| other.name == case.name);
                    done.push((place, case.name.clone(), played));
                    // The receiver waits for as long as any case is played.
                    let _heard = told.lock().unwrap_or_else(PoisonError::into_inner).send(words);
                }
            });
        }
        for words in tell.iter().take(cases.len()) {
            (options.narrate)(&words);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, ..)| *place);
    done.into_iter().map(|(_, name, played)| (name, played)).collect()
}

/// Segments must be as long as between two of OpenVPN.
fn compare(played: &mut Played, reference: Option<u64>) {
    if let (Some(expected), Some(size)) = (reference, mss(played))
        && size != expected
    {
        played.failed.push(format!("TCP has segments of {size} bytes, and {expected} between two of OpenVPN"));
    }
}

fn words(case: &Case, played: &Played) -> String {
    let figures: Vec<_> = played.figures.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let verdict = if played.failed.is_empty() { "passed    " } else { "NOT PASSED" };
    let mut words = format!("{verdict} {:<44} {}", case.name, figures.join(", "));
    for what in &played.failed {
        words += &format!("\n           {}", what.replace('\n', "\n           "));
    }
    words
}

/// Why a case cannot be played here.
fn skip(case: &Case, programs: &Programs) -> Option<String> {
    if case.turns_clocks() && !Process::can_turn_clocks() {
        return Some("libfaketime is not there, which turns clocks (Debian's package faketime)".into());
    }
    let unknown = case.cipher != "none" && !programs.knows_cipher(&case.cipher);
    unknown.then(|| format!("OpenVPN's library has no {}", case.cipher))
}
