//! File locks.

use std::{fs, os::unix::fs::symlink};

use meshtun_sys::lock::{Lock, LockError};

#[test]
fn a_lock_has_one_holder_and_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let held = Lock::acquire(&path).unwrap();
    let us = Some(std::process::id());
    match Lock::acquire(&path).unwrap_err() {
        LockError::Held { path: named, holder } => assert_eq!((named, holder), (path.clone(), us)),
        other => panic!("{other}"),
    }
    assert_eq!(Lock::holder(&path).unwrap(), us);
    drop(held);
    assert_eq!(Lock::holder(&path).unwrap(), None);
    drop(Lock::acquire(&path).unwrap());
}

#[test]
fn a_refusal_says_which_process_holds_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let _held = Lock::acquire(&path).unwrap();
    let expected = format!("{}: held by process {}", path.display(), std::process::id());
    assert_eq!(Lock::acquire(&path).unwrap_err().to_string(), expected);
}

#[test]
fn what_an_earlier_holder_left_in_the_file_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    fs::write(&path, "4294967295 and more than a process id").unwrap();
    let _held = Lock::acquire(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (target, link) = (folder.path().join("target"), folder.path().join("lock"));
    fs::write(&target, "precious").unwrap();
    symlink(&target, &link).unwrap();
    assert!(matches!(Lock::acquire(&link), Err(LockError::Io { .. })));
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
}

#[test]
fn a_missing_folder_is_named() {
    let refused = Lock::acquire("/nonexistent/folder/lock").unwrap_err();
    assert!(refused.to_string().starts_with("/nonexistent/folder/lock: "), "{refused}");
}
