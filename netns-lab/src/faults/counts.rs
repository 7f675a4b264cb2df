//! What became of frames.

use std::ops::AddAssign;

use serde::Serialize;

/// Whose frames are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Key {
    /// The gateway that sent them, counted from 0.
    pub from: usize,
    /// The gateway that they are for.
    pub to: usize,
    /// The UDP port that they are for; none for everything else.
    pub port: Option<u16>,
    /// Datagrams that look like a WireGuard handshake's (types 1 to 3), which are counted apart.
    pub handshake: bool,
}

/// What became of the frames of one [`Key`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Frames that came from the gateway.
    pub sent: u64,
    /// Frames given to the other gateway's kernel, second copies included.
    pub delivered: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Lost in a blocked direction.
    pub blocked: u64,
    /// Lost for their length.
    pub too_long: u64,
    /// Lost before a limit whose queue was full, or for want of memory for what is under way.
    pub overflowed: u64,
    /// Not taken by the other gateway: its device is down.
    pub refused: u64,
    /// Second copies that were made.
    pub duplicated: u64,
    /// Frames that were held back, so that later ones could overtake them.
    pub reordered: u64,
    /// Frames in which a bit was flipped; they are delivered.
    pub corrupted: u64,
}

impl Counts {
    /// Frames, or second copies, that did not get to the other gateway and never will.
    pub fn gone(&self) -> u64 {
        self.lost + self.blocked + self.too_long + self.overflowed + self.refused
    }

    /// Frames that are under way.
    pub fn under_way(&self) -> u64 {
        (self.sent + self.duplicated).saturating_sub(self.delivered + self.gone())
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.sent += other.sent;
        self.delivered += other.delivered;
        self.lost += other.lost;
        self.blocked += other.blocked;
        self.too_long += other.too_long;
        self.overflowed += other.overflowed;
        self.refused += other.refused;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.corrupted += other.corrupted;
    }
}
