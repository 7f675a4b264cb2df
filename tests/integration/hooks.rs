//! Programs that a gateway runs when something comes up or goes down.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use netns_lab::{
    topology::{Family, Options, Shape},
    trial,
};
use serde_json::Value;

use crate::bed::{Bed, attempt, eventually, ping};

/// A hook that writes each event's JSON into the file that it is given.
const SCRIBE: &str = "#!/bin/sh\ncat >> \"$1\"\necho \"$MESHTUN_EVENT ${MESHTUN_CHANNEL:-}\"\n";

/// The hooks of the first gateway, as its file has them.
fn bed_with(channels: u16, hooks: impl FnOnce(&Path) -> String) -> Bed {
    let mut bed = Bed::quiet(Shape::TwoGateways, channels, &Options { underlay: Family::V4, ..Options::default() });
    let hooks = hooks(bed.topology.lab.folder());
    bed.mesh.gateways[0].options.push(("hooks".into(), hooks));
    bed
}

/// Writes a program, and gives its path.
fn program(folder: &Path, text: &str) -> String {
    let path = folder.join("hook");
    fs::write(&path, text).expect("the folder is ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    path.to_str().expect("the lab's folder has a plain name").to_owned()
}

#[test]
fn every_event_is_told_once_in_the_order_in_which_it_happened() {
    trial::run_with_tun(|| {
        let mut bed = bed_with(2, |folder| {
            let (hook, events) = (program(folder, SCRIBE), folder.join("events"));
            let names = ["up", "down", "channel-up", "channel-down", "link-up", "link-down"];
            let entries = names.map(|name| format!("{name} = [{hook:?}, {:?}]", events.display().to_string()));
            format!("{{ {} }}", entries.join(", "))
        });
        bed.start_all();
        bed.gateways[1].ask(&["down"]).unwrap_or_else(|error| panic!("{error}"));
        eventually("the link is down", || events(&bed).iter().any(|event| event["event"] == "link-down"));
        bed.gateways[0].ask(&["down"]).unwrap_or_else(|error| panic!("{error}"));

        let events = events(&bed);
        let of_link: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
        let place = |name: &str| of_link.iter().position(|event| *event == name).unwrap_or_else(|| panic!("{name}"));
        for (name, times) in
            [("up", 1), ("channel-up", 2), ("link-up", 1), ("channel-down", 2), ("link-down", 1), ("down", 1)]
        {
            assert_eq!(of_link.iter().filter(|event| **event == name).count(), times, "{name} in {of_link:?}");
        }
        let order = ["channel-up", "link-up", "channel-down", "link-down", "down"];
        assert!(order.map(place).is_sorted(), "{of_link:?}");

        let up = &events[place("channel-up")];
        let device = format!("cable{}", up["channel"]);
        for (name, value) in
            [("gateway", "g1"), ("link", "cable"), ("peer", "g2"), ("state", "up"), ("device", &device)]
        {
            assert_eq!(up[name], value, "{name} in {up}");
        }
        assert_eq!((&up["channels"], &up["networks"][0]), (&2.into(), &"10.2.0.0/24".into()), "{up}");
        let down = &events[place("link-down")];
        assert_eq!((&down["state"], &down["channels_up"]), (&"down".into(), &0.into()), "{down}");
        assert!(down["reason"].as_str().is_some_and(|reason| reason.contains("taken down")), "{down}");
        // What a hook says is in the log.
        assert!(bed.gateways[0].log().contains("channel-up: channel-up 1"), "{}", bed.gateways[0].log());
    });
}

#[test]
fn a_hook_gets_a_clean_environment_and_no_descriptor_of_the_daemons() {
    trial::run_with_tun(|| {
        let mut bed = bed_with(1, |_| {
            r#"{ up = ["/usr/bin/env"], link-up = ["/bin/ls", "-l", "/proc/self/fd"], channel-up = ["/bin/sh", "-c", "cut -d ' ' -f 5 /proc/$$/stat; echo group of $$"] }"#.into()
        });
        let mut setup = bed.setup(0, &bed.mesh);
        setup.environment.push(("A_SECRET".into(), "of the daemon".into()));
        let node = bed.gateway(0).clone();
        let gateway = netns_lab::gateway::Gateway::start(&bed.topology.lab, &node, setup);
        bed.gateways.push(gateway.unwrap_or_else(|error| panic!("{error}")));
        bed.start(1, bed.mesh.clone());
        bed.wait_until_up();
        let log = || bed.gateways[0].log();
        eventually("all three have run", || log().contains("group of") && log().contains("link-up: total"));
        eventually("the environment is in the log", || log().contains("up: MESHTUN_EVENT=up"));
        let log = log();
        let of = |event: &str| -> Vec<String> {
            let mark = format!("{event}: ");
            let lines = log.lines().filter(|line| line.contains("hook=") || line.contains("hook\u{1b}"));
            lines.filter_map(|line| Some(line.split_once(&mark)?.1.to_owned())).collect()
        };
        for line in of(" up") {
            assert!(line.starts_with("MESHTUN_") || line.starts_with("PATH="), "{line}");
        }
        assert!(!log.contains("A_SECRET"));
        let descriptors: Vec<_> = of("link-up").into_iter().filter(|line| line.contains(" -> ")).collect();
        assert_eq!(descriptors.len(), 4, "its own three, and the folder that it lists: {descriptors:?}");
        assert!(!descriptors.iter().any(|line| line.contains("tun") || line.contains("socket:")), "{descriptors:?}");
    });
}

#[test]
fn a_hook_that_takes_too_long_or_fails_is_ended_and_reported_and_holds_nothing_up() {
    trial::run_with_tun(|| {
        let mut bed = bed_with(1, |_| {
            r#"{ channel-up = ["/bin/sh", "-c", "sleep 86399 & sleep 86399"], link-up = ["/bin/sh", "-c", "echo it broke >&2; exit 3"], timeout = "1s" }"#
                .into()
        });
        bed.start_all();
        // While the hook sleeps.
        bed.addresses(1).into_iter().for_each(|to| ping(bed.host(0), to));
        let hooks = || bed.status(0)["links"][0]["hooks"].clone();
        eventually("both have failed", || hooks()["failures"] == 2);
        let last = hooks()["last_failure"].as_str().unwrap_or_default().to_owned();
        assert!(last.contains("link-up: /bin/sh") && last.contains("exit status: 3"), "{last}");
        let log = bed.gateways[0].log();
        assert!(log.contains("not done after 1 s, and ended"), "{log}");
        assert!(log.contains("link-up: it broke"), "{log}");
        eventually("its whole group has ended", || {
            let (_, said) = attempt(bed.gateway(0), "pgrep -x -f sleep.86399");
            said.trim().is_empty()
        });
        let shown = bed.gateways[0].ask(&["status"]).unwrap_or_else(|error| panic!("{error}"));
        assert!(shown.contains("hooks: 2 of 2 runs failed"), "{shown}");
    });
}

#[test]
fn a_program_that_others_may_write_is_not_run_and_check_says_so() {
    trial::run_with_tun(|| {
        let mut bed = bed_with(1, |folder| {
            let hook = program(folder, SCRIBE);
            fs::set_permissions(&hook, fs::Permissions::from_mode(0o777)).expect("it is ours");
            let events = folder.join("events").display().to_string();
            format!("{{ link-up = [{hook:?}, {events:?}], up = [\"/nonexistent/hook\"] }}")
        });
        bed.start_all();
        eventually("it is reported", || bed.status(0)["links"][0]["hooks"]["failures"] == 1);
        assert!(bed.gateways[0].log().contains("others than root or its owner may write it"));
        assert!(events(&bed).is_empty());
        let [mesh, key] = ["mesh.toml", "private.key"].map(|name| bed.gateways[0].folder().join(name));
        let [mesh, key] = [&mesh, &key].map(|path| path.to_str().expect("a plain name"));
        let command = bed.gateways[0].command(&["check", mesh, "--key", key]);
        let output = crate::bed::output(bed.gateway(0), command);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{said}");
        for word in ["the hook `link-up` is not run", "chmod go-w", "the hook `up` is not run: /nonexistent/hook"] {
            assert!(said.contains(word), "{word} in {said}");
        }
    });
}

#[test]
fn a_reload_changes_hooks_and_tells_of_a_link_that_goes() {
    trial::run_with_tun(|| {
        let mut bed = bed_with(1, |folder| {
            program(folder, SCRIBE);
            "{}".into()
        });
        bed.start_all();
        let folder = bed.topology.lab.folder();
        let [hook, events_file] = ["hook", "events"].map(|name| folder.join(name).display().to_string());
        let mut mesh = bed.mesh.clone();
        let options = &mut mesh.gateways[0].options;
        options.retain(|(name, _)| name != "hooks");
        options.push(("hooks".into(), format!("{{ link-down = [{hook:?}, {events_file:?}] }}")));
        bed.gateways[0].rewrite(&mesh).unwrap_or_else(|error| panic!("{error}"));
        let said = bed.gateways[0].ask(&["reload"]).unwrap_or_else(|error| panic!("{error}"));
        assert!(said.contains("link cable: hooks: none -> link-down "), "{said}");
        mesh.links.clear();
        bed.gateways[0].rewrite(&mesh).unwrap_or_else(|error| panic!("{error}"));
        bed.gateways[0].ask(&["reload"]).unwrap_or_else(|error| panic!("{error}"));
        eventually("the hook has run", || !events(&bed).is_empty());
        let event = &events(&bed)[0];
        assert_eq!((&event["event"], &event["link"]), (&"link-down".into(), &"cable".into()), "{event}");
    });
}

/// What the scribe wrote.
fn events(bed: &Bed) -> Vec<Value> {
    let text = fs::read_to_string(bed.topology.lab.folder().join("events")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}
