//! What became of packets, in numbers that add up.

use std::ops::AddAssign;

use serde::Serialize;

use crate::line::{Arrival, Fate, Loss};

/// What became of packets that were sent into one direction, or several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Packets that were sent.
    pub sent: u64,
    /// Packets that were given to the receiver, second copies included.
    pub delivered: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Lost in a blocked direction.
    pub blocked: u64,
    /// Lost for their length.
    pub too_long: u64,
    /// Lost before a limit whose queue was full, or for want of memory for what is under way.
    pub overflowed: u64,
    /// Not taken by the receiver, where that can be: its device is down.
    pub refused: u64,
    /// Second copies that were made.
    pub duplicated: u64,
    /// Packets that were held back, so that later ones could overtake them.
    pub reordered: u64,
    /// Packets in which a bit was flipped; they are delivered.
    pub corrupted: u64,
}

impl Counts {
    /// A packet was sent, and this is what becomes of it: copies that arrive are counted when they do.
    pub fn note(&mut self, fate: &Fate) {
        self.sent += 1;
        match fate {
            Fate::Lost(Loss::Chance) => self.lost += 1,
            Fate::Lost(Loss::Blocked) => self.blocked += 1,
            Fate::Lost(Loss::TooLong) => self.too_long += 1,
            Fate::Lost(Loss::Overflow) => self.overflowed += 1,
            Fate::Arrives(_, second) => self.duplicated += u64::from(second.is_some()),
        }
    }

    /// A copy has set out.
    pub fn note_departure(&mut self, arrival: &Arrival) {
        self.corrupted += u64::from(arrival.flipped.is_some());
        self.reordered += u64::from(arrival.held_back);
    }

    /// Packets, or second copies, that did not get to the receiver and never will.
    pub fn gone(&self) -> u64 {
        self.lost + self.blocked + self.too_long + self.overflowed + self.refused
    }

    /// Packets that are under way.
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
