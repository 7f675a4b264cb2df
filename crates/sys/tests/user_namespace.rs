//! A process without threads enters a user namespace. Without the usual harness, which starts a thread for each test.

use std::{
    env, fs,
    io::{self, Write},
};

use meshtun_sys::{
    capability::{self, Capability},
    netns::{self, Namespace, UserNamespaceError},
    process,
};

fn main() {
    if env::args().any(|argument| argument == "--list") {
        return;
    }
    let user = process::effective_uid();
    match netns::enter_user_namespace() {
        Ok(()) => is_root_of_its_own_namespaces(user),
        Err(UserNamespaceError::Threads) => panic!("this process has no threads"),
        Err(refused) if env::var_os("MESHTUN_REQUIRE_NETNS").is_some_and(|value| value == "1") => panic!("{refused}"),
        Err(refused) => say(&format!("NOT TESTED: entering a user namespace: {refused}")),
    }
}

fn is_root_of_its_own_namespaces(user: u32) {
    assert_eq!(process::effective_uid(), 0);
    assert!(capability::has_net_admin() && capability::has(Capability::SysAdmin).unwrap());
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", &user.to_string(), "1"]);
    // Names can be given in a /run of its own, and threads enter what they name.
    netns::cover_folder("/run").unwrap();
    let namespace = Namespace::new().unwrap();
    let name = namespace.pin_to("/run/netns/name").unwrap();
    let named = Namespace::open(name.path()).unwrap();
    let inside = named.run_in(|| Namespace::current().unwrap().inode().unwrap()).unwrap();
    assert_eq!(inside, namespace.inode().unwrap());
    say("a process without threads enters a user namespace: ok");
}

fn say(line: &str) {
    let mut stderr = io::stderr();
    stderr.write_all(format!("{line}\n").as_bytes()).unwrap();
}
