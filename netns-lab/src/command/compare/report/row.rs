//! A figure over all rounds.

use serde::{Serialize, Serializer};

use super::{
    super::{
        measure::Figure,
        statistics::median,
        tool::{Path, Subject, Underlay},
    },
    Place,
    number::significant,
};

/// Digits that are kept for programs.
const DIGITS: i32 = 5;

/// One figure of one subject; its JSON has the keys of [`Record`].
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Row {
    pub(crate) subject: Subject,
    pub(crate) path: Path,
    pub(crate) underlay: Underlay,
    /// The figure's name: `tcp-16-reverse`.
    pub(crate) test: String,
    /// The median of the rounds.
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// The median of the rounds.
    pub(crate) cpu_seconds_per_gb: Option<f64>,
    /// How many rounds gave a value.
    pub(crate) rounds: usize,
}

/// Figures of rounds, as they come.
#[derive(Default)]
pub(crate) struct Samples(Vec<Sample>);

/// What the rounds so far gave of one figure.
struct Sample {
    subject: Subject,
    place: Place,
    test: String,
    unit: &'static str,
    values: Vec<f64>,
    costs: Vec<f64>,
}

impl Samples {
    /// One more round's.
    pub(crate) fn add(&mut self, subject: Subject, path: Path, underlay: Underlay, figure: &Figure) {
        let place = (path, underlay);
        let is_it = |sample: &Sample| (sample.subject, sample.place) == (subject, place) && sample.test == figure.test;
        let at = self.0.iter().position(is_it).unwrap_or_else(|| {
            let (test, unit) = (figure.test.clone(), figure.unit);
            self.0.push(Sample { subject, place, test, unit, values: Vec::new(), costs: Vec::new() });
            self.0.len() - 1
        });
        self.0[at].values.push(figure.value);
        self.0[at].costs.extend(figure.cpu_seconds_per_gb);
    }

    /// A row for each figure, those of a subject together, in the order in which they came first.
    pub(crate) fn rows(&self) -> Vec<Row> {
        self.0.iter().filter_map(Sample::row).collect()
    }
}

impl Sample {
    fn row(&self) -> Option<Row> {
        let (path, underlay) = self.place;
        Some(Row {
            subject: self.subject,
            path,
            underlay,
            test: self.test.clone(),
            value: median(&self.values)?,
            unit: self.unit,
            min: self.values.iter().copied().min_by(f64::total_cmp)?,
            max: self.values.iter().copied().max_by(f64::total_cmp)?,
            cpu_seconds_per_gb: median(&self.costs),
            rounds: self.values.len(),
        })
    }
}

impl Row {
    /// Where it was measured.
    pub(super) fn place(&self) -> Place {
        (self.path, self.underlay)
    }
}

/// A row in JSON.
#[derive(Serialize)]
struct Record<'a> {
    tool: &'static str,
    channels: u16,
    cipher: &'static str,
    path: &'static str,
    underlay: &'static str,
    test: &'a str,
    value: f64,
    unit: &'static str,
    min: f64,
    max: f64,
    cpu_seconds_per_gb: Option<f64>,
    rounds: usize,
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = Record {
            tool: self.subject.tool.name(),
            channels: self.subject.channels,
            cipher: self.subject.cipher.name(),
            path: self.path.name(),
            underlay: self.underlay.name(),
            test: &self.test,
            value: significant(self.value, DIGITS),
            unit: self.unit,
            min: significant(self.min, DIGITS),
            max: significant(self.max, DIGITS),
            cpu_seconds_per_gb: self.cpu_seconds_per_gb.map(|cost| significant(cost, DIGITS)),
            rounds: self.rounds,
        };
        record.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::compare::tool::{Cipher, Tool};

    const OPENVPN: Subject = Subject { tool: Tool::OpenVpn, channels: 4, cipher: Cipher::StaticAes256Cbc };

    fn figure(test: &str, value: f64, cpu_seconds_per_gb: Option<f64>) -> Figure {
        Figure { test: test.into(), value, unit: "Gb/s", cpu_seconds_per_gb, complaints: Vec::new(), notes: Vec::new() }
    }

    fn samples(figures: &[Figure]) -> Samples {
        let mut samples = Samples::default();
        figures.iter().for_each(|figure| samples.add(OPENVPN, Path::Routed, Underlay::Trains, figure));
        samples
    }

    #[test]
    fn a_row_is_the_median_of_the_rounds_between_least_and_most() {
        let rounds = [0.9, 0.7, 0.8].map(|value| figure("tcp-1", value, Some(20.0 * value)));
        let rows = samples(&rounds).rows();
        assert_eq!(rows.len(), 1);
        let Row { value, min, max, rounds, cpu_seconds_per_gb, .. } = rows[0];
        assert_eq!((value, min, max, rounds, cpu_seconds_per_gb), (0.8, 0.7, 0.9, 3, Some(16.0)));
    }

    #[test]
    fn another_path_underlay_subject_or_test_is_another_row() {
        let mut samples = samples(&[figure("tcp-1", 1.0, None), figure("tcp-16", 2.0, None)]);
        samples.add(OPENVPN, Path::Gateway, Underlay::Trains, &figure("tcp-1", 3.0, None));
        samples.add(OPENVPN, Path::Routed, Underlay::Datagrams, &figure("tcp-1", 4.0, None));
        let one = Subject { channels: 1, ..OPENVPN };
        samples.add(one, Path::Routed, Underlay::Trains, &figure("tcp-1", 5.0, None));
        samples.add(one, Path::Routed, Underlay::Trains, &figure("tcp-1", 7.0, None));
        let values: Vec<_> = samples.rows().iter().map(|row| row.value).collect();
        assert_eq!(values, [1.0, 2.0, 3.0, 4.0, 6.0]);
    }

    #[test]
    fn a_row_in_json_has_the_keys_that_are_documented() {
        let rows = samples(&[figure("tcp-1", 0.765_432_1, None)]).rows();
        let json = "{\"tool\":\"openvpn\",\"channels\":4,\"cipher\":\"static-aes-256-cbc\",\"path\":\"routed\",\
                    \"underlay\":\"trains\",\"test\":\"tcp-1\",\"value\":0.76543,\"unit\":\"Gb/s\",\"min\":0.76543,\
                    \"max\":0.76543,\"cpu_seconds_per_gb\":null,\"rounds\":1}";
        assert_eq!(serde_json::to_string(&rows[0]).unwrap(), json);
    }
}
