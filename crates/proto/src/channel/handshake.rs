//! Initiations, responses and cookies: from a datagram to a session's keys.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::{Rng, RngExt};
use zerocopy::IntoBytes;
use zeroize::Zeroizing;

use super::greeting::Greeting;
use super::output::{Destination, Output};
use super::sessions::Session;
use super::timers::RETRY_EVERY;
use super::{Channel, Peer};
use crate::Suite;
use crate::cookie::{CookieChecker, CookieError, CookieJar, Refusal, Verified};
use crate::message::{self, CookieReply, Handshake, Initiation, Kind, Response};
use crate::noise::{Initiator, NoiseError, Peering, SessionKeys};
use crate::tai64n::Tai64n;

/// An initiation can be answered for so long, so that a path slower than the retries gets through.
const ANSWERABLE_FOR: Duration = Duration::from_secs(5);
/// The most initiations that can be answered at once: more than go out in that time.
const MAX_OUTSTANDING: usize = 8;

/// Why a handshake datagram was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// Not of a known type and length, or a transport message.
    #[error("not a handshake message")]
    Malformed,
    /// Its MAC1 was not made for our public key.
    #[error("the sender does not know this gateway's public key")]
    WrongMac1,
    /// We are under load and it bore no valid MAC2; a cookie went out.
    #[error("under load: the sender was asked to prove its address")]
    CookieSent,
    /// It does not prove the peer's key, or answers nothing that we asked.
    #[error(transparent)]
    Noise(#[from] NoiseError),
    /// It would be authentic in the other cipher suite.
    #[error("the other end uses the cipher {theirs}, this end {ours}: set the same cipher at both ends")]
    OtherSuite {
        /// Our suite.
        ours: Suite,
        /// The suite it was made for.
        theirs: Suite,
    },
    /// Its stamp is not later than that of an initiation that was answered before.
    #[error("a replayed initiation, or the other end's clock went back across a restart")]
    Replayed,
    /// A cookie reply that is of no use.
    #[error(transparent)]
    Cookie(#[from] CookieError),
    /// The channel was closed.
    #[error("the channel is closed")]
    Closed,
}

impl HandshakeError {
    /// The reason under which the message is counted: words for tables and metrics, never changed.
    pub fn label(self) -> &'static str {
        match self {
            HandshakeError::Malformed => "handshake-malformed",
            HandshakeError::WrongMac1 => "handshake-wrong-mac1",
            HandshakeError::CookieSent => "handshake-under-load",
            HandshakeError::Noise(NoiseError::UnknownIndex) | HandshakeError::Cookie(CookieError::Unasked) => {
                "handshake-unasked"
            }
            HandshakeError::Noise(_) | HandshakeError::Cookie(CookieError::Forged) => "handshake-forged",
            HandshakeError::OtherSuite { .. } => "handshake-other-cipher",
            HandshakeError::Replayed => "handshake-replayed",
            HandshakeError::Closed => "handshake-closed",
        }
    }

    /// Whether it says something about the peer, rather than about whoever sent a datagram.
    fn concerns_peer(self) -> bool {
        match self {
            HandshakeError::Noise(error) => error != NoiseError::UnknownIndex,
            HandshakeError::OtherSuite { .. } | HandshakeError::Replayed => true,
            _ => false,
        }
    }
}

/// What handshakes need and leave behind.
pub(super) struct Handshakes {
    peering: Peering,
    checker: CookieChecker,
    jar: CookieJar,
    /// Our initiations that were not answered yet, oldest first.
    outstanding: Vec<Outstanding>,
    /// The stamp of the last initiation that we answered.
    last_stamp: Tai64n,
}

struct Outstanding {
    initiator: Initiator,
    sent: Instant,
    generation: u32,
}

/// A session whose keys were agreed.
struct Agreed {
    keys: SessionKeys,
    begun: Instant,
    from: SocketAddr,
    initiated_by_us: bool,
    generation: u32,
}

impl Handshakes {
    pub(super) fn new(peering: Peering, public_key: &[u8; 32], peer_key: &[u8; 32]) -> Self {
        Handshakes {
            peering,
            checker: CookieChecker::new(public_key),
            jar: CookieJar::new(peer_key),
            outstanding: Vec::new(),
            last_stamp: Tai64n::ZERO,
        }
    }

    pub(super) fn forget_outstanding(&mut self) {
        self.outstanding.clear();
    }

    fn position(&self, index: u32) -> Option<usize> {
        self.outstanding.iter().position(|initiation| initiation.initiator.index() == index)
    }

    /// Makes room, and forgets what can no longer be answered.
    fn remember(&mut self, initiation: Outstanding) {
        let now = initiation.sent;
        self.outstanding.retain(|old| old.sent + ANSWERABLE_FOR > now);
        if self.outstanding.len() == MAX_OUTSTANDING {
            self.outstanding.remove(0);
        }
        self.outstanding.push(initiation);
    }

    /// Ends the handshake that a response answers, and with it all that we began beside it. When
    /// the response fails, everything stays as it was.
    fn complete(&mut self, response: Verified<'_, Response>, from: SocketAddr) -> Result<Agreed, NoiseError> {
        let at = self.position(response.message().receiver.get()).ok_or(NoiseError::UnknownIndex)?;
        let Outstanding { initiator, sent: begun, generation } = self.outstanding.remove(at);
        match initiator.consume_response(&self.peering, response) {
            Ok(keys) => {
                self.outstanding.clear();
                Ok(Agreed { keys, begun, from, initiated_by_us: true, generation })
            }
            Err(failed) => {
                let (initiator, error) = *failed;
                self.outstanding.insert(at, Outstanding { initiator, sent: begun, generation });
                Err(error)
            }
        }
    }
}

impl Channel {
    pub(super) fn take_handshake(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
        under_load: bool,
    ) -> Result<(), HandshakeError> {
        let result = match message::classify(datagram) {
            Some(Kind::Initiation) => self.take_initiation(now, from, datagram, under_load),
            Some(Kind::Response) => self.take_response(now, from, datagram, under_load),
            Some(Kind::CookieReply) => self.take_cookie(now, datagram),
            Some(Kind::Transport) | None => Err(HandshakeError::Malformed),
        };
        if let Some(error) = result.err().filter(|error| error.concerns_peer()) {
            self.last_error = Some(error);
        }
        result
    }

    /// Sends an initiation. Whatever comes of it, the next one is not before its time.
    pub(super) fn initiate(&mut self, now: Instant, stamp: Tai64n) {
        self.timers.not_before = now + self.until_next_initiation(now);
        self.timers.asleep_until = self.timers.asleep_until.max(self.timers.not_before.min(now + RETRY_EVERY));
        let (index, ephemeral) = (self.new_index(), self.new_ephemeral());
        match self.handshakes.peering.initiate(index, ephemeral, stamp) {
            Ok((initiator, message)) => {
                let generation = self.sessions.next_generation();
                self.handshakes.remember(Outstanding { initiator, sent: now, generation });
                self.transmit(now, Destination::Endpoint, message);
            }
            Err(error) => self.last_error = Some(error.into()),
        }
    }

    fn take_initiation(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
        under_load: bool,
    ) -> Result<(), HandshakeError> {
        let message = Initiation::view(datagram).ok_or(HandshakeError::Malformed)?;
        let message = self.verify(now, from, message, under_load)?;
        let responder =
            self.handshakes.peering.consume_initiation(message).map_err(|error| self.diagnose(error, message))?;
        let stamp = responder.stamp();
        if stamp <= self.handshakes.last_stamp {
            return Err(HandshakeError::Replayed);
        }
        let (index, ephemeral) = (self.new_index(), self.new_ephemeral());
        let (keys, response) = responder.respond(&self.handshakes.peering, index, ephemeral)?;
        self.handshakes.last_stamp = stamp;

        // The answer is on its way: an initiation of our own would only cross the peer's hello.
        // Once: while an answer waits for its confirmation, another one (a replay to an end that restarted) puts off
        // nothing more.
        if self.sessions.iter().all(|session| session.confirmed) {
            self.timers.not_before = self.timers.not_before.max(now + self.until_confirmed());
        }
        let generation = self.sessions.next_generation();
        self.install(now, Agreed { keys, begun: now, from, initiated_by_us: false, generation });
        self.transmit(now, Destination::Addr(from), response);
        Ok(())
    }

    fn take_response(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
        under_load: bool,
    ) -> Result<(), HandshakeError> {
        let message = Response::view(datagram).ok_or(HandshakeError::Malformed)?;
        let message = self.verify(now, from, message, under_load)?;
        let agreed = self.handshakes.complete(message, from)?;
        let index = agreed.keys.local_index();
        self.last_error = None;
        self.install(now, agreed);
        if self.peer == Peer::WireGuard {
            // The responder may not speak before it heard us (WireGuard paper, section 5.4.5).
            self.outputs.push_back(Output::Seal { session: index, plaintext: Vec::new() });
            self.complete_plain(now, index);
        } else {
            self.say_hello(now, index, false);
        }
        Ok(())
    }

    fn take_cookie(&mut self, now: Instant, datagram: &[u8]) -> Result<(), HandshakeError> {
        let reply = CookieReply::view(datagram).ok_or(HandshakeError::Malformed)?;
        Ok(self.handshakes.jar.accept(now, reply)?)
    }

    /// Checks the MACs, and hands out a cookie where one is wanted.
    fn verify<'m, M: Handshake>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        message: &'m M,
        under_load: bool,
    ) -> Result<Verified<'m, M>, HandshakeError> {
        let verdict = self.handshakes.checker.verify(now, from, message, under_load, &mut self.rng);
        verdict.map_err(|refusal| match refusal {
            Refusal::WrongMac1 => HandshakeError::WrongMac1,
            Refusal::CookieNeeded(reply) => {
                let datagram = reply.as_bytes().to_vec();
                self.outputs.push_back(Output::Transmit { to: Destination::Addr(from), datagram });
                HandshakeError::CookieSent
            }
        })
    }

    /// Looks for the other suite behind a forgery, as long as there is a handshake to be missed:
    /// it costs as much as reading the initiation did.
    fn diagnose(&self, error: NoiseError, message: Verified<'_, Initiation>) -> HandshakeError {
        let peering = &self.handshakes.peering;
        let is_missed = error == NoiseError::Forged && self.sessions.used().is_none();
        if is_missed && peering.is_of_other_suite(message) {
            return HandshakeError::OtherSuite { ours: peering.suite(), theirs: peering.suite().other() };
        }
        error.into()
    }

    fn transmit<M: Handshake>(&mut self, now: Instant, to: Destination, mut message: M) {
        self.handshakes.jar.add_macs(now, &mut message);
        self.outputs.push_back(Output::Transmit { to, datagram: message.as_bytes().to_vec() });
    }

    /// Gives the keys to the halves, and the session its place.
    fn install(&mut self, now: Instant, agreed: Agreed) {
        let Agreed { keys, begun, from, initiated_by_us, generation } = agreed;
        let index = keys.local_index();
        let renew_at = self.latest_renewal(now, initiated_by_us);
        let is_meshtun = self.peer != Peer::WireGuard;
        while let Some(older) = self.sessions.in_the_way(!initiated_by_us, !self.is_deaf()) {
            self.retire(older);
        }
        self.make_room_among_left();
        self.sessions.insert(Session {
            index,
            since: now,
            begun,
            renew_at,
            initiated_by_us,
            from,
            confirmed: initiated_by_us,
            admitted: !is_meshtun,
            acknowledged: false,
            greeting: (is_meshtun && initiated_by_us).then(|| Greeting::spoken(now)),
            generation,
            life: 0,
        });
        let (send, receive) = keys.into_halves(now);
        self.outputs.extend([Output::InstallReceive(receive), Output::InstallSend(send)]);
        if !is_meshtun {
            self.outputs.push_back(Output::Admit(index));
        }
    }

    /// An index that none of our sessions or initiations has.
    fn new_index(&mut self) -> u32 {
        loop {
            let index = self.rng.random();
            let is_taken = self.sessions.get(index).is_some() || self.leaving.has(index);
            if !is_taken && self.handshakes.position(index).is_none() {
                return index;
            }
        }
    }

    fn new_ephemeral(&mut self) -> Zeroizing<[u8; 32]> {
        let mut ephemeral = Zeroizing::new([0; 32]);
        self.rng.fill_bytes(ephemeral.as_mut_slice());
        ephemeral
    }
}
