//! What iperf3 says.

use anyhow::{Context as _, bail};
use serde_json::Value;

/// What came of a run, all streams together.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Outcome {
    /// Payload received.
    pub(super) bits_per_second: f64,
    /// Segments sent again by the end that sent.
    pub(super) retransmits: u64,
}

/// Reads iperf3's JSON.
///
/// # Errors
/// What iperf3 complains of; a report that is not understood.
pub(super) fn parse(text: &str) -> anyhow::Result<Outcome> {
    let report: Value = serde_json::from_str(text).with_context(|| format!("it wrote no JSON: {text:?}"))?;
    if let Some(error) = report["error"].as_str() {
        bail!("{error}");
    }
    let end = &report["end"];
    let bits_per_second = end["sum_received"]["bits_per_second"].as_f64().context("it tells of nothing received")?;
    // Linux counts them; the key is missing where a kernel does not.
    let retransmits = end["sum_sent"]["retransmits"].as_u64().unwrap_or_default();
    Ok(Outcome { bits_per_second, retransmits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_received_counts_and_not_what_was_sent() {
        let outcome = parse(include_str!("iperf-3.12.json")).unwrap();
        assert_eq!(outcome, Outcome { bits_per_second: 29_288_374_156.474_377, retransmits: 428 });
    }

    #[test]
    fn a_complaint_of_iperf3_is_the_error() {
        let text =
            r#"{"start":{"version":"iperf 3.12"},"intervals":[],"end":{},"error":"unable to connect to server"}"#;
        assert_eq!(parse(text).unwrap_err().to_string(), "unable to connect to server");
    }

    #[test]
    fn something_else_is_refused() {
        assert!(parse("iperf3: command not found").unwrap_err().to_string().contains("no JSON"));
        assert!(parse("{}").unwrap_err().to_string().contains("nothing received"));
    }
}
