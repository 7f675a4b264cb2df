use std::{fs, os::unix::fs::MetadataExt, path::Path, process::Command, time::Duration};

use meshtun_sys::{netns::Namespace, process};
use netns_lab::{
    Lab, LabError,
    lab::End,
    topology::{Options, Shape, Topology},
    trial,
};

use crate::{has_ended, names_of, own_name, wait_until};

/// Whether anything that `/proc` shows holds the network namespace: a process, a thread of ours, a descriptor of ours, a
/// mount.
fn is_held(inode: u64) -> bool {
    let is_it = |path: &Path| fs::metadata(path).is_ok_and(|held| held.ino() == inode);
    let any = |folder: &str, tail: &str| {
        let entries = fs::read_dir(folder).map(|entries| entries.flatten().collect::<Vec<_>>()).unwrap_or_default();
        entries.iter().any(|entry| is_it(&entry.path().join(tail)))
    };
    let ours = fs::read_dir("/proc/self/fd").unwrap().flatten().any(|entry| is_it(&entry.path()));
    let mounted = fs::read_to_string("/proc/self/mountinfo").unwrap().contains(&format!("net:[{inode}]"));
    any("/proc", "ns/net") || any("/proc/self/task", "ns/net") || ours || mounted
}

#[test]
fn a_lab_leaves_no_namespace_no_device_no_name_and_no_folder() {
    trial::run(|| {
        let name = own_name("leaves");
        let options = Options { internet: true, name: Some(name.clone()), ..Options::default() };
        let topology = Topology::build(Shape::ThreeSites, &options).unwrap();
        let nodes = topology.lab.nodes();
        let inodes: Vec<u64> = nodes.iter().map(|node| node.namespace().inode().unwrap()).collect();
        assert_eq!(names_of(&name).len(), 8, "{:?}", names_of(&name));
        assert!(inodes.iter().all(|inode| is_held(*inode)));
        let outside = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
        assert!(!["underlay:", "lan:", "wan:"].iter().any(|device| outside.contains(device)), "{outside}");
        let folder = topology.lab.folder().to_owned();
        assert!(folder.exists());

        drop(topology);
        assert!(names_of(&name).is_empty());
        assert!(!folder.exists());
        assert!(!Path::new(&format!("/run/netns-lab/{name}.lock")).exists());
        wait_until("no namespace is held", || !inodes.iter().any(|inode| is_held(*inode)));
    });
}

#[test]
fn a_lab_that_could_not_be_finished_leaves_nothing_either() {
    trial::run(|| {
        let name = own_name("unfinished");
        let mut lab = Lab::named(&name).unwrap();
        let [one, two] = ["one", "two"].map(|node| lab.add_node(node).unwrap());
        let cable = |mtu| lab.connect(End { node: &one, device: "a" }, End { node: &two, device: "b" }, mtu);
        cable(1500).unwrap();
        let error = cable(1500).unwrap_err();
        assert!(matches!(&error, LabError::Netlink { node, .. } if node == "one"), "{error}");
        let folder = lab.folder().to_owned();
        drop((lab, one, two));
        assert!(names_of(&name).is_empty() && !folder.exists());
    });
}

#[test]
fn two_labs_of_one_name_cannot_run_at_once() {
    trial::run(|| {
        let name = own_name("twice");
        let first = Lab::named(&name).unwrap();
        let error = Lab::named(&name).unwrap_err();
        let ours = Some(std::process::id());
        assert!(matches!(&error, LabError::NameInUse { holder, .. } if *holder == ours), "{error}");
        drop(first);
        Lab::named(&name).unwrap();
    });
}

#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    for name in ["", "../up", "a/b", ".hidden", "a b"] {
        let error = Lab::named(name).unwrap_err();
        assert!(matches!(&error, LabError::BadName(bad) if bad == name), "{error}");
    }
}

#[test]
fn a_foreign_namespace_of_a_labs_name_is_left_alone() {
    trial::run(|| {
        let name = own_name("foreign");
        let path = format!("/run/netns/{name}-g1");
        let foreign = Namespace::new().unwrap().pin_to(&path).unwrap();
        let mut lab = Lab::named(&name).unwrap();
        let error = lab.add_node("g1").unwrap_err();
        assert!(matches!(error, LabError::NotOurs { .. }), "{error}");
        assert!(error.to_string().contains(&path), "{error}");
        drop(lab);
        assert!(Path::new(&path).exists(), "the lab took away what it did not make");
        drop(foreign);
    });
}

#[test]
fn programs_end_with_their_lab_even_those_in_the_background() {
    trial::run(|| {
        let mut lab = Lab::new().unwrap();
        let node = lab.add_node("node").unwrap();
        let mut sleep = Command::new("sleep");
        sleep.arg("600");
        let started = node.start(sleep).unwrap();
        let mut background = Command::new("sh");
        background.args(["-c", "setsid sleep 600 >/dev/null 2>&1 & echo $!"]);
        let output = node.output(background).unwrap();
        let pid: u32 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
        assert!(process::exists(pid) && process::exists(started.id()));
        drop(lab);
        wait_until("both have ended", || has_ended(started.id()) && has_ended(pid));
        let error = node.start(Command::new("true")).unwrap_err();
        assert!(matches!(error, LabError::Closed { .. }), "{error}");
    });
}

#[test]
fn a_dropped_child_ends_and_one_that_ends_is_seen() {
    trial::run(|| {
        let mut lab = Lab::new().unwrap();
        let node = lab.add_node("node").unwrap();
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            node.start(command).unwrap()
        };
        let mut quick = shell("exit 7");
        assert_eq!(quick.wait_for(Duration::from_secs(5)).unwrap().unwrap().code(), Some(7));
        let mut slow = shell("exec sleep 600");
        assert_eq!(slow.wait_for(Duration::from_millis(20)).unwrap(), None);
        let pid = slow.id();
        drop(slow);
        assert!(!process::exists(pid));
    });
}

#[test]
fn a_program_that_is_not_there_is_named_with_its_node() {
    trial::run(|| {
        let mut lab = Lab::new().unwrap();
        let node = lab.add_node("somewhere").unwrap();
        for error in [
            node.start(Command::new("/nowhere/program")).unwrap_err(),
            node.output(Command::new("/nowhere/program")).unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(text.contains("somewhere") && text.contains("/nowhere/program"), "{text}");
        }
    });
}

#[test]
fn a_node_has_its_own_devices_and_settings() {
    trial::run(|| {
        let mut lab = Lab::new().unwrap();
        let [one, two] = ["one", "two"].map(|node| lab.add_node(node).unwrap());
        lab.connect(End { node: &one, device: "here" }, End { node: &two, device: "there" }, 1400).unwrap();
        let links = one.links().unwrap();
        let names: Vec<_> = links.iter().map(|link| (link.name.as_str(), link.mtu)).collect();
        assert_eq!(names, [("lo", 65536), ("here", 1400)]);
        wait_until("both ends have carrier", || one.is_running("here").unwrap() && two.is_running("there").unwrap());
        one.set_up("here", false).unwrap();
        wait_until("the other end has none", || !two.is_running("there").unwrap());
        assert!(!one.is_running("nowhere").unwrap());

        one.set_sysctl("net.ipv4.ip_forward", "1").unwrap();
        assert_eq!(one.sysctl("net.ipv4.ip_forward").unwrap(), "1");
        assert_eq!(two.sysctl("net.ipv4.ip_forward").unwrap(), "0");
        assert!(one.set_sysctl("net.ipv4.no_such_thing", "1").unwrap_err().to_string().contains("no_such_thing"));
    });
}
