//! Puts `unreachable` routes back the moment that somebody deletes them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use ipnet::IpNet;
use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::MulticastGroup;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::{error, warn};

use crate::connection::Connection;
use crate::{ActualRouteKind, GUARD_METRIC, NetworkError, Route, Step, UNREACHABLE_METRIC, apply, read};

/// The networks whose `unreachable` routes shall come back. Clones share the set.
#[derive(Debug, Clone, Default)]
pub struct Protected(Arc<Mutex<BTreeSet<IpNet>>>);

impl Protected {
    /// These from here on, and no others. Nothing is added that is missing already.
    pub fn set(&self, prefixes: impl IntoIterator<Item = IpNet>) {
        *self.lock() = prefixes.into_iter().map(|prefix| prefix.trunc()).collect();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<IpNet>> {
        // A set is whole whatever panicked while it was held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers each deletion of an `unreachable` route of ours, or of its guard, without a look at anything else: until then
/// packets leave by the next shorter route. The time of one wake-up of its task is left.
///
/// It has sockets of its own, so that it waits for no dump. Dropping it ends it.
#[derive(Debug)]
pub struct Sentry {
    post: Post,
    task: JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct Post {
    connection: Connection,
    protected: Protected,
    /// Held from the look into `protected` until the kernel has answered.
    busy: Arc<tokio::sync::Mutex<()>>,
}

impl Sentry {
    /// Begins in the network namespace of the calling thread.
    ///
    /// # Errors
    /// If the kernel's word of routes cannot be had.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(protected: Protected) -> Result<Sentry, NetworkError> {
        let connection = Connection::open().map_err(NetworkError::Open)?;
        let post = Post { connection, protected, busy: Arc::default() };
        let deletions = Deletions::new()?;
        let task = tokio::spawn(post.clone().stand(deletions));
        Ok(Sentry { post, task })
    }

    /// Protects nothing any more: what is deleted after this has returned stays away.
    pub async fn stand_down(&self) {
        self.post.protected.set([]);
        drop(self.post.busy.lock().await);
    }
}

impl Drop for Sentry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Post {
    async fn stand(self, mut deletions: Deletions) {
        let mut told: Option<Instant> = None;
        loop {
            let missing = match deletions.next().await {
                Some(Deletion::Of(route)) => vec![route],
                Some(Deletion::Unknown) => self.all(),
                None => {
                    deletions = again().await;
                    self.all()
                }
            };
            for route in missing {
                let Some(step) = self.put_back(route).await else { continue };
                if told.is_none_or(|told| told.elapsed() > BETWEEN_WORDS) {
                    told = Some(Instant::now());
                    warn!("somebody deletes `unreachable` routes of meshtun, which are put back at once: {step}");
                }
            }
        }
    }

    fn all(&self) -> Vec<Route> {
        let protected = self.protected.lock();
        protected.iter().flat_map(|prefix| [Route::unreachable(*prefix), Route::guard(*prefix)]).collect()
    }

    /// What was done; none if the route is there, or not protected.
    async fn put_back(&self, route: Route) -> Option<Step> {
        let _busy = self.busy.lock().await;
        if !self.protected.lock().contains(&route.prefix) {
            return None;
        }
        match apply::restore_route(&self.connection, &route).await {
            Ok(made) => made.then_some(Step::AddRoute(route)),
            Err(failure) => {
                error!("an `unreachable` route that somebody deleted cannot be put back at once: {failure}");
                None
            }
        }
    }
}

/// What the kernel says of routes that are deleted.
struct Deletions(Box<dyn futures_util::Stream<Item = NetlinkPayload<RouteNetlinkMessage>> + Send + Unpin>);

enum Deletion {
    Of(Route),
    /// The kernel had more to say than the socket could hold.
    Unknown,
}

impl Deletions {
    fn new() -> Result<Deletions, NetworkError> {
        let groups = [MulticastGroup::Ipv4Route, MulticastGroup::Ipv6Route];
        let (connection, handle, messages) =
            rtnetlink::new_multicast_connection(&groups).map_err(NetworkError::Open)?;
        tokio::spawn(connection);
        // The task lives as long as the handle or the stream.
        drop(handle);
        Ok(Deletions(Box::new(messages.map(|(message, _)| message.payload))))
    }

    /// None when the socket is lost.
    async fn next(&mut self) -> Option<Deletion> {
        loop {
            match self.0.next().await? {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelRoute(message)) => {
                    let route = read::route_of(&message, &Default::default());
                    // One of another kind in this place is in our way, and goes in a repair.
                    let route = route.filter(|route| route.is_ours() && route.kind == ActualRouteKind::Unreachable);
                    match route.map(|route| (route.metric, route.prefix)) {
                        Some((UNREACHABLE_METRIC, prefix)) => return Some(Deletion::Of(Route::unreachable(prefix))),
                        Some((GUARD_METRIC, prefix)) => return Some(Deletion::Of(Route::guard(prefix))),
                        _ => {}
                    }
                }
                NetlinkPayload::Overrun(_) => return Some(Deletion::Unknown),
                _ => {}
            }
        }
    }
}

async fn again() -> Deletions {
    loop {
        match Deletions::new() {
            Ok(deletions) => return deletions,
            Err(error) => error!("no word of routes that are deleted any more: {error}; trying again"),
        }
        sleep(LOST).await;
    }
}

const LOST: Duration = Duration::from_secs(5);

const BETWEEN_WORDS: Duration = Duration::from_secs(60);
