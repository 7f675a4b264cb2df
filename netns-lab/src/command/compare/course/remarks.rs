//! What a reader should know of a run: each thing once, however many rounds it showed in.

/// Remarks in the order in which they were first made.
#[derive(Default)]
pub(super) struct Remarks(Vec<Remark>);

struct Remark {
    /// What it is about.
    about: String,
    said: String,
    /// The rounds in which it was made.
    rounds: Vec<usize>,
}

impl Remarks {
    /// Adds one; what was said of the same thing before in the same words, though with other numbers, is one with it.
    pub(super) fn add(&mut self, round: usize, about: &str, said: &str) {
        match self.0.iter_mut().find(|old| old.about == about && words(&old.said) == words(said)) {
            Some(old) if old.rounds.contains(&round) => {}
            Some(old) => old.rounds.push(round),
            None => self.0.push(Remark { about: about.to_owned(), said: said.to_owned(), rounds: vec![round] }),
        }
    }

    /// A line each.
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.iter().map(Remark::line).collect()
    }
}

impl Remark {
    fn line(&self) -> String {
        let Remark { about, said, rounds } = self;
        let rounds: Vec<_> = rounds.iter().map(ToString::to_string).collect();
        let likewise = match &rounds[1..] {
            [] => String::new(),
            [other] => format!(", likewise in round {other}"),
            others => format!(", likewise in rounds {}", others.join(", ")),
        };
        format!("{about}: {said} (in round {}{likewise})", rounds[0])
    }
}

fn words(said: &str) -> String {
    said.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_in_every_round_is_told_once() {
        let mut remarks = Remarks::default();
        remarks.add(1, "bare: tcp-1", "195 datagrams were lost");
        remarks.add(1, "bare: tcp-1", "something else");
        remarks.add(2, "bare: tcp-16", "7 datagrams were lost");
        remarks.add(2, "bare: tcp-1", "7 datagrams were lost");
        remarks.add(3, "bare: tcp-1", "8 datagrams were lost");
        let expected = [
            "bare: tcp-1: 195 datagrams were lost (in round 1, likewise in rounds 2, 3)",
            "bare: tcp-1: something else (in round 1)",
            "bare: tcp-16: 7 datagrams were lost (in round 2)",
        ];
        assert_eq!(remarks.lines(), expected);
    }
}
