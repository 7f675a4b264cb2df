//! What the programs logged: what they must have said, and what they must not.

use super::matrix::{Case, Event};

/// What each end says once it carries.
const WANTED: [&str; 2] = ["Peer Connection Initiated with", "Initialization Sequence Completed"];

/// What an end says when it does not get on with the other.
const COMPLAINTS: [&str; 13] = [
    "Authenticate/Decrypt packet error",
    "bad packet ID",
    "used inconsistently",
    "is present in local config",
    "is present in remote config",
    "failed to obtain options consistency info",
    "Incoming packet rejected",
    "FRAG_IN error",
    "FRAG TTL expired",
    "PID_ERR",
    "Bad LZO",
    "Bad compression stub",
    "Exiting due to fatal error",
];

/// Lines that are not as they should be, in words.
pub(super) fn judge(case: &Case, name: &str, log: &str) -> Vec<String> {
    let missing = WANTED.iter().filter(|wanted| !log.contains(**wanted));
    let missing = missing.map(|wanted| format!("{name} never said {wanted:?}"));
    let complaints = complaining(log).filter(|line| !is_forgiven(case, line)).take(3);
    missing.chain(complaints.map(|line| format!("{name}: {line}"))).collect()
}

/// Lines with which a program complains of the other end, a few of them if there are many.
pub(super) fn complaints(name: &str, log: &str) -> Vec<String> {
    complaining(log).take(3).map(|line| format!("{name}: {line}")).collect()
}

fn complaining(log: &str) -> impl Iterator<Item = &str> {
    log.lines().filter(|line| COMPLAINTS.iter().any(|words| line.contains(words)))
}

/// A peer whose clock went back is not believed; and one that moves is no stranger once it has been heard.
fn is_forgiven(case: &Case, line: &str) -> bool {
    let clock = matches!(case.event, Event::ClockBackB | Event::ClockBackRestartB);
    clock && ["packet ID", "PID_ERR", "packet error"].iter().any(|words| line.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(event: Event) -> Case {
        let (_, cases) = super::super::matrix::read(super::super::interop::MATRIX).unwrap();
        Case { event, ..cases[0].clone() }
    }

    #[test]
    fn a_log_that_complains_or_lacks_something_is_judged() {
        let good = "1 Peer Connection Initiated with [AF_INET]1.2.3.4:1194\n2 Initialization Sequence Completed\n";
        assert_eq!(judge(&case(Event::None), "a", good), [""; 0]);
        assert_eq!(judge(&case(Event::None), "a", "").len(), 2);
        let replay = "3 Authenticate/Decrypt packet error: bad packet ID (may be a replay): [ #1 / time = (5) ]\n";
        let both = format!("{good}{replay}");
        assert_eq!(judge(&case(Event::None), "a", &both), [format!("a: {}", replay.trim())]);
        assert_eq!(judge(&case(Event::ClockBackRestartB), "a", &both), [""; 0]);
    }
}
