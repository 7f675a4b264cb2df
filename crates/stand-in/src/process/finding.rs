//! Finding the peer: names resolved, before and after the device is opened (socket.c, `resolve_remote`).

use std::time::Duration;

use meshtun_openvpn::text::{Ending, Level, Signal};
use tokio::time::sleep;

use super::Process;
use crate::{
    fatal::Fatal,
    link::{Peer, Plan, Unresolved, resolve},
};

/// Between attempts to resolve a name (socket_util.c, `openvpn_getaddrinfo`).
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(5);

impl Process {
    /// Before the device is opened. None: the peer's name does not resolve yet, see [`Self::find_late`].
    ///
    /// # Errors
    /// If it does not and `resolv-retry` is 0, or if there is no such local address.
    pub(super) async fn find_early(&mut self) -> Result<Result<Option<Plan>, Ending>, Fatal> {
        match self.resolve_remote().await {
            Err(ending) => Ok(Err(ending)),
            Ok(Ok(())) => Ok(self.plan().await?.map(Some)),
            Ok(Err(unresolved)) if self.options.resolv_retry == Some(Duration::ZERO) => Err(Fatal::new(format_args!(
                "{unresolved} (I would have retried this name query if you had specified the --resolv-retry option.)"
            ))),
            Ok(Err(unresolved)) => {
                self.log.say(Level::RESOLVE, unresolved);
                Ok(Ok(None))
            }
        }
    }

    /// With the device open, for as long as `resolv-retry` says; without a limit once. The session begins anew then.
    pub(super) async fn find_late(&mut self) -> Result<Result<Plan, Ending>, Fatal> {
        let mut left = attempts(self.options.resolv_retry);
        loop {
            match self.resolve_remote().await {
                Err(ending) => return Ok(Err(ending)),
                Ok(Ok(())) => return self.plan().await,
                Ok(Err(unresolved)) => self.log.say(Level::RESOLVE, unresolved),
            }
            left -= 1;
            if left == 0 {
                break;
            }
            if let Err(ending) = self.unless_interrupted(sleep(BETWEEN_ATTEMPTS)).await {
                return Ok(Err(ending));
            }
        }
        let why = "Could not determine IPv4/IPv6 protocol";
        self.log.say(Level::RESOLVE, why);
        Ok(Err(self.soft(Signal::Usr1, why)))
    }

    /// Resolves the remote's name, unless its address is known.
    async fn resolve_remote(&mut self) -> Result<Result<(), Unresolved>, Ending> {
        let known = self.kept_address().is_some() || self.remotes.address().is_some();
        let Some(remote) = self.remotes.current(&self.options).filter(|_| !known).cloned() else { return Ok(Ok(())) };
        let resolved = self.unless_interrupted(resolve(&remote.host, remote.port, remote.family)).await?;
        Ok(resolved.map(|addresses| self.remotes.resolved(addresses)))
    }

    async fn plan(&mut self) -> Result<Result<Plan, Ending>, Fatal> {
        let (options, log) = (self.options.clone(), self.log.clone());
        let (protocol, family) = match self.remotes.current(&options) {
            Some(remote) => (remote.protocol, remote.family),
            None => (options.protocol, options.family),
        };
        let address = self.kept_address().or(self.remotes.address());
        let plan = Plan::make(&options, Peer { protocol, family, address }, &log);
        match self.unless_interrupted(plan).await {
            Err(ending) => Ok(Err(ending)),
            Ok(plan) => plan.map(Ok).map_err(Fatal::new),
        }
    }

    /// Where the peer was heard in an earlier session, if that is to be used again.
    fn kept_address(&self) -> Option<std::net::SocketAddr> {
        self.heard_at.filter(|_| self.options.persist_remote_ip)
    }
}

/// How often a name is tried while the device is open.
fn attempts(limit: Option<Duration>) -> u64 {
    limit.map_or(1, |limit| limit.as_secs().div_ceil(BETWEEN_ATTEMPTS.as_secs()).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_tried_every_five_seconds_for_as_long_as_it_may() {
        let of = |seconds| attempts(Some(Duration::from_secs(seconds)));
        assert_eq!([of(1), of(5), of(6), of(60)], [1, 1, 2, 12]);
        assert_eq!(attempts(None), 1, "the session begins anew after that");
    }
}
