//! The README's first command.

use std::process::Command;

use netns_lab::trial;
use serde_json::Value;

#[test]
fn the_demo_ends_with_a_line_of_json_that_proves_its_point() {
    trial::run_with_tun(|| {
        let output = Command::new(env!("CARGO_BIN_EXE_meshtun"))
            .args(["demo", "--json", "--seconds", "2"])
            .output()
            .expect("the demo runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
        let last = text.lines().last().expect("the demo prints JSON");
        let report: Value = serde_json::from_str(last).expect("the last line is JSON");

        assert!(report["throughput_gbps"].as_f64() > Some(0.0), "{last}");
        assert!(report["cpu_seconds_per_gb"].as_f64() > Some(0.0), "{last}");
        assert!(report["handshake_ms"].as_f64() > Some(0.0), "{last}");
        assert_eq!(report["clear_packets_on_underlay"], 0, "{last}");
        assert!(report["sampled_packets"].as_u64() > Some(0), "the underlay was looked at: {last}");
        let channels = report["channels"].as_array().expect("channels are a list");
        assert_eq!(
            channels.iter().map(|c| c["device"].as_str().unwrap()).collect::<Vec<_>>(),
            ["cable0", "cable1", "cable2", "cable3"]
        );
        let busy = channels.iter().filter(|c| c["share"].as_f64() > Some(0.05)).count();
        assert!(busy >= 3, "16 flows spread over the channels: {last}");
        for channel in channels {
            for key in ["tx_bytes", "rx_bytes", "dropped"] {
                assert!(channel[key].is_u64(), "{key} in {last}");
            }
        }
    });
}

#[test]
fn the_demo_refuses_what_makes_no_sense() {
    for arguments in [["--channels", "0"], ["--channels", "17"], ["--seconds", "0"], ["--cipher", "rot13"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_meshtun")).arg("demo").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}
