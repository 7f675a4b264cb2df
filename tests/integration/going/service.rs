//! A service runner that keeps the channels' sockets across a restart, played by the test as systemd does it.

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    os::fd::{AsRawFd, OwnedFd},
    process::Command,
    time::Duration,
};

use meshtun_sys::service::{self, Runner};
use netns_lab::{
    gateway::Gateway,
    topology::{Options, Shape},
    trial,
};

use crate::bed::{Bed, PATIENCE, eventually, ping};

/// A gateway of two channels under a service runner, and a peer without.
struct Served {
    bed: Bed,
    runner: Runner,
    // Has to go before the namespaces.
    gateway: Option<Gateway>,
}

impl Served {
    fn start() -> Served {
        let mut bed = Bed::quiet(Shape::TwoGateways, 2, &Options::default());
        let path = bed.topology.lab.folder().join("notify");
        let runner = Runner::bind(&path).expect("the path is free");
        let mut setup = bed.setup(0, &bed.mesh);
        setup.environment.push(("NOTIFY_SOCKET".into(), path.to_string_lossy().into_owned()));
        let gateway =
            Gateway::start(&bed.topology.lab, bed.gateway(0), setup).unwrap_or_else(|error| panic!("{error}"));
        bed.gateways.push(gateway);
        bed.start(1, bed.mesh.clone());
        bed.wait_until_up();
        Served { bed, runner, gateway: None }
    }

    /// What the gateway says up to this message, and the descriptors with their names.
    fn said_until(&self, last: &str) -> (Vec<String>, Vec<(String, OwnedFd)>) {
        let (mut said, mut kept) = (Vec::new(), Vec::new());
        loop {
            let (message, descriptors) =
                self.runner.receive(PATIENCE).unwrap_or_else(|error| panic!("{last}: {error}"));
            let name = message.lines().find_map(|line| line.strip_prefix("FDNAME=")).unwrap_or_default().to_owned();
            kept.extend(descriptors.into_iter().map(|descriptor| (name.clone(), descriptor)));
            let is_last = message.starts_with(last);
            said.push(message);
            if is_last {
                return (said, kept);
            }
        }
    }
}

#[test]
fn sockets_that_are_kept_across_a_restart_lose_nothing_that_comes_meanwhile() {
    trial::run_with_tun(|| {
        let mut served = Served::start();
        let (_, kept) = served.said_until("READY=1");
        let names: Vec<String> = kept.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(names, ["meshtun-cable-0", "meshtun-cable-1"]);
        for (_, descriptor) in &kept {
            let what = fs::read_link(format!("/proc/self/fd/{}", descriptor.as_raw_fd())).expect("it is open");
            assert!(what.to_string_lossy().starts_with("socket:"), "never a tun device: {what:?}");
        }
        let port: SocketAddr =
            served.bed.channels(0)[0]["local"].as_str().and_then(|text| text.parse().ok()).expect("an address");
        let mut gateway = served.bed.gateways.remove(0);
        gateway.stop(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
        served.said_until("STOPPING=1");

        // Nobody reads, and nobody refuses.
        let underlay = served.bed.mesh.gateways[0].underlay.expect("it has one");
        let stranger = served.bed.gateway(1).run(move || {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("any port");
            socket.connect((underlay, port.port())).expect("there is a route");
            socket.send(b"waits").expect("it is sent");
            socket.set_read_timeout(Some(Duration::from_millis(200))).expect("it can be set");
            socket.recv(&mut [0; 9]).expect_err("nobody answers").kind()
        });
        assert_eq!(stranger.expect("the node can be entered"), std::io::ErrorKind::WouldBlock);

        let descriptors: Vec<OwnedFd> = kept.into_iter().map(|(_, descriptor)| descriptor).collect();
        let folder = gateway.folder().to_owned();
        let [mesh, key] = ["mesh.toml", "private.key"].map(|name| folder.join(name));
        let mut command = Command::new("sh");
        command.args(["-c", "LISTEN_PID=$$ exec \"$0\" \"$@\""]).arg(gateway.program().path());
        command.arg("up").arg(mesh).arg("--key").arg(key).envs(gateway.environment());
        command.env("LISTEN_FDS", "2").env("LISTEN_FDNAMES", names.join(":"));
        let log = fs::File::create(folder.join("log-2")).expect("it can be made");
        command.stdout(log.try_clone().expect("a copy")).stderr(log);
        service::pass(&mut command, &descriptors).expect("there are descriptors");
        let _daemon = served.bed.gateway(0).start(command).unwrap_or_else(|error| panic!("{error}"));
        let channels = || gateway.status().ok().and_then(|status| status["links"][0]["channels"].as_array().cloned());
        eventually("all channels are up", || {
            channels().is_some_and(|channels| channels.iter().all(|channel| channel["state"] == "up"))
        });
        eventually("what came meanwhile was waiting", || {
            channels().is_some_and(|channels| channels[0]["dropped"]["malformed"] == 1)
        });
        ping(served.bed.host(0), served.bed.addresses(1)[0]);
        served.gateway = Some(gateway);
    });
}

#[test]
fn a_reload_is_told_to_the_service_runner_from_its_beginning_to_its_end() {
    trial::run_with_tun(|| {
        let mut served = Served::start();
        served.said_until("READY=1");
        let mut mesh = served.bed.mesh.clone();
        mesh.links[0].channels = 3;
        let gateway = &mut served.bed.gateways[0];
        gateway.rewrite(&mesh).unwrap_or_else(|error| panic!("{error}"));
        gateway.ask(&["reload"]).unwrap_or_else(|error| panic!("{error}"));
        let (said, kept) = served.said_until("READY=1");
        assert!(said[0].starts_with("RELOADING=1\nMONOTONIC_USEC="), "{said:?}");
        assert_eq!(kept[0].0, "meshtun-cable-2", "the new socket is kept, too");
        let gateway = &mut served.bed.gateways[0];
        mesh.links[0].channels = 2;
        gateway.rewrite(&mesh).unwrap_or_else(|error| panic!("{error}"));
        gateway.ask(&["reload"]).unwrap_or_else(|error| panic!("{error}"));
        let (said, _) = served.said_until("READY=1");
        assert!(said.iter().any(|message| message.contains("FDSTOREREMOVE=1\nFDNAME=meshtun-cable-2")), "{said:?}");
    });
}
