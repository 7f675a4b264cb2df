//! Over TCP.

use netns_lab::trial;

use super::{END, Ends, OPENVPN, PEER, restarts::start_behind};
use crate::bed::run;

#[test]
fn why_a_connection_makes_no_sense_is_told_before_that_it_is_given_up() {
    trial::run_with_tun(|| {
        let ends = Ends::new(&format!("{PEER}proto tcp-server\n"));
        run(&ends.left, &format!("{OPENVPN} --genkey secret {}", ends.folder.join("other").display()));
        // It says nothing by itself, or the peer might be the first to give up.
        let silent = END.replace("ping 5\nping-restart 30\n", "").replace("secret key", "secret other");
        let mut running = start_behind(&ends, &["env"], &format!("{silent}proto tcp-client\n"));
        running.wait_for("Fatal decryption error (process_incoming_link), restarting", 1);
        let log = running.log();
        let why = log.find("Authenticate/Decrypt packet error: packet HMAC authentication failed");
        assert!(why.is_some() && why < log.find("Fatal decryption error"), "{log}");
        running.child.signal(meshtun_sys::process::Signal::Terminate).unwrap();
        assert!(running.child.wait().unwrap().success());
    });
}
