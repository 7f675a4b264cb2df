//! Rights, topologies, waiting.

use std::{
    env,
    io::{self, Write},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use meshtun_sys::{
    capability::{self, Capability},
    device, netns,
    netns::Namespace,
    tun,
};

/// Set in the child that runs one test inside a user namespace.
const INSIDE: &str = "MESHTUN_TEST_INSIDE";

/// Makes skipped tests fail.
const REQUIRE: &str = "MESHTUN_REQUIRE_NETNS";

/// Declares tests that need to be root of network namespaces.
macro_rules! netns_tests {
    ($(fn $name:ident() $body:block)*) => {$(
        #[test]
        fn $name() {
            $crate::support::as_root(concat!(module_path!(), "::", stringify!($name)), || $body);
        }
    )*};
}
pub(crate) use netns_tests;

/// Runs `test` here if this process may make namespaces, otherwise in a child that entered a user namespace.
pub(crate) fn as_root(path: &str, test: impl FnOnce()) {
    // The harness knows the test without the crate's name.
    let (_, name) = path.split_once("::").expect("a module's path begins with its crate");
    if may_make_namespaces() {
        match tun::access() {
            // The modules whose names say so need devices, too.
            Err(refused) if name.contains("tun::") || name.contains("tun_owner::") => {
                cannot(name, &refused.to_string())
            }
            _ => test(),
        }
    } else if env::var_os(INSIDE).is_some() {
        cannot(name, "root of a user namespace, and still not allowed to make network namespaces");
    } else {
        in_user_namespace(name);
    }
}

fn in_user_namespace(name: &str) {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args([name, "--exact", "--nocapture"]).env(INSIDE, "1");
    netns::command_in_user_namespace(&mut child);
    match child.output() {
        Err(refused) => cannot(name, &format!("not root, and no user namespace: {refused}")),
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text);
            assert!(output.status.success(), "in a user namespace:\n{text}");
            assert!(text.contains("1 passed"), "the child ran no test:\n{text}");
            text.lines().filter(|line| line.starts_with("NOT TESTED")).for_each(say);
        }
    }
}

fn may_make_namespaces() -> bool {
    [Capability::SysAdmin, Capability::NetAdmin].into_iter().all(|capability| capability::has(capability).unwrap())
}

pub(crate) fn cannot(name: &str, reason: &str) {
    assert!(env::var_os(REQUIRE).is_none_or(|value| value != "1"), "{name} cannot run: {reason}");
    say(&format!("NOT TESTED: {name}: {reason}"));
}

pub(crate) fn say(line: &str) {
    // The harness swallows what `eprintln!` writes.
    let mut stderr = io::stderr();
    stderr.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Two namespaces joined by a veth pair `wire` with MTU 1500: 10.1.0.1 and fd01::1 on the left, .2 and ::2 on the right.
pub(crate) struct Cable {
    pub(crate) left: Namespace,
    pub(crate) right: Namespace,
}

impl Cable {
    pub(crate) fn new() -> Cable {
        let cable = Cable { left: fresh(), right: fresh() };
        cable.connect();
        cable
    }

    /// Deletes both ends and makes them anew, which gives them other indexes.
    pub(crate) fn replace(&self) {
        // The old one keeps its index until the new one has another.
        ip(&self.right, "link set wire name old");
        ip(&self.left, "link set wire name old");
        self.connect();
        ip(&self.left, "link del old");
    }

    fn connect(&self) {
        let cable = self;
        ip(&cable.left, &format!("link add wire type veth peer name wire netns {}", path(&cable.right)));
        for (side, number) in [(&cable.left, 1), (&cable.right, 2)] {
            ip(side, &format!("address add 10.1.0.{number}/24 dev wire"));
            ip(side, &format!("address add fd01::{number}/64 dev wire nodad"));
            ip(side, "link set wire up");
        }
        // Until link watch has seen carrier come up, up to a second later, the kernel drops what is sent: hurry it.
        for side in [&cable.left, &cable.right] {
            assert!(side.run_in(|| device::carrier("wire").unwrap()).unwrap());
        }
    }
}

/// A namespace whose loopback is up.
pub(crate) fn fresh() -> Namespace {
    let namespace = Namespace::new().unwrap();
    namespace.run_in(|| device::set_up("lo", true)).unwrap().unwrap();
    namespace
}

/// Where other programs find the namespace as long as it is held.
pub(crate) fn path(namespace: &Namespace) -> String {
    use std::os::fd::{AsFd, AsRawFd};
    format!("/proc/{}/fd/{}", std::process::id(), namespace.as_fd().as_raw_fd())
}

/// `ip ARGUMENTS` in the namespace.
pub(crate) fn ip(namespace: &Namespace, arguments: &str) -> String {
    let mut command = Command::new("ip");
    command.args(arguments.split_whitespace());
    namespace.command_in(&mut command).unwrap();
    let output = command.output().unwrap_or_else(|error| panic!("ip of iproute2 is needed: {error}"));
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Waits until `condition` gives something, at most five seconds.
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within five seconds: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// What a non-blocking call gives once it has something to give.
pub(crate) fn wait_for<T>(what: &str, mut call: impl FnMut() -> io::Result<T>) -> T {
    eventually(what, || match call() {
        Ok(value) => Some(value),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        Err(error) => panic!("{what}: {error}"),
    })
}
