//! Namespaces, pins, children.

use std::{
    fs, io,
    net::{TcpListener, TcpStream},
    os::unix::process::ExitStatusExt,
    panic,
    process::Command,
    sync::mpsc,
    thread,
};

use meshtun_sys::{
    device,
    netns::{self, Namespace, UserNamespaceError},
    process::{self, Signal},
};

use crate::support::{Cable, eventually, fresh, ip, netns_tests};

/// `net:[INODE]`, as /proc shows it.
fn link(namespace: &Namespace) -> String {
    format!("net:[{}]", namespace.inode().unwrap())
}

/// Runs `work` on a thread whose mounts nobody else sees and which leaves none behind.
fn with_own_mounts<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let inside = || {
        netns::own_mounts().unwrap();
        work()
    };
    thread::scope(|scope| scope.spawn(inside).join().unwrap_or_else(|payload| panic::resume_unwind(payload)))
}

netns_tests! {
    fn a_new_namespace_has_a_loopback_that_is_down_and_leaves_the_caller_where_it_was() {
        let before = Namespace::current().unwrap().inode().unwrap();
        let namespace = Namespace::new().unwrap();
        assert_eq!(Namespace::current().unwrap().inode().unwrap(), before);
        assert_ne!(namespace.inode().unwrap(), before);
        let inside = namespace.run_in(|| fs::read_to_string("/proc/thread-self/net/dev").unwrap()).unwrap();
        assert_eq!(inside.lines().count(), 3, "two lines of heading and lo: {inside}");
        assert!(!namespace.run_in(|| device::is_running("lo").unwrap()).unwrap());
    }

    fn what_a_thread_opened_inside_stays_inside() {
        let cable = Cable::new();
        let listener = cable.right.run_in(|| TcpListener::bind("10.1.0.2:80").unwrap()).unwrap();
        let client = cable.left.spawn_in("client", || TcpStream::connect("10.1.0.2:80").unwrap().peer_addr()).unwrap();
        listener.accept().unwrap();
        assert_eq!(client.join().unwrap().unwrap(), "10.1.0.2:80".parse().unwrap());
    }

    fn a_thread_that_panics_inside_hands_its_panic_to_the_caller() {
        let namespace = fresh();
        let payload = panic::catch_unwind(|| namespace.run_in(|| panic::resume_unwind(Box::new(41_u8)))).unwrap_err();
        assert_eq!(payload.downcast_ref::<u8>(), Some(&41));
    }

    fn a_child_runs_in_the_namespace_and_its_parent_does_not() {
        let namespace = fresh();
        let mut command = Command::new("readlink");
        command.arg("/proc/self/ns/net");
        namespace.command_in(&mut command).unwrap();
        // The command holds the namespace itself.
        let expected = link(&namespace);
        drop(namespace);
        assert_eq!(String::from_utf8(command.output().unwrap().stdout).unwrap().trim(), expected);
        assert_ne!(link(&Namespace::current().unwrap()), expected);
    }

    fn a_child_sees_the_devices_of_its_namespace_in_sys_when_asked() {
        let namespace = fresh();
        ip(&namespace, "link add only_here type veth peer name other");
        let mut command = Command::new("ls");
        command.arg("/sys/class/net");
        namespace.command_in(&mut command).unwrap();
        netns::command_with_own_sysfs(&mut command);
        let output = command.output().unwrap();
        let devices = String::from_utf8(output.stdout).unwrap();
        assert_eq!(devices.split_whitespace().collect::<Vec<_>>(), ["lo", "only_here", "other"]);
    }

    fn a_pinned_namespace_is_found_by_its_path_until_it_is_unpinned() {
        let namespace = fresh();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("by/name");
        with_own_mounts(|| {
            let pinned = namespace.pin_to(&path).unwrap();
            assert_eq!(pinned.path(), path);
            assert_eq!(Namespace::open(&path).unwrap().inode().unwrap(), namespace.inode().unwrap());
            drop(pinned);
            assert!(!path.exists());
        });
    }

    fn a_kept_pin_outlives_its_guard_and_every_descriptor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept");
        with_own_mounts(|| {
            let namespace = fresh();
            let inode = namespace.inode().unwrap();
            assert_eq!(namespace.pin_to(&path).unwrap().keep(), path);
            drop(namespace);
            assert_eq!(Namespace::open(&path).unwrap().inode().unwrap(), inode);
            netns::unpin(&path).unwrap();
            assert!(!path.exists());
        });
    }

    fn a_name_that_is_taken_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::write(&path, "foreign").unwrap();
        with_own_mounts(|| {
            assert_eq!(fresh().pin_to(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            netns::unpin(&path).unwrap_err();
        });
        assert_eq!(fs::read_to_string(&path).unwrap(), "foreign");
    }

    fn ip_netns_finds_a_pinned_namespace() {
        let namespace = fresh();
        with_own_mounts(|| {
            // A folder of our own over /run, in this thread's mounts: the machine's names are not touched.
            netns::cover_folder("/run").unwrap();
            let pinned = namespace.pin_to("/run/netns/meshtun-test").unwrap();
            let mut command = Command::new("ip");
            let output = command.args("netns exec meshtun-test readlink /proc/self/ns/net".split(' ')).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), link(&namespace), "{output:?}");
            // What iproute2 adds later covers nothing of ours.
            assert!(Command::new("ip").args(["netns", "add", "meshtun-foreign"]).status().unwrap().success());
            drop(pinned);
            let names = fs::read_dir("/run/netns").unwrap().map(|entry| entry.unwrap().file_name());
            assert_eq!(names.collect::<Vec<_>>(), ["meshtun-foreign"]);
        });
    }

    fn a_file_that_is_no_namespace_cannot_be_entered() {
        let namespace = Namespace::open("/dev/null").unwrap();
        let ran = std::sync::atomic::AtomicBool::new(false);
        let entered = namespace.run_in(|| ran.store(true, std::sync::atomic::Ordering::Relaxed));
        assert_eq!(entered.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(!ran.into_inner());
    }
}

#[test]
fn a_process_with_threads_cannot_enter_a_user_namespace_and_is_told_so() {
    thread::scope(|scope| {
        let (done, wait) = mpsc::channel::<()>();
        scope.spawn(move || wait.recv());
        assert!(matches!(netns::enter_user_namespace(), Err(UserNamespaceError::Threads)));
        drop(done);
    });
}

#[test]
fn a_child_in_a_user_namespace_is_root_of_namespaces_of_its_own() {
    let outside = link(&Namespace::current().unwrap());
    let mut command = Command::new("sh");
    command.args(["-c", "id -u; id -g; readlink /proc/self/ns/net; cat /proc/self/uid_map"]);
    netns::command_in_user_namespace(&mut command);
    let output = match command.output() {
        Err(refused) => return crate::support::cannot("a child in a user namespace", &refused.to_string()),
        Ok(output) => String::from_utf8(output.stdout).unwrap(),
    };
    let words: Vec<_> = output.split_whitespace().collect();
    assert_eq!(words[..2], ["0", "0"]);
    assert_ne!(words[2], outside);
    assert_eq!(words[3..], ["0", &process::effective_uid().to_string(), "1"]);
}

#[test]
fn a_child_dies_with_the_thread_that_started_it() {
    let start = || {
        let mut command = Command::new("sleep");
        command.arg("60");
        process::die_with_parent(&mut command);
        command.spawn().unwrap()
    };
    let mut child = thread::spawn(start).join().unwrap();
    let status = eventually("the child's end", || child.try_wait().unwrap());
    assert_eq!(status.signal(), Some(9));
}

#[test]
fn a_signal_reaches_the_process_and_a_process_that_was_waited_for_is_gone() {
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    assert!(process::exists(child.id()));
    process::signal(child.id(), Signal::Terminate).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    assert!(!process::exists(child.id()));
}
