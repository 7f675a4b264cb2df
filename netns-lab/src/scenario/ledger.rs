//! Whether every message can be accounted for: what a gateway sealed is what came to the underlay, and what the underlay
//! delivered is what the other gateway opened or dropped for a reason.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::ScenarioError;
use crate::faults::{Counts, Key};

/// A direction of a channel: from which gateway to which, counted from 0, and the channel.
pub(super) type Direction = (usize, usize, u16);

/// What dropped a datagram that came, before it was known to be authentic.
const UNREAD: &[&str] =
    &["malformed", "truncated", "unknown-session", "forged", "replayed", "expired", "receive-buffer-full"];

/// How long a moment is waited for in which nothing of a direction is under way.
const PATIENCE: Duration = Duration::from_secs(60);

/// Transport messages of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Sealed by the sender.
    pub(super) sealed: u64,
    /// Come to the underlay, and what became of them there.
    pub(super) underlay: Counts,
    /// Opened or dropped by the receiver.
    pub(super) taken: u64,
    /// Damaged handshake messages, which the receiver counts among what it drops.
    pub(super) damaged: u64,
}

/// Every direction's entry at a moment in which nothing of it was under way.
pub(super) type Ledger = BTreeMap<Direction, Entry>;

/// What can be asked for the entries.
pub(super) trait Books {
    /// What each gateway says of itself (`status --json`).
    fn statuses(&mut self) -> Result<Vec<Value>, ScenarioError>;
    /// What the underlay counted.
    fn underlay(&self) -> Vec<(Key, Counts)>;
    /// The port at which a direction's datagrams arrive.
    fn port(&self, direction: Direction) -> u16;
}

/// Waits until nothing sends but probes, and reads each direction's entry at a moment in which that is still.
///
/// # Errors
/// What the gateways say when they are asked; directions that are never still are left out.
pub(super) fn read(books: &mut impl Books) -> Result<Ledger, ScenarioError> {
    let (mut ledger, begun) = (Ledger::new(), Instant::now());
    loop {
        let before = sides(&books.statuses()?);
        let underlay = books.underlay();
        let after = sides(&books.statuses()?);
        let still = before.iter().filter(|(direction, sides)| after.get(*direction) == Some(*sides));
        for (direction, [sealed, taken]) in still {
            let (from, to, _) = *direction;
            let port = Some(books.port(*direction));
            let of = |handshake| {
                let key = Key { from, to, port, handshake };
                underlay.iter().find(|(other, _)| *other == key).map(|(_, counts)| *counts).unwrap_or_default()
            };
            let counts = of(false);
            if counts.under_way() == 0 {
                let entry = Entry { sealed: *sealed, underlay: counts, taken: *taken, damaged: of(true).corrupted };
                ledger.entry(*direction).or_insert(entry);
            }
        }
        if ledger.len() == before.len() || begun.elapsed() > PATIENCE {
            return Ok(ledger);
        }
        thread::sleep(Duration::from_millis(7));
    }
}

/// What does not add up between two moments, in words, and how many messages that is.
pub(super) fn compare(begin: &Ledger, end: &Ledger) -> (u64, Vec<String>) {
    let (mut missing, mut words) = (0, Vec::new());
    for (direction, end) in end {
        let Some(begin) = begin.get(direction) else { continue };
        let (from, to, channel) = *direction;
        let what = format!("g{}→g{} channel {channel}", from + 1, to + 1);
        let [sealed, sent] = [end.sealed - begin.sealed, end.underlay.sent - begin.underlay.sent];
        if sealed != sent {
            missing += sealed.abs_diff(sent);
            words.push(format!("{what}: {sealed} messages were sealed, {sent} came to the underlay"));
        }
        let delivered = end.underlay.delivered - begin.underlay.delivered;
        let taken = end.taken - begin.taken;
        if !(delivered..=delivered + (end.damaged - begin.damaged)).contains(&taken) {
            missing += delivered.abs_diff(taken);
            words.push(format!("{what}: {delivered} messages were delivered, {taken} were opened or dropped"));
        }
    }
    let lost = begin.keys().chain(end.keys()).filter(|one| !(begin.contains_key(one) && end.contains_key(one))).count();
    if lost > 0 || end.is_empty() {
        missing += 1;
        words.push(format!("{lost} directions were never still, or have gone"));
    }
    (missing, words)
}

/// Of each direction: sealed by its sender, taken by its receiver.
fn sides(statuses: &[Value]) -> BTreeMap<Direction, [u64; 2]> {
    let names: Vec<_> = statuses.iter().map(|status| status["gateway"]["name"].as_str().unwrap_or_default()).collect();
    let mut sides: BTreeMap<Direction, [u64; 2]> = BTreeMap::new();
    for (here, status) in statuses.iter().enumerate() {
        for link in status["links"].as_array().into_iter().flatten() {
            let Some(there) = names.iter().position(|name| link["peer"] == *name) else { continue };
            for channel in link["channels"].as_array().into_iter().flatten() {
                let number = channel["channel"].as_u64().and_then(|number| u16::try_from(number).ok()).unwrap_or(0);
                let count = |key: &str| channel[key].as_u64().unwrap_or(0);
                let unread = UNREAD.iter().filter_map(|reason| channel["dropped"][reason].as_u64()).sum::<u64>();
                sides.entry((here, there, number)).or_default()[0] = count("tx_messages");
                sides.entry((there, here, number)).or_default()[1] = count("rx_messages") + unread;
            }
        }
    }
    sides
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(sealed: u64, sent: u64, delivered: u64, taken: u64) -> Entry {
        Entry { sealed, underlay: Counts { sent, delivered, ..Counts::default() }, taken, damaged: 0 }
    }

    fn ledger(entry: Entry) -> Ledger {
        Ledger::from([((0, 1, 2), entry)])
    }

    #[test]
    fn both_gateways_and_the_underlay_must_agree_on_what_was_added() {
        let begin = ledger(entry(10, 5, 4, 3));
        assert_eq!(compare(&begin, &ledger(entry(110, 105, 94, 93))), (0, Vec::new()));
        let (missing, words) = compare(&begin, &ledger(entry(110, 104, 94, 91)));
        assert_eq!(missing, 3);
        assert_eq!(words[0], "g1→g2 channel 2: 100 messages were sealed, 99 came to the underlay");
        assert_eq!(words[1], "g1→g2 channel 2: 90 messages were delivered, 88 were opened or dropped");
        assert_eq!(compare(&begin, &Ledger::new()).0, 1);
    }

    #[test]
    fn what_was_dropped_unread_is_taken_too() {
        let channel = |tx, rx, dropped| json!({"channel": 1, "tx_messages": tx, "rx_messages": rx, "dropped": dropped});
        let status = |name, peer, channel: Value| json!({"gateway": {"name": name}, "links": [{"name": "l", "peer": peer, "channels": [channel]}]});
        let one = status("g1", "g2", channel(10, 7, json!({"forged": 2, "replayed": 1, "bad-source": 50})));
        let two = status("g2", "g1", channel(11, 9, json!({})));
        let sides = sides(&[one, two]);
        assert_eq!(sides, BTreeMap::from([((0, 1, 1), [10, 9]), ((1, 0, 1), [11, 10])]));
    }
}
