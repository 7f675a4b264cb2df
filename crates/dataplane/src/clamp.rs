//! To what a half lowers the maximum segment size of TCP connections.

/// To what the maximum segment size in TCP SYNs is lowered, in both directions; it is never raised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClampMss {
    /// It is left alone.
    #[default]
    Off,
    /// So that packets fit the device's MTU.
    ToMtu,
    /// So that packets have so many bytes at most, with IP and TCP headers but without their options.
    To(u16),
}

/// A half's setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clamp {
    how: ClampMss,
    mtu: u16,
    /// The longest packet; none if sizes are left alone.
    pub(crate) longest: Option<u16>,
}

impl Clamp {
    pub(crate) fn new(mtu: u16) -> Clamp {
        Clamp { how: ClampMss::Off, mtu, longest: None }
    }

    pub(crate) fn set(&mut self, how: ClampMss) {
        self.how = how;
        self.longest = match how {
            ClampMss::Off => None,
            ClampMss::ToMtu => Some(self.mtu),
            ClampMss::To(longest) => Some(longest),
        };
    }

    pub(crate) fn set_mtu(&mut self, mtu: u16) {
        self.mtu = mtu;
        self.set(self.how);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_mtu_follows_it_and_nothing_else_does() {
        let mut clamp = Clamp::new(1420);
        assert_eq!(clamp.longest, None);
        clamp.set(ClampMss::ToMtu);
        assert_eq!(clamp.longest, Some(1420));
        clamp.set_mtu(1300);
        assert_eq!(clamp.longest, Some(1300));
        clamp.set(ClampMss::To(1400));
        clamp.set_mtu(1200);
        assert_eq!(clamp.longest, Some(1400));
        clamp.set(ClampMss::Off);
        clamp.set_mtu(1500);
        assert_eq!(clamp.longest, None);
    }
}
