//! How the halves' events get to the control side: in bounded number, and each channel's bounded by itself.
//!
//! ```text
//!  halves of a channel ─► its budgets ─┬─► trusted    (what authenticated peers and the kernel said) ─► served first
//!                                      └─► untrusted  (what anybody on the underlay can cause)       ─► after 16
//! ```
//! A channel that spends its budget loses further events of its own and nobody else's, until the control side has taken
//! some. [`Event::Failed`] costs nothing and is never lost: a half fails once.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use crossbeam_channel::{Receiver, Sender};
use meshtun_sys::event::EventFd;

use crate::Event;

/// The receiving end of all workers' events.
///
/// What anybody on the underlay can cause waits in a queue of its own and comes last, so that a flood of handshakes
/// cannot crowd out what authenticated peers said; but one comes after each 16 of theirs, so that their frames cannot
/// keep others from coming in.
#[derive(Debug)]
pub struct Events {
    /// Trusted events since an untrusted one had its chance.
    in_a_row: AtomicU32,
    trusted: Receiver<Told>,
    untrusted: Receiver<Told>,
    wake: Arc<EventFd>,
}

impl Events {
    /// The next event, if one waits. Call [`Events::acknowledge`] before draining.
    pub fn poll_event(&self) -> Option<Event> {
        let is_turn_of_untrusted = self.in_a_row.load(Relaxed) >= TRUSTED_IN_A_ROW;
        let (first, second) =
            if is_turn_of_untrusted { (&self.untrusted, &self.trusted) } else { (&self.trusted, &self.untrusted) };
        let told = first.try_recv().or_else(|_| second.try_recv()).ok()?;
        if is_turn_of_untrusted {
            self.in_a_row.store(0, Relaxed);
        } else if !matches!(told.event, Event::Confirmed { .. }) {
            // Right behind a confirmation comes where the peer has moved to.
            self.in_a_row.fetch_add(1, Relaxed);
        }
        told.budget.give_back(cost(&told.event));
        Some(told.event)
    }

    /// Makes the descriptor unreadable again until the next event.
    ///
    /// # Errors
    /// The kernel's, from reading the event descriptor.
    pub fn acknowledge(&self) -> io::Result<()> {
        self.wake.drain()
    }
}

impl AsFd for Events {
    /// Readable while events may wait.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// An event under way, and what it was paid from.
#[derive(Debug)]
struct Told {
    event: Event,
    budget: Arc<Budget>,
}

/// One channel's end of the event queues.
#[derive(Clone, Debug)]
pub(crate) struct EventSender {
    trusted: Sender<Told>,
    untrusted: Sender<Told>,
    wake: Arc<EventFd>,
    trusted_budget: Arc<Budget>,
    untrusted_budget: Arc<Budget>,
}

impl EventSender {
    /// A sender with budgets of its own.
    pub(crate) fn of_channel(&self) -> EventSender {
        let among = Arc::clone(&self.untrusted_budget.among);
        let untrusted_budget = Arc::new(Budget { spent: AtomicU32::new(0), among });
        EventSender { trusted_budget: Arc::default(), untrusted_budget, ..self.clone() }
    }

    /// Sends an event; `false` if the channel has spent its budget or the queue is full, and then the event is lost.
    pub(crate) fn send(&self, event: Event) -> bool {
        let (queue, budget, limit) = match &event {
            Event::Handshake { .. } | Event::UnknownSession { .. } | Event::Refused { .. } => {
                (&self.untrusted, &self.untrusted_budget, self.untrusted_budget.share())
            }
            // What a half itself has to say finds room when its peer's frames have taken theirs.
            Event::Frame { .. } => (&self.trusted, &self.trusted_budget, FRAMES),
            _ => (&self.trusted, &self.trusted_budget, TRUSTED),
        };
        if !budget.spend(cost(&event), limit) {
            return false;
        }
        match queue.try_send(Told { event, budget: Arc::clone(budget) }) {
            Ok(()) => self.wake.notify().is_ok(),
            Err(refused) => {
                let told = refused.into_inner();
                told.budget.give_back(cost(&told.event));
                false
            }
        }
    }
}

/// What of a channel's events waits, in units of [`cost`]. Both of its halves spend, and the control side gives back.
#[derive(Debug, Default)]
struct Budget {
    spent: AtomicU32,
    /// Held by all budgets that have to share.
    among: Arc<()>,
}

impl Budget {
    /// Whether it could be afforded. It may go over the limit by one event's cost, so that each can be had alone.
    fn spend(&self, cost: u32, limit: u32) -> bool {
        cost == 0 || self.spent.fetch_update(Relaxed, Relaxed, |spent| (spent < limit).then_some(spent + cost)).is_ok()
    }

    fn give_back(&self, cost: u32) {
        self.spent.fetch_sub(cost, Relaxed);
    }

    /// What it may spend if all that have to share spend as much.
    fn share(&self) -> u32 {
        let sharing = u32::try_from(Arc::strong_count(&self.among)).unwrap_or(u32::MAX).max(1);
        (ALL_UNTRUSTED / sharing).clamp(LEAST_UNTRUSTED, UNTRUSTED)
    }
}

/// What an event takes of its channel's budget: one, and one for each KiB that it carries.
fn cost(event: &Event) -> u32 {
    match event {
        Event::Failed { .. } => 0,
        Event::Frame { plaintext, .. } => 1 + u32::try_from(plaintext.len() / 1024).unwrap_or(u32::MAX),
        _ => 1,
    }
}

pub(crate) fn event_queue() -> io::Result<(EventSender, Events)> {
    let wake = Arc::new(EventFd::new()?);
    // Their bounds are the sums of the channels' budgets.
    let (trusted_in, trusted) = crossbeam_channel::unbounded();
    let (untrusted_in, untrusted) = crossbeam_channel::unbounded();
    let (trusted_budget, untrusted_budget) = (Arc::default(), Arc::default());
    let sender = EventSender {
        trusted: trusted_in,
        untrusted: untrusted_in,
        wake: Arc::clone(&wake),
        trusted_budget,
        untrusted_budget,
    };
    Ok((sender, Events { in_a_row: AtomicU32::new(0), trusted, untrusted, wake }))
}

/// A channel's control frames: some four probes and answers a round trip are usual, and padded probes of a path's MTU.
const FRAMES: u32 = 64;

/// All that is authentic of a channel.
const TRUSTED: u32 = FRAMES + 16;

/// What strangers can make of one channel's handshake messages: a flood at one port leaves the others their room.
const UNTRUSTED: u32 = 256;

/// … and of all channels', which share it, so that floods at many ports leave others their room, too.
const ALL_UNTRUSTED: u32 = 4096;

/// A channel's share of it however many there are.
const LEAST_UNTRUSTED: u32 = 4;

/// Trusted events after which an untrusted one has its turn.
const TRUSTED_IN_A_ROW: u32 = 16;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::{ChannelId, Half};

    fn frame(channel: u32, length: usize) -> Event {
        let plaintext = vec![0; length].into();
        Event::Frame { channel: ChannelId(channel), at: Instant::now(), session: 7, plaintext }
    }

    fn handshake(channel: u32) -> Event {
        let from = "192.0.2.1:9".parse().unwrap();
        Event::Handshake { channel: ChannelId(channel), from, datagram: Box::default() }
    }

    fn failed(channel: u32) -> Event {
        let error = io::Error::from_raw_os_error(77);
        Event::Failed { channel: ChannelId(channel), half: Half::Sending, error }
    }

    fn sent(sender: &EventSender, event: impl Fn() -> Event) -> usize {
        (0..100_000).take_while(|_| sender.send(event())).count()
    }

    #[test]
    fn a_peer_that_fills_its_channels_budget_with_frames_takes_nothing_from_others() {
        let (sender, events) = event_queue().unwrap();
        let (one, other) = (sender.of_channel(), sender.of_channel());
        assert_eq!(sent(&one, || frame(1, 40)), FRAMES as usize);
        assert!(other.send(frame(2, 40)));
        // Nor from what its own halves have to say.
        assert!(one.send(Event::Confirmed { channel: ChannelId(1), session: 7 }));
        assert!(one.clone().send(Event::Confirmed { channel: ChannelId(1), session: 8 }), "the other half");
        assert!(!one.send(frame(1, 40)));
        let told = std::iter::from_fn(|| events.poll_event()).count();
        assert_eq!(told, FRAMES as usize + 3);
        assert_eq!(sent(&one, || frame(1, 40)), FRAMES as usize, "what is taken is given back");
    }

    #[test]
    fn long_frames_cost_what_they_weigh_and_the_longest_can_still_be_had_alone() {
        let (sender, _events) = event_queue().unwrap();
        assert_eq!(sent(&sender.of_channel(), || frame(1, 9_000)), 8);
        assert_eq!(sent(&sender.of_channel(), || frame(1, 65_000)), 1);
    }

    #[test]
    fn a_failure_is_told_whatever_else_waits() {
        let (sender, events) = event_queue().unwrap();
        let channel = sender.of_channel();
        sent(&channel, || frame(1, 40));
        sent(&channel, || Event::Confirmed { channel: ChannelId(1), session: 7 });
        sent(&channel, || handshake(1));
        assert!(channel.send(failed(1)));
        assert!(std::iter::from_fn(|| events.poll_event()).any(|event| matches!(event, Event::Failed { .. })));
    }

    #[test]
    fn handshakes_at_one_port_leave_room_for_those_at_others_and_come_last() {
        let (sender, events) = event_queue().unwrap();
        let (one, other) = (sender.of_channel(), sender.of_channel());
        assert_eq!(sent(&one, || handshake(1)), UNTRUSTED as usize);
        assert!(other.send(handshake(2)));
        assert!(other.send(frame(2, 40)));
        assert!(matches!(events.poll_event(), Some(Event::Frame { .. })));
    }

    #[test]
    fn handshakes_at_many_ports_leave_room_for_those_at_others() {
        let (sender, _events) = event_queue().unwrap();
        let channels: Vec<EventSender> = (0..99).map(|_| sender.of_channel()).collect();
        let share = ALL_UNTRUSTED as usize / 100;
        assert!(channels.iter().all(|channel| sent(channel, || handshake(3)) == share), "the last as the first");
        drop(channels);
        let (crowded, _events) = event_queue().unwrap();
        let channels: Vec<EventSender> = (0..10_000).map(|_| crowded.of_channel()).collect();
        assert_eq!(sent(&channels[9_999], || handshake(3)), LEAST_UNTRUSTED as usize);
    }

    #[test]
    fn frames_that_never_end_do_not_keep_a_handshake_from_coming_in() {
        let (sender, events) = event_queue().unwrap();
        let (busy, other) = (sender.of_channel(), sender.of_channel());
        sent(&busy, || frame(1, 40));
        (0..3).for_each(|_| assert!(other.send(handshake(2))));
        let mut at = Vec::new();
        for polled in 0..60 {
            if matches!(events.poll_event(), Some(Event::Handshake { .. })) {
                at.push(polled);
            } else {
                assert!(busy.send(frame(1, 40)), "as much as is taken comes again");
            }
        }
        assert_eq!(at, [16, 33, 50]);
    }
}
