//! What the demo found, for people and for programs.

use netns_lab::{load::TcpReport, watch};
use serde::Serialize;

use super::{Args, stage::Tally};
use crate::exit::Failure;

/// The demo's result; its JSON is one line with these keys.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    version: &'static str,
    cipher: String,
    flows: u16,
    seconds: f64,
    /// TCP payload, in 10⁹ bits a second.
    throughput_gbps: f64,
    /// Busy seconds of the whole machine, hosts and load included, for each 10⁹ bytes of payload.
    cpu_seconds_per_gb: f64,
    /// TCP segments that the hosts sent again.
    retransmitted: u64,
    /// Flows in which other bytes came out than went in.
    corrupt_flows: usize,
    /// The slowest handshake of a channel, in milliseconds.
    handshake_ms: f64,
    channels: Vec<Share>,
    /// Packets on the underlay that were not the link's datagrams.
    clear_packets_on_underlay: u64,
    /// The first of them, in words.
    clear: Vec<String>,
    /// Datagrams of the link that were searched for the payload.
    sampled_packets: u64,
    /// Of these, the ones that were no WireGuard messages, or showed the payload.
    suspicious_packets: u64,
}

/// What one channel carried during the load, as the first gateway counts it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Share {
    pub(super) device: String,
    /// Of the bytes of all channels, both ways; 0 to 1.
    pub(super) share: f64,
    /// Inner bytes from the first gateway to the second.
    pub(super) tx_bytes: u64,
    /// Inner bytes from the second to the first.
    pub(super) rx_bytes: u64,
    /// Packets that the channel's halves at either end dropped.
    pub(super) dropped: u64,
}

impl Share {
    /// Each channel's, in the order of their numbers, between two tallies.
    pub(super) fn all(before: &Tally, after: &Tally) -> Vec<Share> {
        let mut channels: Vec<_> = after.channels.iter().collect();
        channels.sort_by_key(|(_, count)| count.number);
        let mut shares: Vec<Share> = channels
            .into_iter()
            .map(|(device, after)| {
                let before = before.channels.get(device).copied().unwrap_or_default();
                Share {
                    device: device.clone(),
                    share: 0.0,
                    tx_bytes: after.tx_bytes.saturating_sub(before.tx_bytes),
                    rx_bytes: after.rx_bytes.saturating_sub(before.rx_bytes),
                    dropped: after.dropped.saturating_sub(before.dropped),
                }
            })
            .collect();
        let all: u64 = shares.iter().map(Share::bytes).sum();
        for share in &mut shares {
            share.share = round(share.bytes() as f64 / all.max(1) as f64);
        }
        shares
    }

    fn bytes(&self) -> u64 {
        self.tx_bytes + self.rx_bytes
    }
}

impl Report {
    pub(super) fn new(
        args: &Args,
        load: &TcpReport,
        channels: Vec<Share>,
        seen: watch::Report,
        after: &Tally,
    ) -> Result<Report, Failure> {
        if load.bytes() == 0 {
            return Err(Failure::new(
                "not one byte came through the link; `meshtun demo` shows this to nobody proudly",
            ));
        }
        Ok(Report {
            version: env!("CARGO_PKG_VERSION"),
            cipher: args.cipher.clone(),
            flows: args.flows,
            seconds: round(load.elapsed.as_secs_f64()),
            throughput_gbps: round(load.gigabits_per_second()),
            cpu_seconds_per_gb: round(load.cpu_seconds_per_gigabyte()),
            retransmitted: load.retransmitted,
            corrupt_flows: load.flows.iter().filter(|flow| flow.corrupt > 0).count(),
            handshake_ms: round(after.handshake_ms),
            channels,
            clear_packets_on_underlay: seen.clear_packets,
            clear: seen.clear,
            sampled_packets: seen.sampled,
            suspicious_packets: seen.not_wireguard + seen.marked,
        })
    }

    /// One line of JSON.
    pub(super) fn json(&self) -> Result<String, Failure> {
        serde_json::to_string(self).map(|json| json + "\n").map_err(Failure::new)
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "\n{:.2} Gb/s of TCP payload, {:.2} CPU seconds per GB (gateways, hosts and load together)\n\n",
            self.throughput_gbps, self.cpu_seconds_per_gb
        );
        text += &format!("  {:10} {:>7} {:>11} {:>11} {:>9}\n", "device", "share", "sent", "received", "dropped");
        for share in &self.channels {
            let percent = format!("{:.1} %", share.share * 100.0);
            let [sent, received] =
                [share.tx_bytes, share.rx_bytes].map(|bytes| format!("{:.1} MB", bytes as f64 / 1e6));
            text += &format!("  {:10} {percent:>7} {sent:>11} {received:>11} {:>9}\n", share.device, share.dropped);
        }
        text += &format!(
            "\nslowest handshake {:.1} ms, {} TCP segments sent again, {} of {} flows corrupted\n",
            self.handshake_ms, self.retransmitted, self.corrupt_flows, self.flows
        );
        text + &format!(
            "on the underlay: {} clear packets; of the link's own, {} were searched for the payload, {} suspicious\n",
            self.clear_packets_on_underlay, self.sampled_packets, self.suspicious_packets
        )
    }

    /// Whether the demo showed what it is to show.
    ///
    /// # Errors
    /// What it showed instead.
    pub(super) fn verdict(&self) -> Result<(), String> {
        if self.clear_packets_on_underlay > 0 {
            return Err(format!("packets passed the underlay in clear: {}", self.clear.join("; ")));
        }
        if self.suspicious_packets > 0 {
            return Err(format!("{} datagrams of the link were not what they should be", self.suspicious_packets));
        }
        if self.sampled_packets == 0 {
            return Err("none of the link's datagrams was seen on the underlay, so nothing is proved".into());
        }
        if self.corrupt_flows > 0 {
            return Err(format!("{} flows delivered other bytes than were sent", self.corrupt_flows));
        }
        Ok(())
    }
}

/// To four decimals: more would pretend.
fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::stage::Count;

    fn tally(counts: &[(&str, u16, u64, u64, u64)]) -> Tally {
        let channels = counts.iter().map(|&(device, number, tx_bytes, rx_bytes, dropped)| {
            (device.to_owned(), Count { number, tx_bytes, rx_bytes, dropped })
        });
        Tally { channels: channels.collect(), handshake_ms: 1.0 }
    }

    #[test]
    fn shares_are_of_what_was_carried_between_the_two_tallies() {
        let before = tally(&[("a0", 0, 100, 0, 1), ("a1", 1, 0, 0, 0)]);
        let after = tally(&[("a0", 0, 400, 0, 3), ("a1", 1, 90, 10, 0)]);
        let shares = Share::all(&before, &after);
        let told: Vec<_> =
            shares.iter().map(|s| (s.device.as_str(), s.share, s.tx_bytes, s.rx_bytes, s.dropped)).collect();
        assert_eq!(told, [("a0", 0.75, 300, 0, 2), ("a1", 0.25, 90, 10, 0)]);
    }

    #[test]
    fn channels_stand_in_the_order_of_their_numbers() {
        let after = tally(&[("a10", 10, 1, 0, 0), ("a2", 2, 1, 0, 0), ("a1", 1, 1, 0, 0)]);
        let shares = Share::all(&Tally::default(), &after);
        assert_eq!(shares.iter().map(|s| s.device.as_str()).collect::<Vec<_>>(), ["a1", "a2", "a10"]);
    }

    #[test]
    fn an_idle_link_has_no_shares_to_divide_by() {
        let idle = tally(&[("a0", 0, 5, 5, 0)]);
        assert_eq!(Share::all(&idle, &idle)[0].share, 0.0);
    }
}
