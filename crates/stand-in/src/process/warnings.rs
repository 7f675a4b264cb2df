//! What is likely not meant, said at the start of each session (init.c, `do_option_warnings`).

use meshtun_openvpn::options::Options;

use crate::log::Log;

/// Says it.
pub(super) fn tell(options: &Options, log: &Log) {
    of(options).into_iter().for_each(|warning| log.warning(warning));
}

fn of(options: &Options) -> Vec<&'static str> {
    let (is_other, is_locked) = (options.user.is_some() && options.group.is_some(), options.chroot.is_some());
    let drops = options.user.is_some() || options.group.is_some() || is_locked;
    let cases = [
        (
            options.ping.is_some() && options.ping_timeout.is_none(),
            "WARNING: --ping should normally be used with --ping-restart or --ping-exit",
        ),
        (
            drops && !options.persist_tun,
            "WARNING: you are using user/group/chroot/setcon without persist-tun -- this may cause restarts to fail",
        ),
        (
            is_locked && !is_other,
            "WARNING: you are using chroot without specifying user and group -- this may cause the chroot jail to be insecure",
        ),
    ];
    cases.into_iter().filter_map(|(is_so, warning)| is_so.then_some(warning)).collect()
}

#[cfg(test)]
mod tests {
    use meshtun_openvpn::directive::read_file;

    use super::*;

    fn warned(more: &str) -> usize {
        let text = format!("dev tun\nsecret k\n{more}");
        of(&Options::read(&read_file("a", text.as_bytes(), &mut |_| unreachable!("nothing is named"))).options).len()
    }

    #[test]
    fn whoever_drops_rights_is_told_to_keep_the_device() {
        assert_eq!(warned("ping 5\nping-restart 30\nuser nobody\ngroup nogroup\nchroot /jail\npersist-tun\n"), 0);
        assert_eq!(warned("user nobody\n"), 1);
        assert_eq!(warned("chroot /jail\nuser nobody\n"), 2);
        assert_eq!(warned("ping 5\n"), 1);
    }
}
