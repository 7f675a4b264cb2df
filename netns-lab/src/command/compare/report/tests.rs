use std::path::PathBuf;

use super::{row::Samples, *};
use crate::command::compare::{
    measure::Figure,
    tool::{Cipher, Subject, Tool},
};

/// Three rounds of made-up figures; the second and third differ from the first by what they are multiplied with.
fn sample() -> Report {
    let subject = |tool, channels, cipher| Subject { tool, channels, cipher };
    let bare = subject(Tool::Bare, 1, Cipher::None);
    let openvpn = subject(Tool::OpenVpn, 4, Cipher::StaticAes256Cbc);
    let gotatun = subject(Tool::GotaTun, 1, Cipher::ChaCha20Poly1305);
    let meshtun = subject(Tool::Meshtun, 4, Cipher::ChaCha20Poly1305);
    let fast = subject(Tool::Meshtun, 4, Cipher::Aes256Gcm);
    let mut samples = Samples::default();
    for factor in [1.0, 0.96, 1.02] {
        let mut add = |subject, path, underlay, test: &str, value: f64, unit, cost: Option<f64>| {
            let figure = Figure {
                test: test.into(),
                value,
                unit,
                cpu_seconds_per_gb: cost,
                complaints: Vec::new(),
                notes: Vec::new(),
            };
            samples.add(subject, path, underlay, &figure);
        };
        for (subject, one, sixteen, cost, p99) in [
            (bare, 28.5, 32.3, 0.41, 0.05),
            (openvpn, 0.54, 0.84, 20.7, 61.0),
            (gotatun, 1.0, 1.01, 14.5, 19.0),
            (meshtun, 5.5, 6.5, 2.45, 4.2),
            (fast, 7.4, 9.5, 1.7, 3.1),
        ] {
            let (path, underlay) = (Path::Routed, Underlay::Trains);
            add(subject, path, underlay, "rtt-idle-p50", p99 / 20.0, "ms", None);
            add(subject, path, underlay, "tcp-1", one * factor, "Gb/s", Some(cost));
            add(subject, path, underlay, "tcp-1-retransmits", 12.0, "segments", None);
            add(subject, path, underlay, "tcp-16", sixteen * factor, "Gb/s", Some(cost));
            add(subject, path, underlay, "tcp-16-reverse", sixteen, "Gb/s", Some(cost));
            add(subject, path, underlay, "rtt-loaded-p99", p99 * factor, "ms", None);
            add(subject, path, underlay, "udp-64-paced-cpu", cost + 10.0, "µs/datagram", None);
            add(subject, path, underlay, "udp-64-paced-loss", 0.0, "%", None);
            add(subject, path, underlay, "udp-64-highest", 187_654.0 * factor, "datagrams/s", Some(31.0));
        }
        add(fast, Path::Routed, Underlay::Trains, "memory", 6.25, "MiB", None);
        add(fast, Path::Routed, Underlay::Trains, "memory-peak", 8.5, "MiB", None);
        add(fast, Path::Gateway, Underlay::Datagrams, "tcp-1", 4.0 * factor, "Gb/s", Some(2.0));
    }
    let versions = [("iperf3", "iperf 3.12"), ("meshtun", "meshtun 0.1.0"), ("openvpn", "OpenVPN 2.6.14")];
    let machine = Machine {
        date: "2026-11-21".into(),
        command: "netns-lab compare --quick".into(),
        cpu: "AMD EPYC".into(),
        processors: 2,
        virtual_machine: true,
        memory_gib: 7.7,
        kernel: "6.18.44".into(),
        commit: Some("0123456789ab".into()),
        versions: versions.map(|(name, version)| (name.into(), version.into())).into(),
    };
    Report {
        title: "meshtun beside other tools, quick".into(),
        machine,
        method: vec!["`cargo run --release -p netns-lab -- compare --quick`".into()],
        missing: vec!["boringtun: cargo could not install boringtun-cli".into()],
        problems: Vec::new(),
        notes: vec!["round 1: openvpn ×4: the kernel counted 12 UdpRcvbufErrors in UDP sockets of g2".into()],
        rows: samples.rows(),
    }
}

/// The file's content, after writing `now` into it if UPDATE_GOLDEN is set.
fn golden(name: &str, now: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/command/compare/report/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, now).unwrap();
    }
    fs::read_to_string(&path).unwrap_or_default()
}

#[test]
fn the_page_is_as_in_the_golden_file() {
    let page = markdown::page(&sample());
    assert!(golden("README.md", &page) == page, "run once with UPDATE_GOLDEN=1 and look at what changes:\n{page}");
}

#[test]
fn the_chart_is_as_in_the_golden_file() {
    let chart = chart::draw(&sample(), (Path::Routed, Underlay::Trains)).unwrap();
    assert!(golden("chart.svg", &chart) == chart, "run once with UPDATE_GOLDEN=1 and look at what changes:\n{chart}");
}

#[test]
fn a_report_is_a_page_with_a_chart_for_each_place_and_rows_for_programs() {
    let folder = std::env::temp_dir().join(format!("netns-lab-report-{}", std::process::id()));
    let report = sample();
    report.write(&folder).unwrap();
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let page = read("README.md");
    for chart in ["chart.svg", "chart-gateway-datagrams.svg"] {
        assert!(page.contains(&format!("]({chart})")) && read(chart).starts_with("<svg "), "{page}");
    }
    let rows: Vec<serde_json::Value> = serde_json::from_str(&read("rows.json")).unwrap();
    assert_eq!(rows.len(), report.rows.len());
    assert_eq!(read("rows.json").lines().count(), rows.len() + 2);
    let machine: serde_json::Value = serde_json::from_str(&read("machine.json")).unwrap();
    assert_eq!((machine["processors"].as_u64(), machine["commit"].as_str()), (Some(2), Some("0123456789ab")));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_went_wrong_is_told_first() {
    let problems = vec!["meshtun ×4: the kernel counted 3 UdpRcvbufErrors".into()];
    let page = markdown::page(&Report { problems, ..sample() });
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("no {text:?} in {page}"));
    assert!(at("## Problems") < at("## Between hosts"));
}

#[test]
fn the_terminal_gets_the_tables_alone() {
    let tables = sample().table();
    assert!(tables.contains("| meshtun ×4, AES-256-GCM ") && !tables.contains("chart.svg"), "{tables}");
}

#[test]
fn a_run_without_throughput_and_round_trips_has_no_chart() {
    let report = sample();
    let rows = report.rows.iter().filter(|row| row.test.starts_with("memory")).cloned().collect();
    assert!(chart::draw(&Report { rows, ..report }, (Path::Routed, Underlay::Trains)).is_none());
}
